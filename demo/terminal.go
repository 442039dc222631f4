package demo

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// terminal is a screen that is redrawn in place.
type terminal struct {
	out     *os.File
	colour  bool
	restore func() // what it does to the keyboard
}

// Control sequences (ECMA-48, and xterm's private modes).
const (
	enter = "\x1b[?1049h\x1b[?25l\x1b[?7l" // the alternate screen, no cursor, no wrapping
	exit  = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	home  = "\x1b[H"
	eol   = "\x1b[K"
	eos   = "\x1b[J"
)

// openTerminal takes the terminal over. The caller closes it.
func openTerminal(out *os.File, colour bool) *terminal {
	t := &terminal{out: out, colour: colour, restore: mute(os.Stdin)}
	_, _ = out.WriteString(enter)
	return t
}

// mute keeps keys from being echoed into the picture. Ctrl-C works on.
func mute(in *os.File) (restore func()) {
	fd := int(in.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return func() {} // not a terminal
	}
	quiet := *was
	quiet.Lflag &^= unix.ECHO | unix.ICANON
	if unix.IoctlSetTermios(fd, unix.TCSETS, &quiet) != nil {
		return func() {}
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETSF, was) }
}

// draw shows the view as it is now, at the size that the window has now.
func (t *terminal) draw(v *view, now time.Time) error {
	columns, height, err := term.GetSize(int(t.out.Fd()))
	if err != nil || columns == 0 || height == 0 {
		columns, height = 80, 24
	}
	var b bytes.Buffer
	b.WriteString(home)
	for i, l := range v.screen(now, columns, height, t.colour) {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(eol + l) // behind a full line it would erase the last character
	}
	b.WriteString(eos)
	if _, err := t.out.Write(b.Bytes()); err != nil {
		return fmt.Errorf("drawing on the terminal: %w", err)
	}
	return nil
}

func (t *terminal) close() {
	_, _ = t.out.WriteString(exit)
	t.restore()
}
