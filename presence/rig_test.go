package presence

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

var t0 = time.Date(2026, time.January, 5, 12, 0, 0, 0, time.UTC)

// mac returns the n-th device's address; addr is where it is asked.
func mac(n int) MAC { return MAC{0, 0x16, 0x3e, 0, byte(n >> 8), byte(n)} }

func addr(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }

func sighting(n int, k Kind) Sighting {
	return Sighting{Interface: "eth0", MAC: mac(n), Addr: addr(n), Kind: k}
}

// rig turns an Engine by its own Next, sends its probes and has them answered.
type rig struct {
	t       testing.TB
	e       *Engine
	now     time.Time
	answers map[MAC]bool     // who answers
	reached func(Probe) bool // whether whom a probe is for is where it goes; nil: always
	mute    bool             // probes cannot be sent
	mute6   bool             // those by IPv6 cannot, and the Engine is told
	cut     bool             // those to where a device is reached cannot, which turns out later
	replies []Sighting       // under way
	events  []Event
	probes  []sent
	changed []Device
	gone    []ID
	outages []OutageOver
}

type sent struct {
	Probe
	at time.Time
}

func newRig(t testing.TB, cfg Config, known ...Record) *rig {
	t.Helper()
	r := &rig{t: t, e: New(cfg), now: t0, answers: map[MAC]bool{}}
	r.take(r.e.Restore(t0, known))
	return r
}

func (r *rig) take(out Output) {
	r.events = append(r.events, out.Events...)
	r.changed = append(r.changed, out.Changed...)
	r.gone = append(r.gone, out.Forgotten...)
	r.outages = append(r.outages, out.Outages...)
	for _, p := range slices.Clone(out.Probes) {
		r.probes = append(r.probes, sent{p, r.now})
		if r.mute {
			continue
		}
		if r.mute6 && p.Addr.Is6() {
			r.e.Unsent(r.now, p)
			continue
		}
		r.e.Asked(r.now, p)
		kind := ARPReply
		switch {
		case p.Reach == (Reach{}):
		case r.cut:
			r.e.Unsent(r.now, p)
			continue
		case p.Reach.Port > 0:
			kind = TCPReply
		default:
			kind = PingReply
		}
		if r.answers[p.MAC] && (r.reached == nil || r.reached(p)) {
			r.replies = append(r.replies, Sighting{
				At: r.now.Add(2 * time.Millisecond), Interface: p.Interface, MAC: p.MAC, Addr: p.Addr, Kind: kind,
			})
		}
	}
}

// wait lets d pass.
func (r *rig) wait(d time.Duration) {
	r.t.Helper()
	end := r.now.Add(d)
	for still := 0; ; {
		next := r.e.Next()
		reply := len(r.replies) > 0 && !r.replies[0].At.After(next)
		if reply {
			next = r.replies[0].At
		}
		if next.After(end) {
			break
		}
		if still++; next.After(r.now) {
			r.now, still = next, 0
		}
		if still > 1000 {
			r.t.Fatalf("no progress at %s: Next is %s", r.now, next)
		}
		if reply {
			s := r.replies[0]
			r.replies = r.replies[1:]
			r.take(r.e.Sight(s))
			continue
		}
		r.take(r.e.Tick(r.now))
	}
	r.now = end
}

// hear has s heard now.
func (r *rig) hear(s Sighting) {
	s.At = r.now
	r.take(r.e.Sight(s))
}

func (r *rig) sense(ifname string, blind bool) {
	why := "carrier on " + ifname
	if blind {
		why = "no " + why
	}
	r.take(r.e.Sense(Sensing{At: r.now, Interface: ifname, Blind: blind, Why: why}))
}

func (r *rig) set(n int, c Change) {
	r.t.Helper()
	out, ok := r.e.Set(r.now, mac(n).ID(), c)
	if !ok {
		r.t.Fatalf("device %d is unknown", n)
	}
	r.take(out)
}

// types returns the types of the events since the last call, and forgets them.
func (r *rig) types() []EventType {
	types := []EventType{}
	for _, e := range r.events {
		types = append(types, e.Type)
	}
	r.events = nil
	return types
}

// sends returns the probes since the last call, and forgets them.
func (r *rig) sends() []sent {
	p := r.probes
	r.probes = nil
	return p
}

func (r *rig) device(n int) Device {
	r.t.Helper()
	d, ok := r.e.Device(mac(n).ID())
	if !ok {
		r.t.Fatalf("device %d is unknown", n)
	}
	return d
}

func (r *rig) known(n int) bool {
	_, ok := r.e.Device(mac(n).ID())
	return ok
}

// taught returns a model of that many weeks at home with these silences, each
// a hundred times.
func taught(weeks float64, silences ...time.Duration) Model {
	m := Model{home: weeks}
	for range 100 {
		for _, s := range silences {
			m.sleep(s)
		}
	}
	return m
}

// record returns device n as it is stored, home since long.
func record(n int, m Model) Record {
	return Record{Model: m, Device: Device{
		ID: mac(n).ID(), MAC: mac(n), Interface: "eth0", Addr: addr(n), State: Home, Why: "because",
		Since: t0.AddDate(0, 0, -20), FirstSeen: t0.AddDate(0, 0, -20), LastSeen: t0.Add(-time.Minute),
	}}
}

// anchor, responsive and sleeper are three devices that are known well: one
// that always answers and is never away, a laptop and a phone.
func anchor(n int) Record { return record(n, taught(3, 30*time.Second)) }

func responsive(n int) Record {
	r := anchor(n)
	r.Model.leaves = 5
	return r
}

func sleeper(n int) Record {
	m := taught(3, 30*time.Second, 5*time.Minute, 30*time.Minute)
	m.leaves = 5
	return record(n, m)
}
