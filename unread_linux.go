package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// unread reports whether nobody reads any more what is written to out: the other
// end of the pipe is closed, as head closes it. Who writes now and then only would
// learn that late.
func unread(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(f.Fd())}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n > 0 && fds[0].Revents&unix.POLLERR != 0
}
