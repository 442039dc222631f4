package mqtt

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"porchlight/presence"
)

// manner is how a broker treats what it forbids.
type manner string

const (
	drops       manner = "drops" // acknowledges and drops it
	disconnects manner = "disconnects"
	silent      manner = "silent"   // does not even acknowledge it
	punishes    manner = "punishes" // acknowledges and drops it, and ends the connection
)

// guardian forbids clients whose id begins with porchlight to write, or to
// subscribe to, some topics.
type guardian struct {
	mochi.HookBase
	manner manner

	mu       sync.Mutex
	forbids  func(topic string, write bool) bool
	subsKill bool   // a forbidden subscription ends the connection
	ends     uint16 // the message whose acknowledgement is the last
}

func (g *guardian) ID() string { return "guardian" }

func (g *guardian) Provides(b byte) bool {
	return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck || b == mochi.OnPublish || b == mochi.OnPacketRead || b == mochi.OnPacketSent
}

func (g *guardian) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }

func (g *guardian) forbidden(cl *mochi.Client, topic string, write bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return strings.HasPrefix(cl.ID, "porchlight") && g.forbids != nil && g.forbids(topic, write)
}

func (g *guardian) OnACLCheck(cl *mochi.Client, topic string, write bool) bool {
	return write && g.manner != disconnects || !g.forbidden(cl, topic, write)
}

func (g *guardian) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	switch {
	case !g.forbidden(cl, pk.TopicName, true):
		return pk, nil
	case g.manner == silent:
		return pk, packets.ErrRejectPacket
	case g.manner == punishes:
		g.mu.Lock()
		g.ends = pk.PacketID
		g.mu.Unlock()
	}
	return pk, packets.CodeSuccessIgnore
}

func (g *guardian) OnPacketRead(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if pk.FixedHeader.Type == packets.Subscribe && g.subsKill {
		for _, sub := range pk.Filters {
			if g.forbidden(cl, sub.Filter, false) {
				return pk, packets.ErrNotAuthorized
			}
		}
	}
	return pk, nil
}

func (g *guardian) OnPacketSent(cl *mochi.Client, pk packets.Packet, _ []byte) {
	g.mu.Lock()
	last := pk.FixedHeader.Type == packets.Puback && g.ends != 0 && pk.PacketID == g.ends
	if last {
		g.ends = 0
	}
	g.mu.Unlock()
	if last {
		cl.Stop(packets.ErrQuotaExceeded)
	}
}

// forbid replaces the rules: from now on what matches one of filters must not
// be written, or read.
func (g *guardian) forbid(write bool, filters ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forbids = func(topic string, w bool) bool {
		return w == write && slices.ContainsFunc(filters, func(f string) bool { return matches(f, topic) })
	}
}

// matches reports whether topic, or a filter that is the same, matches filter.
func matches(filter, topic string) bool {
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i := range f {
		if len(f) != len(t) || f[i] != "+" && f[i] != t[i] {
			return false
		}
	}
	return true
}

// A broker forbids one family of topics. It is said which, once, and the rest
// goes on; when it is allowed again, all is well after the next connection.
func TestForbiddenToWrite(t *testing.T) {
	for _, how := range []manner{drops, disconnects, silent, punishes} {
		for f := range families {
			if how == silent && f != familyConfig && f != familyEvent {
				continue // as the others, and each takes a while
			}
			filter := f.filter(&options.Topics)
			t.Run(string(how)+" "+filter, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { forbidToWrite(t, how, f) })
			})
		}
	}
}

func forbidToWrite(t *testing.T, how manner, f family) {
	filter := f.filter(&options.Topics)
	g := &guardian{manner: how}
	g.forbid(true, filter)
	b := newPipeBrokerWith(t, g)
	watch := b.peer(t, "watch", options.Event())
	r := three(t, b)
	r.SetGroups([]presence.Group{kids(presence.Home)})
	r.events.append(presence.Event{Type: presence.Arrived, ID: id1, Time: epoch})
	time.Sleep(5 * time.Minute)
	r.Update([]presence.Device{phone(2, presence.Home)})
	r.events.append(presence.Event{Type: presence.Left, ID: id1, Time: epoch})
	time.Sleep(5 * time.Minute)
	synctest.Wait()

	wantTold(t, r, filter)
	if connected, why := r.Status(); !connected {
		t.Errorf("not connected: %s\n%s", why, r.log)
	}
	if b.dials > 1+1+deathLimit {
		t.Errorf("%d connections", b.dials)
	}
	wantRetained(t, b, f)
	events := len(watch.take())
	if want := map[bool]int{true: 0, false: 2}[f == familyEvent]; events != want {
		t.Errorf("%d events, want %d", events, want)
	}

	dials := b.dials
	time.Sleep(20 * time.Minute)
	if b.dials > dials {
		t.Errorf("%d connections in 20 minutes", b.dials-dials)
	}
	b.cut()
	time.Sleep(time.Minute)
	wantTold(t, r, filter) // not again

	g.forbid(true)
	b.cut()
	watch = b.peer(t, "watch", options.Event())
	settleDown()
	wantRetained(t, b, families)
	if f != familyEvent { // nothing has happened that could show it
		wantWell(t, r)
	}
	r.events.append(presence.Event{Type: presence.Arrived, ID: id1, Time: epoch})
	settleDown()
	wantWell(t, r)
	events += len(watch.take())
	if want := map[bool]int{true: 1, false: 3}[f == familyEvent && how == drops]; events != want {
		t.Errorf("%d events in all, want %d:\n%s", events, want, r.log)
	}
	if r.events.cursor != 3 {
		t.Error("cursor", r.events.cursor)
	}
	if got := r.orders.take(); len(got) > 0 {
		t.Error("orders:", got)
	}
}

// wantTold checks that the only problem is said, once, and names the filter.
func wantTold(t *testing.T, r *running, filter string) {
	t.Helper()
	problems := r.Problems()
	if len(problems) != 1 || !strings.Contains(problems[0], filter) || !strings.Contains(problems[0], "access rules") {
		t.Errorf("problems %q, want one about %s", problems, filter)
	}
	if n := strings.Count(r.log.String(), "in its access rules"); n != 1 {
		t.Errorf("said %d times:\n%s", n, r.log)
	}
	for _, p := range problems {
		if len(p) > 250 {
			t.Errorf("too long for the summary: %d bytes: %s", len(p), p)
		}
	}
}

func wantWell(t *testing.T, r *running) {
	t.Helper()
	if got := r.Problems(); len(got) > 0 {
		t.Errorf("problems %q, want none:\n%s", got, r.log)
	}
}

// wantRetained checks that all is on the broker, but not what is of family
// without.
func wantRetained(t *testing.T, b *pipeBroker, without family) {
	t.Helper()
	held := b.retained()
	o := options.Topics
	for topic, f := range map[string]family{
		o.BridgeConfig(): familyConfig, o.Config(id1): familyConfig, o.State(id1): familyState,
		o.Attributes(id1): familyAttributes, o.Name(id1): familyName, o.LastSeen(id1): familyLastSeen,
		o.Summary(): familySummary, o.Status(): familyStatus, o.Machine(): familyMachine, o.MachineConfig(): familyConfig,
		o.GroupState("kids"): familyGroup, o.GroupConfig("kids"): familyConfig,
	} {
		if (held[topic] == "" || held[topic] == "offline") != (f == without) {
			t.Errorf("%s holds %q", topic, held[topic])
		}
	}
	if want := "home"; without != familyState && held[o.State(id2)] != want {
		t.Errorf("the second device's state is %q, want %s", held[o.State(id2)], want)
	}
}

// A broker refuses subscriptions, or ends the connection at them.
func TestForbiddenToRead(t *testing.T) {
	for _, sub := range func() []subscription {
		s, err := New(Config{Discovery: options, Announce: true, HAStatusTopic: "homeassistant/status", Dial: new(pipeBroker).dial, Log: new(logBuffer).logger()}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s.subscriptions()
	}() {
		for _, kill := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %v", sub.filter, kill), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					g := &guardian{manner: drops, subsKill: kill}
					g.forbid(false, sub.filter)
					b := newPipeBrokerWith(t, g)
					r := three(t, b)
					r.SetGroups([]presence.Group{kids(presence.Home)})
					r.events.append(presence.Event{Type: presence.Arrived, ID: id1, Time: epoch})
					r.Update([]presence.Device{phone(2, presence.Home)})
					time.Sleep(10 * time.Minute)
					synctest.Wait()
					wantRetained(t, b, families)
					if sub.loss == "" {
						wantWell(t, r)
					} else {
						wantTold(t, r, sub.filter)
					}
					if connected, why := r.Status(); !connected || r.events.cursor != 1 {
						t.Errorf("connected %v (%s), cursor %d", connected, why, r.events.cursor)
					}
					if b.dials > 1+deathLimit {
						t.Errorf("%d connections", b.dials)
					}
					g.forbid(false)
					b.cut()
					settleDown()
					wantWell(t, r)
				})
			})
		}
	}
}
