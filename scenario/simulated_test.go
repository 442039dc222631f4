package scenario

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porchlight/bridge"
	"porchlight/discovery"
	"porchlight/presence"
)

// simulation is a world in virtual time: the bridge and the engine are real;
// the LAN, the database and the broker are values.
type simulation struct {
	t      *testing.T
	bridge *bridge.Bridge
	end    context.CancelFunc
	ended  chan error
	events chan presence.Event

	mu       sync.Mutex
	running  bool
	cellar   bool            // there is a second segment
	blind    map[string]bool // by interface
	baseline bool            // done
	cut      bool            // the broker is away
	kept     []presence.Event
	told     []presence.Event // all
	seq      int64
	stored   map[presence.ID]presence.Record
	shown    map[presence.ID]presence.Device
	devices  map[string]*simulated
	sum      []byte // the summary topic
}

// simulated is a device of a simulation.
type simulated struct {
	person
	addrs    []netip.Addr // it answers for; the first is its own
	ifname   string       // where it is heard
	up, deaf bool
	proxy    bool // answers for all others as well
}

const (
	simTimeout = 10 * time.Minute
	simAnswer  = 2 * time.Millisecond
)

func simulate(t *testing.T, s story) {
	synctest.Test(t, func(t *testing.T) {
		w := &simulation{
			t: t, events: make(chan presence.Event, 1000),
			stored: map[presence.ID]presence.Record{}, shown: map[presence.ID]presence.Device{},
			devices: map[string]*simulated{}, cellar: s.cellar, blind: map[string]bool{},
		}
		for i, p := range s.people {
			a := lan.Addr().Next()
			for range i + 23 { // past those that are static
				a = a.Next()
			}
			if p.static > 0 || p.name == gateway.name {
				a = lan.Addr().Next()
				for range p.static {
					a = a.Next()
				}
			}
			if p.ipv6 {
				a = netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 15: byte(i + 1)})
			}
			w.devices[p.name] = &simulated{person: p, addrs: []netip.Addr{a}, ifname: "lan0", up: p.here}
		}
		defer func() {
			if w.running {
				w.stop()
			}
		}()
		(&teller{T: t, world: w, story: s}).tell()
	})
}

func (w *simulation) timeout() time.Duration { return simTimeout }

func (w *simulation) start() {
	records := make([]presence.Record, 0, len(w.stored))
	for _, r := range w.stored {
		records = append(records, r)
	}
	b := bridge.New(bridge.Config{
		Engine: presence.New(presence.Config{
			AwayAfter: simTimeout, ProbeInterval: simTimeout / probesPerTimeout,
			MaxTracked: -1, Baseline: !w.baseline, Told: w.told,
		}),
		Log: w, Publisher: w, LAN: w, SweepInterval: 24 * time.Hour,
		BaselineDone: func() { w.with(func() { w.baseline = true }) },
	})
	var ctx context.Context
	ctx, w.end = context.WithCancel(context.Background())
	w.bridge, w.ended = b, make(chan error, 1)
	go func() { w.ended <- b.Run(ctx, records) }()
	w.with(func() { w.running = true })
	for _, ifname := range w.interfaces() {
		w.sense(ifname, w.blind[ifname])
	}
	synctest.Wait()
}

func (w *simulation) stop() {
	w.end()
	if err := <-w.ended; err != nil {
		w.t.Errorf("Run: %v", err)
	}
	w.with(func() { w.running = false })
}

// kill ends it before its last words are written.
func (w *simulation) kill() {
	w.with(func() { w.running = false })
	w.stop()
}

// While the broker is away the log keeps the events for it.
func (w *simulation) breakBroker() { w.with(func() { w.cut = true }) }

func (w *simulation) mendBroker() {
	w.with(func() {
		w.cut = false
		for _, e := range w.kept {
			w.events <- e
		}
		w.kept = nil
	})
}

func (w *simulation) unplug(ifname string) { w.sense(ifname, true) }
func (w *simulation) plug(ifname string)   { w.sense(ifname, false) }

func (w *simulation) sense(ifname string, blind bool) {
	why := ifname + " hears"
	if blind {
		why = "no carrier on " + ifname
	}
	w.with(func() { w.blind[ifname] = blind })
	w.bridge.Sense(presence.Sensing{At: time.Now(), Interface: ifname, Blind: blind, Why: why})
}

func (w *simulation) interfaces() []string {
	if w.cellar {
		return []string{"lan0", "lan1"}
	}
	return []string{"lan0"}
}

func (w *simulation) device(p person) *simulated { return w.devices[p.name] }

// say has a frame of d heard.
func (w *simulation) say(d *simulated, k presence.Kind, a netip.Addr, unicast bool) {
	s := presence.Sighting{At: time.Now(), Interface: d.ifname, MAC: d.mac, Addr: a, Kind: k, Unicast: unicast}
	if k == presence.DHCPDiscover || k == presence.DHCPRequest {
		s.DHCP = &presence.DHCP{HostName: d.name, Fingerprint: "1,3,6,12,15"}
	}
	w.hear(s)
}

func (w *simulation) hear(s presence.Sighting) {
	w.mu.Lock()
	hears := w.running && !w.blind[s.Interface]
	w.mu.Unlock()
	if hears {
		w.bridge.Sight(s)
	}
}

func (w *simulation) rotate(p person, m presence.MAC) {
	w.leave(p)
	w.with(func() { w.device(p).mac = m })
}

func (w *simulation) set(p person, payload string) {
	merge, split, err := presence.ParseMerge([]byte(payload))
	change, _, other := presence.ParseChange([]byte(payload))
	switch {
	case err != nil || other != nil:
		w.t.Errorf("%s: %v, %v", payload, err, other)
	case len(merge) > 0:
		w.bridge.Merge(p.mac.ID(), merge)
	case len(split) > 0:
		w.bridge.Split(p.mac.ID(), split)
	default:
		w.bridge.Set(p.mac.ID(), change)
	}
	synctest.Wait()
}

func (w *simulation) join(p person) {
	d := w.device(p)
	w.with(func() { d.up, d.deaf = true, false })
	switch {
	case p.ipv6:
		w.say(d, presence.MLDReport, netip.Addr{}, false)
		w.say(d, presence.NDPDad, d.addrs[0], false)
		w.say(d, presence.NDPRouterSolicitation, d.addrs[0], false)
		return
	case p.static > 0:
		w.announce(p)
		return
	}
	w.say(d, presence.DHCPDiscover, netip.Addr{}, false)
	w.say(d, presence.DHCPOffer, d.addrs[0], true)
	w.say(d, presence.DHCPRequest, d.addrs[0], false)
	w.say(d, presence.DHCPAck, d.addrs[0], true)
}

// roam gives it an address of the other segment.
func (w *simulation) roam(p person) {
	d := w.device(p)
	time.Sleep(time.Second) // nobody is there and here at once
	w.with(func() {
		a := d.addrs[0].As4()
		if d.ifname == "lan0" {
			d.ifname, a[1] = "lan1", 78
		} else {
			d.ifname, a[1] = "lan0", 77
		}
		d.addrs = []netip.Addr{netip.AddrFrom4(a)}
	})
	w.join(p)
}

func (w *simulation) leave(p person) { w.with(func() { w.device(p).up = false }) }
func (w *simulation) sleep(p person) { w.with(func() { w.device(p).deaf = true }) }
func (w *simulation) wake(p person)  { w.with(func() { w.device(p).deaf = false }) }
func (w *simulation) announce(p person) {
	w.say(w.device(p), presence.ARPAnnouncement, w.addr(p), false)
}

// renew is seen only by the ARP request that comes before it.
func (w *simulation) renew(p person) { w.say(w.device(p), presence.ARPRequest, w.addr(p), false) }

func (w *simulation) release(p person, stays bool) {
	w.say(w.device(p), presence.DHCPRelease, w.addr(p), true)
	if !stays {
		w.leave(p)
	}
}

func (w *simulation) claim(p person, second bool) {
	d := w.device(p)
	a := another(w.addr(p))
	if second {
		w.with(func() { d.addrs = append(d.addrs, a) })
	} else {
		w.say(d, presence.DHCPRequest, a, false)
		w.with(func() { d.addrs = []netip.Addr{a} })
	}
	w.say(d, presence.ARPAnnouncement, a, false)
}

func (w *simulation) offered(by, to person) {
	for _, k := range []presence.Kind{presence.DHCPOffer, presence.DHCPAck} {
		w.hear(presence.Sighting{
			At: time.Now(), Interface: "lan0", MAC: to.mac, Addr: w.addr(to), Kind: k, Unicast: true, Via: by.mac, Peer: w.addr(by),
		})
	}
}

func (w *simulation) ask(p person) {
	for a := lan.Addr().Next(); lan.Contains(a); a = a.Next() {
		w.hear(presence.Sighting{At: time.Now(), Interface: "lan0", MAC: p.mac, Addr: w.addr(p), Kind: presence.ARPRequest, Peer: a})
	}
}

func (w *simulation) usurp(p, of person) {
	w.say(w.device(p), presence.ARPAnnouncement, w.addr(of), false)
}

func (w *simulation) proxy(p person) { w.with(func() { w.device(p).proxy = true }) }

func (w *simulation) scan() { w.bridge.Scan() }

func (w *simulation) next(within time.Duration) (presence.Event, bool) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case e := <-w.events:
		return e, true
	case <-timer.C:
		return presence.Event{}, false
	}
}

func (w *simulation) await(within time.Duration) (presence.Event, bool) { return w.next(within) }

func (w *simulation) slack() time.Duration { return 0 }

func (w *simulation) state(p person) (s presence.State) {
	w.with(func() { s = w.shown[p.mac.ID()].State })
	return s
}

func (w *simulation) attributes(p person) (a discovery.Attributes) {
	o := discovery.Options{Zone: "zone.home"}
	w.with(func() {
		if d, ok := w.shown[p.mac.ID()]; ok {
			if err := json.Unmarshal(o.Attributes(&d), &a); err != nil {
				w.t.Error(err)
			}
		}
	})
	return a
}

func (w *simulation) status() (s string) {
	w.with(func() {
		s = discovery.Offline
		if w.running {
			s = discovery.Online
		}
	})
	return s
}

func (w *simulation) summary() (s summary) {
	w.with(func() {
		if err := json.Unmarshal(w.sum, &s); err != nil {
			w.t.Error(err)
		}
	})
	return s
}

func (w *simulation) addr(p person) (a netip.Addr) {
	w.with(func() { a = w.device(p).addrs[0] })
	return a
}

func (w *simulation) settle(func() bool) { synctest.Wait() }

func (w *simulation) with(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// Append implements bridge.Log.
func (w *simulation) Append(events []presence.Event) []presence.Event {
	for i := range events {
		w.seq++
		events[i].Seq = w.seq
		w.with(func() {
			w.told = append(w.told, events[i])
			if w.cut {
				w.kept = append(w.kept, events[i])
			} else {
				w.events <- events[i]
			}
		})
	}
	return events
}

// SaveDevices implements bridge.Log.
func (w *simulation) SaveDevices(records []presence.Record) {
	w.with(func() {
		for _, r := range records {
			if w.running {
				w.stored[r.ID] = r
			}
		}
	})
}

// DeleteDevices implements bridge.Log.
func (w *simulation) DeleteDevices(ids []presence.ID) { w.t.Errorf("forgot %v", ids) }

// Update implements bridge.Publisher.
func (w *simulation) Update(devices []presence.Device) {
	w.with(func() {
		for _, d := range devices {
			w.shown[d.ID] = d
		}
	})
}

// Remove implements bridge.Publisher. In a story nobody is forgotten.
func (w *simulation) Remove(ids []presence.ID) {
	w.with(func() {
		for _, id := range ids {
			delete(w.shown, id)
		}
	})
}

// SetGroups implements bridge.Publisher.
func (w *simulation) SetGroups([]presence.Group) {}

// SetSummary implements bridge.Publisher.
func (w *simulation) SetSummary(s presence.Summary) { w.with(func() { w.sum = discovery.Summary(&s) }) }

// Probe implements bridge.LAN.
func (w *simulation) Probe(p presence.Probe) error {
	w.with(func() {
		for _, d := range w.devices {
			if !p.Broadcast && d.mac != p.MAC || d.ifname != p.Interface {
				continue
			}
			w.answer(d, p.Addr)
		}
	})
	return nil
}

// answer has d answer a request for a, if it does.
func (w *simulation) answer(d *simulated, a netip.Addr) {
	if !d.up || d.deaf || w.blind[d.ifname] || !slices.Contains(d.addrs, a) && !(d.proxy && a.Is4()) {
		return
	}
	kind := presence.ARPReply
	if a.Is6() {
		kind = presence.NDPAdvertisement
	}
	time.AfterFunc(simAnswer, func() { w.say(d, kind, a, true) })
}

// Sweep implements bridge.LAN; IPv6 is not swept.
func (w *simulation) Sweep(ctx context.Context) error {
	w.with(func() {
		for _, d := range w.devices {
			asked := slices.Clone(d.addrs[:1])
			for a := lan.Addr().Next(); d.proxy && lan.Contains(a); a = a.Next() {
				asked = append(asked, a)
			}
			for _, a := range asked {
				if a.Is4() {
					w.answer(d, a)
				}
			}
		}
	})
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	return nil
}
