package labtest

import (
	"syscall"
	"testing"
	"time"
)

// CPU returns the time that this process has used, in user space and in the
// kernel. Unlike a clock's, what it says of a piece of work hardly depends on what
// else the machine does.
func CPU(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
