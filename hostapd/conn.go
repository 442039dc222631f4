package hostapd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// errNoBSS is returned for a socket that knows of no stations.
var errNoBSS = errors.New("this is not the control socket of an access point's interface")

// conn is a connection to a control socket. It is for one goroutine.
type conn struct {
	sock    *net.UnixConn
	buf     [maxMessage + 1]byte
	reply   time.Duration        // how long an answer may take
	onEvent func(message []byte) // gets the events that come meanwhile
	release func() bool
}

// dial connects to the control socket path until ctx ends. hostapd answers to
// the address of the sender: an abstract one, which needs no file that hostapd
// must find and may write to. As the socket is connected, the kernel lets
// nobody else write to it (unix(7)).
func dial(ctx context.Context, path string, reply time.Duration, onEvent func(message []byte)) (*conn, error) {
	own := &net.UnixAddr{Net: "unixgram", Name: fmt.Sprintf("@porchlight-%d-%s", os.Getpid(), rand.Text())}
	sock, err := net.DialUnix("unixgram", own, &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		return nil, err
	}
	c := &conn{sock: sock, reply: reply, onEvent: onEvent}
	c.release = context.AfterFunc(ctx, c.hangUp)
	return c, nil
}

func (c *conn) close() {
	if c.release() {
		c.hangUp()
	}
}

// hangUp closes the connection. It lets hostapd know, but does not wait for it.
func (c *conn) hangUp() {
	if raw, err := c.sock.SyscallConn(); err == nil {
		_ = raw.Write(func(fd uintptr) bool {
			_, _ = unix.Write(int(fd), []byte("DETACH"))
			return true
		})
	}
	_ = c.sock.Close()
}

// listen hands over events until the time t, which is no error.
func (c *conn) listen(t time.Time) error {
	for {
		message, err := c.read(t)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		case isEvent(message):
			c.onEvent(message)
		}
	}
}

// ask sends a command and returns the answer, which is valid until the next call.
func (c *conn) ask(command string) ([]byte, error) {
	until := time.Now().Add(c.reply)
	_ = c.sock.SetWriteDeadline(until) // a closed one says so when it is used
	if _, err := c.sock.Write([]byte(command)); err != nil {
		return nil, err
	}
	for {
		message, err := c.read(until)
		if err != nil {
			return nil, err
		}
		if !isEvent(message) {
			return message, nil
		}
		c.onEvent(message)
	}
}

// command is ask for a command with one right answer.
func (c *conn) command(command, want string) error {
	answer, err := c.ask(command)
	if err != nil {
		return err
	}
	if strings.TrimSpace(string(answer[:min(len(answer), 64)])) != want {
		return fmt.Errorf("it answers %q to %s", answer[:min(len(answer), 64)], command)
	}
	return nil
}

// read returns the next message, cut off where it is too long.
func (c *conn) read(until time.Time) ([]byte, error) {
	_ = c.sock.SetReadDeadline(until)
	n, err := c.sock.Read(c.buf[:])
	return c.buf[:n], err
}
