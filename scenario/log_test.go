package scenario

import (
	"bufio"
	"os"
	"testing"
)

// Who read the log has gone, as when the program behind the pipe is restarted: what
// happens is seen and told nevertheless.
func TestLogUnread(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.sub.connect()
	r, w, err := os.Pipe()
	h.lab.Must(err)
	p := h.command()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	p.start()
	h.lab.Must(w.Close())
	_, err = bufio.NewReader(r).ReadString('\n')
	h.lab.Must(err)
	h.lab.Must(r.Close())
	h.sub.awaitTopic(topics.Status(), "online")
	phone := h.lab.Client("phone")
	h.join(phone)
	h.sub.awaitTopic(topics.State(macOf(phone).ID()), "home")
}
