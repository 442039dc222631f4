package main

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// onTerminal returns what f writes to a terminal of so many columns. It is less
// than fits the terminal's buffer.
func onTerminal(t *testing.T, columns uint16, f func(terminal *os.File)) string {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = screen.Close() }()
	fd := int(screen.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN) // pts(4)
	err = errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0), unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}))
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f(terminal)
	if err := terminal.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(screen) // what was written comes in parts, as the kernel gets to it
	if !errors.Is(err, unix.EIO) {
		t.Fatal("nobody has the terminal open, and it does not end:", err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}
