package presence

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Output is what one call to the Engine brought about. Its slices are valid
// until the next call.
type Output struct {
	Events    []Event  // in order
	Probes    []Probe  // to be sent now
	Changed   []Device // whose state, addresses, names or settings are different now
	Forgotten []ID     // gone for good
	Merged    []ID     // part of another device now; Record still returns them

	Outages []OutageOver // that are over

	GroupsChanged bool // Groups returns something else now
}

// Engine decides home or away for every device. Make one with New.
type Engine struct {
	cfg      Config
	now      time.Time // never goes back
	devices  map[ID]*device
	byMAC    map[MAC]*device
	self     map[MAC]bool
	groups   map[string]*group    // by slug
	outside  map[ID]struct{}      // devices with a group that is one too many
	declared map[MAC]*Declaration // by the device file, each of its MACs
	inOrder  []Declaration        // the same as the file has it

	absorbed   map[ID]Record        // what is part of another device, as it was
	byIdentity map[string][]*device // see identity.keys
	followers  int                  // devices that follow what they are known by
	door       []waiting            // in the order in which they came
	due        queue
	home       int // devices that are home
	tracked    int
	lastNew    *NewFound

	told map[NameSource]directory // what lease files and hosts files say

	stations  stations
	newcomers []Sighting // stations that are no devices yet, in order

	links map[string]*link // by the interface's name; that of a VLAN may have none of its own
	order []*link          // the same, by name
	late  time.Duration    // how late the last one attended was
	gate  time.Time        // before this no probe is sent
	sweep time.Time        // when the table is next searched for devices to forget

	baseline bool
	guests   guestbook
	doorman  doorman
	troubles troubles
	voices   map[MAC]*voice // by their own MAC
	restored time.Time
	claims   claims
	servers  map[service][]server
	touched  map[ID]struct{} // heard or learned since the last Touched

	out     Output
	changed map[ID]struct{}
}

// New returns an Engine that knows nobody.
func New(cfg Config) *Engine {
	cfg = cfg.withDefaults()
	e := &Engine{
		cfg:      cfg,
		devices:  map[ID]*device{},
		byMAC:    map[MAC]*device{},
		self:     map[MAC]bool{},
		told:     map[NameSource]directory{},
		groups:   map[string]*group{},
		outside:  map[ID]struct{}{},
		links:    map[string]*link{},
		stations: stations{},
		touched:  map[ID]struct{}{},
		changed:  map[ID]struct{}{},
		troubles: troubles{},
		voices:   map[MAC]*voice{},
		servers:  map[service][]server{},
		baseline: cfg.Baseline,

		absorbed:   map[ID]Record{},
		byIdentity: map[string][]*device{},
	}
	for _, m := range cfg.Self {
		e.self[m] = true
	}
	e.setDeclared(cfg.Declared)
	return e
}

// begin starts a call: time never goes back, the last output is forgotten.
func (e *Engine) begin(now time.Time) {
	if now.After(e.now) {
		e.now = now
	}
	if e.sweep.IsZero() && !e.now.IsZero() {
		e.sweep = e.now.Add(forgetEvery)
	}
	clear(e.out.Events)
	e.out.Events = e.out.Events[:0]
	e.out.Probes = e.out.Probes[:0]
	if e.out.Changed = e.out.Changed[:0]; cap(e.out.Changed) > 1024 {
		e.out.Changed = nil // the room of very many, as when the device file has changed
	}
	e.out.Forgotten = e.out.Forgotten[:0]
	e.out.Outages = e.out.Outages[:0]
	e.out.Merged = e.out.Merged[:0]
	e.out.GroupsChanged = false
}

// end finishes a call: who changed is reported once, as it is now.
func (e *Engine) end() Output {
	if e.out.GroupsChanged {
		e.letIn()
	}
	if len(e.changed) > 0 {
		for _, id := range sortedIDs(e.changed) {
			if d := e.devices[id]; d != nil {
				e.out.Changed = append(e.out.Changed, d.Device)
			}
		}
		clear(e.changed)
	}
	return e.out
}

func (e *Engine) newest() time.Time {
	if e.lastNew == nil {
		return time.Time{}
	}
	return e.lastNew.Time
}

func (e *Engine) noteNew(d *device) {
	e.lastNew = &NewFound{
		Found: Found{ID: d.ID, Addr: d.Address(), Name: d.DisplayName()},
		MAC:   d.MAC, Vendor: d.Vendor, Time: d.FirstSeen.Round(0).UTC(),
	}
}

// Sight takes what was heard. It is the only way for a device to come home.
func (e *Engine) Sight(s Sighting) Output {
	e.begin(s.At)
	if s.Kind.wifi() {
		e.sightStation(s)
		return e.end()
	}
	ev := s.Evidence()
	d := e.byMAC[s.MAC]
	e.noteServer(s)
	if d != nil && d.IgnoreARPReplies && s.answers() || e.spoofed(d, s) {
		return e.end()
	}
	if s.Kind.reached() {
		e.reached(d, s)
		return e.end()
	}
	if d == nil {
		if ev < Alive || !s.MAC.Station() || e.self[s.MAC] {
			return e.end()
		}
		if d = e.enter(s); d == nil {
			return e.end()
		}
	}
	e.meet(d, s, ev)
	return e.end()
}

// meet takes what was heard of d.
func (e *Engine) meet(d *device, s Sighting, ev Evidence) {
	if d.heirIs(s.MAC) {
		if ev >= Alive {
			e.hearHeir(d, s)
		}
		return
	}
	e.learnNames(d, s)
	p := d.as(s.MAC)
	d.noteGiven(s)
	d.asBefore(p)
	switch ev {
	case None:
		if s.MAC == d.MAC && (d.Interface == s.Interface || d.Interface == "" || s.Relayed) {
			d.expect(s.Addr)
		}
	case Hint:
		// It says good-bye, or that its address is taken: ask, do not believe.
		d.tainted = true
		if d.State == Home {
			e.askSoon(d)
		}
	default:
		d = e.speaker(d, s, ev)
		e.hear(d, s, ev)
		if s.DHCP != nil {
			e.suggest(d)
		}
	}
}

// speaker returns the device that s is of, and decides by which of its MACs it
// goes now.
func (e *Engine) speaker(d *device, s Sighting, ev Evidence) *device {
	if len(d.others) > 0 {
		d = e.contest(d, s)
		e.turn(d, s, ev)
	}
	return d
}

// spoofed is disbelieved, by what is known of the MAC of s.
func (e *Engine) spoofed(d *device, s Sighting) bool {
	if d == nil || d.heirIs(s.MAC) {
		return e.disbelieved(nil, s)
	}
	p := d.as(s.MAC)
	defer d.asBefore(p)
	return e.disbelieved(d, s)
}

// hear is a sighting that proves that d is there.
func (e *Engine) hear(d *device, s Sighting, ev Evidence) {
	if ev == Join && s.Kind.again() && d.State == Home {
		ev = Alive
	}
	ev = d.back(s, ev)
	e.learnSilence(d, max(s.At.Sub(d.heard), 0), ev, s.At)
	doubt := e.hearAt(d, s, ev)
	if s.At.After(d.heard) {
		d.heard, d.quiet = s.At, later(d.quiet, s.At)
	}
	lastSeen := d.LastSeen
	d.LastSeen = d.heard.Round(0).UTC()
	d.tainted, d.early = false, false
	d.unask()
	e.touched[d.ID] = struct{}{}
	e.answered(d)
	switch {
	case d.State != Home:
		e.arrive(d, s, lastSeen)
	case d.FirstSeen.IsZero(): // it came a moment before a kill
		d.FirstSeen = d.LastSeen
		e.mark(d)
	}
	ask, decide, _ := e.plan(d)
	e.schedule(d, d.quiet.Add(min(ask, decide)))
	if doubt || d.askFirst != (MAC{}) {
		e.askSoon(d)
	}
	p := d.as(s.MAC)
	e.claim(d, s)
	d.asBefore(p)
	e.countQuestions(d, s)
	if d.heir != nil && s.At.After(d.heir.first.At) {
		e.refute(d)
	}
}

func (e *Engine) arrive(d *device, s Sighting, lastSeen time.Time) {
	known := !d.Since.IsZero() // also when it is in the device file
	first := !known || d.FirstSeen.IsZero()
	if d.FirstSeen.IsZero() {
		d.FirstSeen = d.LastSeen
	}
	e.part(d)
	d.State = Home
	e.join(d)
	d.Since = e.now.Round(0).UTC()
	d.Why = whyArrived(s, lastSeen, !first)
	e.home++
	e.mark(d)
	if e.baseline && first {
		return
	}
	if !known {
		e.announce(d)
	}
	e.emit(Arrived, d, d.Why)
}

// leave declares d away.
func (e *Engine) leave(d *device) {
	why := e.whyLeft(d)
	e.part(d)
	d.State = NotHome
	e.join(d)
	d.Since = e.now.Round(0).UTC()
	d.Why = why
	d.model.left()
	d.step, d.again = 0, time.Time{} // who is away is not asked again for having been nudged
	e.home--
	e.mark(d)
	e.emit(Left, d, why)
	e.suggestFor(d)
}

// emit adds an event about d.
func (e *Engine) emit(t EventType, d *device, why string) {
	e.out.Events = append(e.out.Events, Event{
		Type: t, Time: e.now.Round(0).UTC(), ID: d.ID, MAC: d.MAC, Addr: d.Address(),
		Name: d.DisplayName(), HostName: d.HostName, Vendor: d.Vendor,
		PrivateMAC: d.MAC.Private(), Why: why,
	})
}

// emitAbout is emit for an event that has to do with another device as well.
func (e *Engine) emitAbout(t EventType, d *device, other ID, why string) {
	e.emit(t, d, why)
	e.out.Events[len(e.out.Events)-1].Other = other
}

// mark notes that others must be told of d, and that it must be stored.
func (e *Engine) mark(d *device) {
	e.index(d)
	e.changed[d.ID] = struct{}{}
	e.touched[d.ID] = struct{}{}
}

// Asked tells that a probe for addr went out at now. Probes that the Engine
// asked for count only once they are reported here.
func (e *Engine) Asked(now time.Time, p Probe) {
	d := e.byMAC[p.MAC]
	if d == nil {
		return
	}
	if d.muted && p.Addr.Is6() && p.Reach == (Reach{}) {
		d.muted = false
		if d.State == Home && !d.waiting.IsZero() {
			e.restart(d) // its timeout has passed, but it was not asked
		}
	}
	d.asked++
	if d.asked == 1 {
		d.firstAsk = now
	}
	d.lastAsk = now
}

// Unsent tells that a probe that the Engine asked for could not be sent; for one
// with a Reach that may turn out after it was Asked, when the way there is cut. It is
// how the Engine learns that nobody can be asked by IPv6 on an interface. Who can
// be asked in no other way is not declared away for the silence that follows
// before it is as long as AwayMax; once it can be asked it has its timeout anew.
func (e *Engine) Unsent(now time.Time, p Probe) {
	if d := e.byMAC[p.MAC]; d != nil && p.Reach != (Reach{}) {
		e.cut(d, now)
		return
	}
	if !p.Addr.Is6() {
		return
	}
	e.linkNamed(p.Interface).noIPv6 = now.Add(noIPv6For)
	if d := e.byMAC[p.MAC]; d != nil && d.MAC == p.MAC {
		first, _, _ := e.addressesOf(d)
		d.muted = first.Is6()
	}
}

// AskedAddr is Asked for a probe whose device is known by its address only,
// as a broadcast in a capture.
func (e *Engine) AskedAddr(now time.Time, addr netip.Addr) {
	if !addr.IsValid() {
		return
	}
	for _, d := range e.devices {
		if d.Addr == addr || d.expected == addr || slices.Contains(d.IPv6, addr) {
			e.Asked(now, Probe{MAC: d.MAC, Addr: addr})
		}
		for _, p := range d.others {
			if p.Addr == addr || slices.Contains(p.IPv6, addr) {
				e.Asked(now, Probe{MAC: p.MAC, Addr: addr})
			}
		}
	}
}

// Set carries out a user's command. ok is false when the device is unknown. What
// the device file decides (see Overruled) is kept for when it does no more.
func (e *Engine) Set(now time.Time, id ID, c Change) (out Output, ok bool) {
	e.begin(now)
	d := e.devices[id]
	if d == nil {
		return e.end(), false
	}
	d.own = c.apply(d.own)
	e.redecide(d)
	e.mark(d)
	e.retrack()
	return e.end(), true
}

// Forget removes a device with all that was learned and set, as if it had never
// been heard: should it be heard again, it is new. ok is false when it is unknown,
// or in the device file, where it must be removed first.
func (e *Engine) Forget(now time.Time, id ID) (out Output, ok bool) {
	e.begin(now)
	d := e.devices[id]
	if d == nil || d.inFile {
		return e.end(), false
	}
	e.remove(d)
	e.retrack()
	return e.end(), true
}

// EndBaseline ends the first run's silence about new devices with one event
// that lists them; it does nothing when there is no baseline under way.
func (e *Engine) EndBaseline(now time.Time) Output {
	e.begin(now)
	if e.baseline {
		e.openDoor(true)
		e.welcome(e.now)
		e.baseline = false
		e.cfg.BaselineAt = e.now.Round(0).UTC()
		e.emitBaseline()
	}
	return e.end()
}

// Baselining reports whether the first run's list is still being made.
func (e *Engine) Baselining() bool { return e.baseline }

// Device returns the device with this id.
func (e *Engine) Device(id ID) (Device, bool) {
	d := e.devices[id]
	if d == nil {
		return Device{}, false
	}
	return d.Device, true
}

// Devices returns all devices, ordered by id.
func (e *Engine) Devices() []Device {
	all := make([]Device, 0, len(e.devices))
	for _, id := range sortedIDs(e.devices) {
		all = append(all, e.devices[id].Device)
	}
	return all
}

// Record returns the device with this id as it is to be stored, also when it
// has become part of another one.
func (e *Engine) Record(id ID) (Record, bool) {
	d := e.devices[id]
	if d == nil {
		r, part := e.absorbed[id]
		return r, part
	}
	return d.record(), true
}

// Touched returns the devices that were heard or learned of since the last
// call, as they are to be stored, ordered by id.
func (e *Engine) Touched() []Record {
	records := make([]Record, 0, len(e.touched))
	for _, id := range sortedIDs(e.touched) {
		if d := e.devices[id]; d != nil {
			records = append(records, d.record())
		}
	}
	clear(e.touched)
	return records
}

// Refused returns how many frames of made-up MACs were refused since the start.
func (e *Engine) Refused() uint64 { return e.doorman.total }

// Summary returns the household in one value; Problems is empty, the Engine
// knows none but a flood.
func (e *Engine) Summary() Summary {
	s := Summary{Home: e.home, Known: len(e.devices), LastNew: e.lastNew, BaselineAt: e.cfg.BaselineAt}
	for _, l := range e.order {
		if l.sensed {
			s.Sensing = append(s.Sensing, Sensing{At: l.since.Round(0).UTC(), Interface: l.name, Blind: l.blind, Why: l.why})
		}
	}
	if len(e.outside) > 0 {
		s.Problems = append(s.Problems, fmt.Sprintf("there are %d groups, the most that there can be: others have no state", MaxGroups))
	}
	if e.doorman.flooded(e.now) {
		s.Problems = append(s.Problems, e.doorman.words())
	}
	return s
}
