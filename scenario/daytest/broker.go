package daytest

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Message is one message to the broker.
type Message struct {
	At      time.Time
	Topic   string
	Payload []byte
	Retain  bool
}

// broker is a broker without a network that keeps all that is said to it.
type broker struct {
	mochi.HookBase
	server *mochi.Server

	mu   sync.Mutex
	said []Message
}

func startBroker(t *testing.T) *broker {
	c := mochi.NewDefaultServerCapabilities()
	c.MaximumMessageExpiryInterval = 0
	b := &broker{server: mochi.New(&mochi.Options{
		Capabilities: c, Logger: slog.New(slog.DiscardHandler), SysTopicResendInterval: 1 << 20,
	})}
	if err := b.server.AddHook(b, nil); err != nil {
		t.Fatal(err)
	}
	if err := b.server.Serve(); err != nil {
		t.Fatal(err)
	}
	return b
}

// dial connects Porchlight, the only client.
func (b *broker) dial(context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() { _ = b.server.EstablishConnection("pipe", theirs) }()
	return ours, nil
}

func (b *broker) messages() []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.said)
}

// ID implements mochi.Hook.
func (b *broker) ID() string { return "scribe" }

// Provides implements mochi.Hook.
func (b *broker) Provides(what byte) bool {
	return what == mochi.OnConnectAuthenticate || what == mochi.OnACLCheck || what == mochi.OnPublish
}

// OnConnectAuthenticate implements mochi.Hook: there is nobody else.
func (b *broker) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }

// OnACLCheck implements mochi.Hook.
func (b *broker) OnACLCheck(*mochi.Client, string, bool) bool { return true }

// OnPublish implements mochi.Hook. Nothing is retained, as nobody subscribes
// later: the broker would search all of it each second.
func (b *broker) OnPublish(_ *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.said = append(b.said, Message{time.Now(), pk.TopicName, slices.Clone(pk.Payload), pk.FixedHeader.Retain})
	pk.FixedHeader.Retain = false
	return pk, nil
}
