package mqtt

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"go.uber.org/goleak"

	"porchlight/discovery"
	"porchlight/presence"
	"porchlight/synced"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var options = discovery.Options{
	Topics:  discovery.Topics{Prefix: "porchlight", Node: "home", HAPrefix: "homeassistant"},
	Zone:    "zone.home",
	Version: "1.0",
}

// memoryLog is an event log.
type memoryLog struct {
	mu      sync.Mutex
	events  []presence.Event
	cursor  int64
	changed chan struct{}
}

func newMemoryLog() *memoryLog { return &memoryLog{changed: make(chan struct{})} }

func (m *memoryLog) append(e presence.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e.Seq = int64(len(m.events) + 1)
	m.events = append(m.events, e)
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *memoryLog) After(_ context.Context, seq int64, limit int) ([]presence.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rest := m.events[min(int(seq), len(m.events)):]
	return slices.Clone(rest[:min(limit, len(rest))]), nil
}

func (m *memoryLog) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

func (m *memoryLog) Cursor(context.Context, string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cursor, nil
}

func (m *memoryLog) SetCursor(_ string, seq int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cursor = seq
}

// orders is a Commands that remembers.
type orders struct {
	mu  sync.Mutex
	log []string
}

func (o *orders) Scan() { o.add("scan") }

func (o *orders) Merge(into presence.ID, ids []presence.ID) {
	o.add(fmt.Sprintf("merge %s %v", into, ids))
}

func (o *orders) Split(id presence.ID, macs []presence.MAC) {
	o.add(fmt.Sprintf("split %s %v", id, macs))
}

func (o *orders) Set(id presence.ID, c presence.Change) {
	s := "set " + string(id)
	if c.Name != nil {
		s += fmt.Sprintf(" name=%q", *c.Name)
	}
	if c.Kind != nil {
		s += fmt.Sprintf(" kind=%q", *c.Kind)
	}
	if c.Icon != nil {
		s += fmt.Sprintf(" icon=%q", *c.Icon)
	}
	if c.Follow != nil {
		s += fmt.Sprintf(" follow=%+v", *c.Follow)
	}
	if c.Track != nil {
		s += fmt.Sprintf(" track=%v", *c.Track)
	}
	if c.TrackByPolicy {
		s += " track=by policy"
	}
	if c.Important != nil {
		s += fmt.Sprintf(" important=%v", *c.Important)
	}
	if c.IgnoreARPReplies != nil {
		s += fmt.Sprintf(" ignore_arp_replies=%v", *c.IgnoreARPReplies)
	}
	if c.Nudge != nil {
		s += fmt.Sprintf(" nudge=%v", *c.Nudge)
	}
	if c.NudgeByKind {
		s += " nudge=by kind"
	}
	if c.Notes != nil {
		s += fmt.Sprintf(" notes=%q", *c.Notes)
	}
	if c.Groups != nil {
		s += fmt.Sprintf(" groups=%q", *c.Groups)
	}
	if c.AwayAfter != nil {
		s += fmt.Sprintf(" away_after=%v", *c.AwayAfter)
	}
	o.add(s)
}

func (o *orders) add(s string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.log = append(o.log, s)
}

func (o *orders) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.log
	o.log = nil
	return l
}

// logBuffer collects log lines.
type logBuffer struct {
	synced.Buffer
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// pipeBroker is a broker without a network, for synctest.
type pipeBroker struct {
	server    *mochi.Server
	takeover  *takeover
	turnstile turnstile
	mu        sync.Mutex
	conns     []*stallable
	dials     int
	down      bool
}

// stallable is the broker's end of a connection. After stall it reads nothing.
type stallable struct {
	net.Conn
	stalled, closed chan struct{}
	once            [2]sync.Once
}

func (c *stallable) Read(p []byte) (int, error) {
	select {
	case <-c.stalled:
		<-c.closed
		return 0, net.ErrClosed
	default:
		return c.Conn.Read(p)
	}
}

func (c *stallable) stall() { c.once[0].Do(func() { close(c.stalled) }) }

func (c *stallable) Close() error {
	c.once[1].Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func newPipeBroker(t *testing.T) *pipeBroker {
	return newPipeBrokerWith(t, nil)
}

// newPipeBrokerWith returns a broker whose access rules are door's; nil: our own.
func newPipeBrokerWith(t *testing.T, door mochi.Hook) *pipeBroker {
	c := mochi.NewDefaultServerCapabilities()
	c.MaximumMessageExpiryInterval = 0
	b := &pipeBroker{server: mochi.New(&mochi.Options{
		Capabilities: c, Logger: slog.New(slog.DiscardHandler), SysTopicResendInterval: 1 << 20,
	})}
	if door == nil {
		door = newDoorman(BrokerConfig{}, b.server)
	}
	b.takeover = newTakeover(b.server)
	for _, hook := range []mochi.Hook{door, b.takeover, &packetIDs{server: b.server}, &b.turnstile} {
		if err := b.server.AddHook(hook, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.server.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.cut()
		b.server.Close()
	})
	return b
}

func (b *pipeBroker) dial(context.Context) (net.Conn, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return nil, fmt.Errorf("the broker is down")
	}
	ours, pipe := net.Pipe()
	theirs := &stallable{Conn: pipe, stalled: make(chan struct{}), closed: make(chan struct{})}
	b.conns = append(b.conns, theirs)
	b.dials++
	go func() { _ = b.takeover.serve("pipe", theirs) }()
	return ours, nil
}

// together has the broker take no retained message until f has returned: what f
// sets is set at one moment for what follows a state.
func (b *pipeBroker) together(f func()) {
	b.turnstile.mu.Lock()
	defer b.turnstile.mu.Unlock()
	f()
}

// cut ends all connections.
func (b *pipeBroker) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.conns {
		c.Close()
	}
	b.conns = nil
}

func (b *pipeBroker) setDown(down bool) {
	b.mu.Lock()
	b.down = down
	b.mu.Unlock()
	if down {
		b.cut()
	}
}

// retained returns what the broker holds, by topic.
func (b *pipeBroker) retained() map[string]string {
	m := make(map[string]string)
	for topic, pk := range b.server.Topics.Retained.GetAll() {
		if !strings.HasPrefix(topic, "$") {
			m[topic] = string(pk.Payload)
		}
	}
	return m
}

// peer is another client of the broker.
type peer struct {
	paho.Client
	mu  sync.Mutex
	got []string // "topic payload", in the order of arrival
}

func (b *pipeBroker) peer(t *testing.T, id string, filters ...string) *peer {
	t.Helper()
	return newPeer(t, id, b.dial, 0, filters...)
}

// newPeer connects a client that handles messages in order. Over a pipe, which
// holds nothing, that works at QoS 0 only: an acknowledgement may wait for
// ever.
func newPeer(t *testing.T, id string, dial func(context.Context) (net.Conn, error), qos byte, filters ...string) *peer {
	t.Helper()
	p := new(peer)
	o := paho.NewClientOptions().AddBroker("tcp://unused").SetClientID(id).SetProtocolVersion(4).
		SetAutoReconnect(false).SetOrderMatters(true).SetKeepAlive(time.Hour).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.got = append(p.got, m.Topic()+" "+string(m.Payload()))
		}).
		SetCustomOpenConnectionFn(func(_ *url.URL, _ paho.ClientOptions) (net.Conn, error) { return dial(context.Background()) })
	p.Client = paho.NewClient(o)
	p.wait(t, p.Connect())
	for _, f := range filters {
		p.wait(t, p.Subscribe(f, qos, nil))
	}
	t.Cleanup(func() { p.Disconnect(0) })
	return p
}

func (p *peer) wait(t *testing.T, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) {
		t.Fatal("the broker does not answer")
	}
	if err := token.Error(); err != nil {
		t.Fatal(err)
	}
	if sub, ok := token.(*paho.SubscribeToken); ok {
		for filter, code := range sub.Result() {
			if code >= 0x80 {
				t.Fatalf("the broker refuses to subscribe to %s: %#x", filter, code)
			}
		}
	}
}

func (p *peer) say(t *testing.T, topic string, retained bool, payload string) {
	t.Helper()
	p.wait(t, p.Publish(topic, 1, retained, payload))
}

// take returns what has arrived since the last call.
func (p *peer) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.got
	p.got = nil
	return got
}

// topicsOf returns the topics of messages, without the node's prefix.
func topicsOf(messages []string) (topics []string) {
	for _, m := range messages {
		topic, _, _ := strings.Cut(m, " ")
		topics = append(topics, strings.TrimPrefix(topic, "porchlight/home/"))
	}
	return topics
}

// running is a session under test.
type running struct {
	*Session
	events *memoryLog
	orders *orders
	log    *logBuffer
	stop   func() // cancels and waits
}

func start(t *testing.T, cfg Config, events *memoryLog) *running {
	t.Helper()
	r := &running{events: events, orders: new(orders), log: new(logBuffer)}
	cfg.Log = r.log.logger()
	if cfg.Discovery.Prefix == "" {
		cfg.Discovery = options
	}
	if cfg.HAStatusTopic == "" {
		cfg.HAStatusTopic = "homeassistant/status"
	}
	s, err := New(cfg, events, r.orders)
	if err != nil {
		t.Fatal(err)
	}
	r.Session = s
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error("Run:", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

var epoch = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// phone is a tracked device with the given number.
func phone(n int, state presence.State) presence.Device {
	mac := presence.MAC{0x00, 0x1b, 0x63, byte(n >> 16), byte(n >> 8), byte(n)}
	return presence.Device{
		ID: mac.ID(), MAC: mac, Interface: "eth0",
		Addr:     netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}),
		HostName: fmt.Sprintf("phone-%d", n), Vendor: "Apple",
		State: state, Since: epoch, Why: "heard", FirstSeen: epoch, LastSeen: epoch,
		AwayAfter: 10 * time.Minute, Tracked: true,
	}
}

func household(home int) presence.Summary {
	return presence.Summary{Home: home, Known: home, Sensing: []presence.Sensing{{Interface: "eth0"}}}
}

// settleDown lets virtual time pass until the first publish is over.
func settleDown() {
	time.Sleep(10 * time.Second)
	synctest.Wait()
}
