package presence

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

const (
	// forgetEvery is how often the table is searched for devices to forget.
	forgetEvery = time.Hour
	// ghostAfter is how long a device is kept that nobody named and that was
	// only ever heard within one minute: somebody made it up.
	ghostAfter = 24 * time.Hour
	ghostSpan  = time.Minute

	// A flood is more unknown MACs in a moment than any network has.
	floodWindow = 100 * time.Millisecond
	floodSize   = 200
	// floodCalm is how long it must have been quiet for the flood to be over.
	floodCalm = 10 * time.Second
	// During a flood a MAC is let in when it is heard again after a while, and
	// no more than one in floodEach.
	floodAgain = 2 * time.Second
	floodEach  = time.Second
	floodSeen  = 4096

	// Without a flood, this many new devices are let in at once, and this many
	// a second after that.
	admitBurst = 2000
	// On the first run everybody is new, so that much more of both is normal.
	firstRun  = 10
	admitRate = 50
)

// doorman decides whether a MAC that was never heard before is let in, so that
// a flood of made-up MACs costs next to nothing.
type doorman struct {
	tokens  float64
	at      time.Time // when tokens were last counted
	window  time.Time // begin of the moment in which arrivals are counted
	arrived int
	calm    time.Time         // when the present flood is over, if it stays quiet
	last    time.Time         // when one was last let in during a flood
	seen    map[MAC]time.Time // when each was first heard in this flood
	ring    []MAC             // those in seen; next is the oldest once it is full
	next    int
	refused int64  // in this flood
	total   uint64 // refused since the start
}

func (p *doorman) flooded(now time.Time) bool { return now.Before(p.calm) }

func (p *doorman) words() string {
	return fmt.Sprintf("a flood of made-up MAC addresses: %d frames refused; find the machine that sends them", p.refused)
}

// admit reports whether the unknown m, heard at now, is let in. much is how
// many times more newcomers than usual are normal.
func (p *doorman) admit(m MAC, now time.Time, much int) bool {
	if now.Sub(p.window) >= floodWindow {
		p.window, p.arrived = now, 0
	}
	p.arrived++
	if p.arrived > floodSize*much {
		p.calm = now.Add(floodCalm)
	}
	if p.flooded(now) {
		if p.again(m, now) && now.Sub(p.last) >= floodEach {
			p.last = now
			return true
		}
		p.refused++
		p.total++
		return false
	}
	p.seen, p.ring, p.next = nil, nil, 0
	p.refused = 0
	burst, rate := float64(admitBurst*much), float64(admitRate*much)
	if p.at.IsZero() {
		p.tokens, p.at = burst, now
	}
	p.tokens = min(burst, p.tokens+now.Sub(p.at).Seconds()*rate)
	p.at = now
	if p.tokens < 1 {
		p.total++
		return false
	}
	p.tokens--
	return true
}

// again reports whether m was heard a while ago in this flood already: made-up
// MACs are hardly ever made up twice.
func (p *doorman) again(m MAC, now time.Time) bool {
	if t, ok := p.seen[m]; ok {
		return now.Sub(t) >= floodAgain
	}
	if p.seen == nil {
		p.seen = make(map[MAC]time.Time, floodSeen)
	}
	if len(p.ring) < floodSeen {
		p.ring = append(p.ring, m)
	} else {
		delete(p.seen, p.ring[p.next])
		p.ring[p.next] = m
		p.next = (p.next + 1) % floodSeen
	}
	p.seen[m] = now
	return false
}

// letThrough reports whether s, of an unknown MAC, is no part of a flood.
func (e *Engine) letThrough(s Sighting) bool {
	much := 1
	if e.baseline {
		much = firstRun
	}
	return e.doorman.admit(s.MAC, e.now, much)
}

// room makes room for one more device.
func (e *Engine) room() bool { return len(e.devices) < e.cfg.MaxDevices || e.evict() }

// newDevice adds the device of s, which was never heard before.
func (e *Engine) newDevice(s Sighting) *device {
	d := &device{
		Device: Device{
			ID: s.MAC.ID(), MAC: s.MAC, Interface: s.Interface,
			State: NotHome, FirstSeen: s.At.Round(0).UTC(),
		},
		heard: s.At, quiet: s.At, heap: -1, tainted: true,
	}
	e.add(d)
	e.trackNew(d)
	e.consult(d)
	return d
}

// add makes d known, by its first MAC.
func (e *Engine) add(d *device) {
	d.first = d.MAC
	e.setVendor(d)
	e.devices[d.ID] = d
	e.byMAC[d.MAC] = d
	e.decide(d)
	e.tune(d)
	e.index(d)
}

// remove forgets d, and what is part of it.
func (e *Engine) remove(d *device) {
	macs := d.AllMACs()
	e.detach(d)
	e.out.Forgotten = append(e.out.Forgotten, d.ID)
	for _, m := range macs {
		e.forgetPart(m)
	}
}

// settled reports whether the user has decided anything about d, if only that
// it is known: such a device is never forgotten by itself.
func (d *device) settled() bool { return d.own.decided() || d.inFile }

// forget removes the devices that nobody named and that were not heard for long.
func (e *Engine) forget() {
	for _, id := range sortedIDs(e.devices) {
		d := e.devices[id]
		e.dropUnheard(d)
		if d.State == Home || d.settled() || d.Untold {
			continue
		}
		unheard := e.now.Sub(d.LastSeen)
		ghost := d.LastSeen.Sub(d.FirstSeen) < ghostSpan && unheard > ghostAfter
		if ghost || unheard > e.cfg.ForgetAfter {
			e.remove(d)
		}
	}
	e.retrack()
}

// evict makes room in a full table: of the devices that are away, that nobody
// named and that are no entities, one with private MACs only that was not heard
// for the longest goes first. It reports false when there is none.
func (e *Engine) evict() bool {
	var out *device
	for _, d := range e.devices {
		if d.State == Home || d.Tracked || d.settled() {
			continue
		}
		if out == nil || beforeOut(d, out) {
			out = d
		}
	}
	if out == nil {
		return false
	}
	if out.Untold {
		e.guests.gone++
	}
	e.remove(out)
	return true
}

// beforeOut orders the devices that can be evicted.
func beforeOut(a, b *device) bool {
	if private := a.madeUp(); private != b.madeUp() {
		return private
	}
	if c := a.LastSeen.Compare(b.LastSeen); c != 0 {
		return c < 0
	}
	return compareMACs(a.MAC, b.MAC) < 0
}

// wanted reports whether d should have an entity, were there no limit.
func (e *Engine) wanted(d *device) bool {
	switch {
	case d.Track != nil:
		return *d.Track
	case e.cfg.Track == TrackAll:
		return true
	case e.cfg.Track == TrackNamed:
		return d.Name != ""
	}
	return false
}

func (e *Engine) trackNew(d *device) {
	if e.wanted(d) && e.tracked < e.cfg.MaxTracked {
		d.Tracked = true
		e.tracked++
	}
}

// retrack gives the entities out anew, as far as they are wanted: to those that
// are important, to those that the user decided on, then to those that have one, then to the oldest.
func (e *Engine) retrack() {
	var wanted []*device
	for _, d := range e.devices {
		if e.wanted(d) {
			wanted = append(wanted, d)
		} else {
			e.track(d, false)
		}
	}
	slices.SortFunc(wanted, func(a, b *device) int {
		return cmp.Or(
			trueFirst(a.Important, b.Important),
			trueFirst(a.settled(), b.settled()),
			trueFirst(a.Tracked, b.Tracked),
			a.FirstSeen.Compare(b.FirstSeen),
			compareMACs(a.MAC, b.MAC),
		)
	})
	e.tracked = min(len(wanted), e.cfg.MaxTracked)
	for i, d := range wanted {
		e.track(d, i < e.tracked)
	}
}

// track notes whether d has an entity.
func (e *Engine) track(d *device, on bool) {
	if d.Tracked != on {
		d.Tracked = on
		e.mark(d)
	}
}

func trueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
