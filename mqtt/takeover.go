package mqtt

import (
	"net"
	"sync"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// takeover lets a client in only when the connection that had its identifier
// before has wholly ended (MQTT 3.1.1, section 3.1.4). The server does not wait
// for that: the old connection, on its way out, can then take the new one off the
// list of clients, or its subscriptions, so that a client which comes back at
// once hears nothing any more; and the old one's last will can come after what
// the new one publishes.
type takeover struct {
	mochi.HookBase
	server *mochi.Server
	mu     sync.Mutex
	byID   map[string]*seat
	byConn map[net.Conn]*seat
}

// seat is a client identifier while a connection has it.
type seat struct {
	client *mochi.Client
	free   chan struct{} // closed when the connection has ended
}

func newTakeover(server *mochi.Server) *takeover {
	return &takeover{server: server, byID: make(map[string]*seat), byConn: make(map[net.Conn]*seat)}
}

func (t *takeover) ID() string { return "takeover" }

func (t *takeover) Provides(b byte) bool { return b == mochi.OnSessionEstablish }

// OnSessionEstablish is called when a client may come in, before its session is
// looked for.
func (t *takeover) OnSessionEstablish(cl *mochi.Client, _ packets.Packet) {
	for {
		before := t.sit(cl)
		if before == nil {
			return
		}
		_ = t.server.DisconnectClient(before.client, packets.ErrSessionTakenOver) // it may have ended already
		<-before.free
	}
}

// sit gives cl its seat, or returns who has it.
func (t *takeover) sit(cl *mochi.Client) (before *seat) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if before := t.byID[cl.ID]; before != nil {
		return before
	}
	s := &seat{client: cl, free: make(chan struct{})}
	t.byID[cl.ID], t.byConn[cl.Net.Conn] = s, s
	return nil
}

// serve serves one connection until it has ended. c must be comparable.
func (t *takeover) serve(listener string, c net.Conn) error {
	defer t.leave(c)
	return t.server.EstablishConnection(listener, c)
}

func (t *takeover) leave(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byConn[c]; s != nil {
		delete(t.byID, s.client.ID)
		delete(t.byConn, c)
		close(s.free)
	}
}

// entrance is a listener whose connections are served by takeover.
type entrance struct {
	*listeners.Net
	takeover *takeover
}

func (e entrance) Serve(listeners.EstablishFn) { e.Net.Serve(e.takeover.serve) }
