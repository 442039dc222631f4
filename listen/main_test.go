package listen

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"go.uber.org/goleak"

	"porchlight/mqtt"
	"porchlight/synced"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker is one without a network, for synctest.
type broker struct {
	*mochi.Server
	mu    sync.Mutex
	down  bool
	conns []net.Conn
}

// openDoor lets everyone in.
type openDoor struct{ mochi.HookBase }

func (openDoor) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck
}
func (openDoor) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }
func (openDoor) OnACLCheck(*mochi.Client, string, bool) bool              { return true }

func newBroker(t *testing.T) *broker {
	b := &broker{Server: mochi.New(&mochi.Options{
		InlineClient: true, Logger: slog.New(slog.DiscardHandler), SysTopicResendInterval: 1 << 20,
	})}
	if err := errors.Join(b.AddHook(new(openDoor), nil), b.Serve()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.cut()
		_ = b.Server.Close()
	})
	return b
}

func (b *broker) dial(context.Context) (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return nil, errors.New("the broker is down")
	}
	ours, theirs := net.Pipe()
	b.conns = append(b.conns, theirs)
	go func() { _ = b.EstablishConnection("pipe", theirs) }()
	return ours, nil
}

// cut ends all connections.
func (b *broker) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		_ = c.Close()
	}
	b.conns = nil
}

func (b *broker) say(t *testing.T, topic string, retain bool, payload string) {
	t.Helper()
	if err := b.Publish(topic, []byte(payload), retain, 1); err != nil {
		t.Fatal(err)
	}
}

// desktop collects notifications.
type desktop struct {
	synced.Buffer
	fault error
}

func (d *desktop) show(title, body string) error {
	_, _ = d.Write([]byte(title + " | " + body + "\n"))
	return d.fault
}

// running is a Run under test.
type running struct {
	out, log *synced.Buffer
	stop     func() // cancels and waits
}

func start(t *testing.T, b *broker, cfg Config) *running {
	t.Helper()
	r := &running{out: new(synced.Buffer), log: new(synced.Buffer)}
	cfg.Broker = mqtt.Config{Dial: b.dial}
	cfg.Prefix = "porchlight"
	if cfg.Out == nil {
		cfg.Out = r.out
	}
	cfg.Log = slog.New(slog.NewTextHandler(r.log, nil))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		began := time.Now()
		if err := <-ended; err != nil || time.Since(began) > time.Second {
			t.Error("Run ended after", time.Since(began), "with", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}
