package connections

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// askedToChurn makes this program a child that opens so many connections a
// second, each for a while, until its input ends. Then it says how many they were.
const askedToChurn = "CONNECTIONS_TEST_CHURN"

const (
	churnInterval = 500 * time.Millisecond
	longestLife   = 3 * churnInterval
)

func churn(perSecond string) error {
	rate, err := strconv.Atoi(perSecond)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	tick := time.NewTicker(time.Second / time.Duration(rate))
	for opened := 0; ; opened++ {
		select {
		case <-stop:
			_, err := fmt.Println(opened)
			return err
		case <-tick.C:
		}
		out, err1 := net.Dial("tcp", l.Addr().String())
		in, err2 := l.Accept()
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		time.AfterFunc(time.Duration(rand.Int64N(int64(longestLife))), func() { _, _ = out.Close(), in.Close() })
	}
}

// churner is such a child.
type churner struct {
	cmd *exec.Cmd
	in  io.Closer
	out bytes.Buffer
}

func startChurner(t *testing.T, perSecond int) (c *churner, err error) {
	c = &churner{cmd: exec.CommandContext(t.Context(), os.Args[0])}
	c.cmd.Env = append(os.Environ(), askedToChurn+"="+strconv.Itoa(perSecond))
	c.cmd.Stdout, c.cmd.Stderr = &c.out, t.Output()
	c.in, err = c.cmd.StdinPipe()
	return c, errors.Join(err, c.cmd.Start())
}

// stop returns how many connections it has opened.
func (c *churner) stop() (opened int, err error) {
	err = errors.Join(c.in.Close(), c.cmd.Wait())
	if err == nil {
		opened, err = strconv.Atoi(strings.TrimSpace(c.out.String()))
	}
	return opened, err
}

// Four programs open and close 200 connections a second, while a recorder
// records. Each look is followed by ss: what it lists after two looks in a row
// lived for the whole interval between them, and is in what was stored of the
// second one, with the right process. A busy machine looks less often, so it takes
// more looks until enough have lived for so long.
func TestChurnAgainstSS(t *testing.T) {
	const programs, perSecond = 4, 240 // some of the first second are lost to their start
	const looks, mostLooks, enough = 8, 100, 200
	type listed map[ssLine][]int
	// survived are those of one look that are there at the next.
	survived := func(before, now listed) (all []ssLine) {
		for l, pids := range before {
			if l.state == Established && len(pids) > 0 && slices.Equal(pids, now[l]) { // else it is another one
				all = append(all, l)
			}
		}
		return all
	}
	lived := 0
	var all []listed
	var took []time.Time
	var failed error
	dir := t.TempDir()
	inNamespace(t, func() error {
		var children []*churner
		for range programs {
			c, err := startChurner(t, perSecond/programs)
			if err != nil {
				return err
			}
			children = append(children, c)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		// It runs on this thread, and with it in this namespace.
		r := NewRecorder(RecorderConfig{
			Interval: churnInterval, Dir: dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
			Seen: func(s *Snapshot) {
				lines, _, err := asked(t)
				all, took, failed = append(all, lines), append(took, s.Time), errors.Join(failed, err)
				n := len(all)
				if n > 1 {
					lived += len(survived(all[n-2], all[n-1]))
				}
				if n >= looks && lived >= enough || n == mostLooks || failed != nil {
					cancel()
				}
			},
		})
		began := time.Now()
		err := errors.Join(r.Run(ctx), failed)
		lasted, total := time.Since(began), 0
		for _, c := range children {
			n, err2 := c.stop()
			total, err = total+n, errors.Join(err, err2)
		}
		t.Logf("%d connections opened, %.0f a second", total, float64(total)/lasted.Seconds())
		return err
	})
	store := openStore(t, dir)
	found := 0
	for k := range len(all) - 1 {
		s, err := store.Load(t.Context(), int64(k+2))
		must(t, err)
		if !s.Time.Equal(took[k+1].Truncate(time.Millisecond)) {
			t.Fatalf("snapshot %d is of %s, the look was at %s", s.Number, s.Time, took[k+1])
		}
		seen := map[ssLine]int{}
		for i := range s.Connections {
			if c := &s.Connections[i]; c.Process != nil {
				seen[line(c)] = c.Process.PID
			}
		}
		for _, l := range survived(all[k], all[k+1]) {
			if pid := all[k][l][0]; seen[l] == pid {
				found++
			} else {
				t.Errorf("%v of process %d: in snapshot %d of process %d (0: not there)", l, pid, s.Number, seen[l])
			}
		}
	}
	t.Logf("agreement with ss: %d of %d connections that lived longer than an interval of %s are there with their process, %.2f %%", found, lived, churnInterval, 100*float64(found)/float64(lived))
	if lived < enough {
		t.Errorf("only %d connections tell something", lived)
	}
}
