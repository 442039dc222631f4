package homeassistant

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"porchlight/discovery"
	"porchlight/history"
	"porchlight/lab"
	"porchlight/mqtt"
	"porchlight/presence"
)

// puppet is the part of Porchlight that speaks with the broker, with a test
// that says what there is to tell. It can be stopped and started again.
type puppet struct {
	t      *testing.T
	config mqtt.Config
	store  *history.Store

	devices map[presence.ID]presence.Device
	session *mqtt.Session // nil: stopped
	end     func()
}

// noCommands takes what Home Assistant asks for.
type noCommands struct{}

func (noCommands) Scan()                             {}
func (noCommands) Set(presence.ID, presence.Change)  {}
func (noCommands) Merge(presence.ID, []presence.ID)  {}
func (noCommands) Split(presence.ID, []presence.MAC) {}

// newPuppet returns one that is started, as the instance with this node.
func newPuppet(t *testing.T, host *lab.Host, b *lab.Broker, node string) *puppet {
	t.Helper()
	store, err := history.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var upkeep sync.WaitGroup
	upkeep.Go(func() { _ = store.Run(ctx) })
	p := &puppet{
		t: t, store: store, devices: map[presence.ID]presence.Device{},
		config: mqtt.Config{
			Dial: func(ctx context.Context) (net.Conn, error) { return host.Dial(ctx, "tcp", b.Addr()) },
			Discovery: discovery.Options{
				Topics: discovery.Topics{Prefix: "porchlight", Node: node, HAPrefix: "homeassistant"},
				Zone:   "zone.home", Version: "1.0",
			},
			Announce: true, HAStatusTopic: "homeassistant/status",
			Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		},
	}
	p.start()
	t.Cleanup(func() {
		if p.session != nil {
			p.stop()
		}
		cancel()
		upkeep.Wait()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *puppet) start() {
	p.t.Helper()
	s, err := mqtt.New(p.config, p.store, noCommands{})
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	p.session = s
	p.end = func() {
		cancel()
		if err := <-ended; err != nil {
			p.t.Error(err)
		}
	}
	all := make([]presence.Device, 0, len(p.devices))
	for _, d := range p.devices {
		all = append(all, d)
	}
	p.tell(all)
}

// stop ends it in order: it is offline then.
func (p *puppet) stop() {
	p.end()
	p.session = nil
}

// someone is a device that is away. name is what it calls itself.
func someone(last byte, name string) presence.Device {
	mac := presence.MAC{0x00, 0x16, 0x3e, 0, 0, last}
	at := time.Now().UTC()
	return presence.Device{
		ID: mac.ID(), MAC: mac, Interface: "lan0", Addr: netip.AddrFrom4([4]byte{10, 77, 0, last}),
		HostName: name, Vendor: "Xensource, Inc.", State: presence.NotHome, Since: at, Why: "test",
		FirstSeen: at, LastSeen: at, AwayAfter: time.Minute, Tracked: true,
	}
}

// are sets the state of devices and tells of it, with an event for each.
func (p *puppet) are(s presence.State, devices ...presence.Device) {
	kind := presence.Arrived
	if s == presence.NotHome {
		kind = presence.Left
	}
	var changed []presence.Device
	var events []presence.Event
	for _, d := range devices {
		d.State, d.Since = s, time.Now().UTC()
		p.devices[d.ID] = d
		changed = append(changed, d)
		events = append(events, about(kind, d))
	}
	if p.session != nil {
		p.tell(changed)
		p.store.Append(events)
	}
}

// appear tells of new devices, which are home, all at once.
func (p *puppet) appear(devices ...presence.Device) {
	var events []presence.Event
	for i := range devices {
		devices[i].State = presence.Home
		p.devices[devices[i].ID] = devices[i]
		events = append(events, about(presence.NewDevice, devices[i]), about(presence.Arrived, devices[i]))
	}
	p.tell(devices)
	p.store.Append(events)
}

func (p *puppet) tell(devices []presence.Device) {
	p.session.Update(devices)
	sum := presence.Summary{Known: len(p.devices), Sensing: []presence.Sensing{{Interface: "lan0"}}}
	for _, d := range p.devices {
		if d.State == presence.Home {
			sum.Home++
		}
	}
	p.session.SetSummary(sum)
}

func about(kind presence.EventType, d presence.Device) presence.Event {
	return presence.Event{
		Type: kind, Time: time.Now().UTC(), ID: d.ID, MAC: d.MAC, Addr: d.Addr, Name: d.DisplayName(),
		HostName: d.HostName, Vendor: d.Vendor, PrivateMAC: d.MAC.Private(), Why: "test",
	}
}
