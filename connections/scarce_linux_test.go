package connections

import (
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Where no more files can be opened, whose socket it is cannot be known: that is an
// error, and not a socket of nobody's.
func TestNoMoreFiles(t *testing.T) {
	inNamespace(t, func() error {
		c := newClosers(t)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err := c.add(l, err); err != nil {
			return err
		}
		next, err := os.Open(os.DevNull) // it has the lowest number that is free
		if err := c.add(next, err); err != nil {
			return err
		}
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return err
		}
		defer func() { _ = unix.Setrlimit(unix.RLIMIT_NOFILE, &limit) }()
		failed, worked := 0, 0
		for more := range 12 {
			few := unix.Rlimit{Cur: uint64(int(next.Fd()) + more), Max: limit.Max}
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
				return err
			}
			s, err := Take(nil)
			if err != nil {
				failed++
				continue
			}
			worked++
			for _, x := range s.Connections {
				if x.Process == nil || x.Process.PID != os.Getpid() {
					t.Errorf("with %d files more: %+v", more, x)
				}
			}
		}
		if failed == 0 || worked == 0 {
			t.Errorf("it failed %d times, and worked %d times", failed, worked)
		}
		return nil
	})
}
