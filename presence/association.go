package presence

import (
	"math"
	"slices"
	"time"
)

// This file is what access points say of their stations. Who is associated is
// home, however silent, and hardly asked; who is let go is asked at once, and
// away when it is neither back nor heard within goneAfter.

const (
	never = time.Duration(math.MaxInt64)
	// nameWait is how long a station that was never heard before waits for its
	// first frame, which mostly says what to call it, before it is a device.
	nameWait      = 750 * time.Millisecond
	maxNewcomers  = 4096
	lostTogether  = 5 * time.Second        // stations that an access point loses within this, it loses together
	lastWordsTime = 500 * time.Millisecond // how much longer than goneAfter the last answer may take
)

// stations says which access points each station is associated with. In truth
// that is one (IEEE 802.11-2020, 4.5.3.3), but the one that it has left without
// a word keeps it in its list for minutes. Who fills it bounds it.
type stations map[MAC][]string

func (t stations) add(m MAC, ap string) {
	if !slices.Contains(t[m], ap) {
		t[m] = append(t[m], ap)
	}
}

// remove reports whether m was associated with ap.
func (t stations) remove(m MAC, ap string) bool {
	i := slices.Index(t[m], ap)
	switch {
	case i < 0:
		return false
	case len(t[m]) == 1:
		delete(t, m)
	default:
		t[m] = slices.Delete(t[m], i, i+1)
	}
	return true
}

// parting is how a device left the last access point that it was associated with.
type parting struct {
	from string
	at   time.Time // zero: it did not, or was heard since
}

// gone reports whether d has left the Wi-Fi and was not heard since.
func (d *device) gone() bool { return !d.parted.at.IsZero() }

// associated reports whether d is, by any of its MACs.
func (e *Engine) associated(d *device) bool {
	return len(e.stations[d.MAC]) > 0 || slices.ContainsFunc(d.others, func(p *port) bool { return len(e.stations[p.MAC]) > 0 })
}

// sightStation takes what an access point says of a station.
func (e *Engine) sightStation(s Sighting) {
	d := e.byMAC[s.MAC]
	switch {
	case !s.MAC.Station() || e.self[s.MAC]:
		return
	case s.Kind == WiFiDisassociation:
		e.disassociate(d, s)
		return
	case s.Kind == WiFiAssociation:
		e.stations[s.MAC] = []string{s.AP}
	default:
		e.stations.add(s.MAC, s.AP)
	}
	if d != nil && d.heirIs(s.MAC) {
		e.hearHeir(d, s)
		return
	}
	if d != nil {
		d = e.speaker(d, s, Join)
	}
	switch {
	case d == nil:
		if len(e.newcomers) < maxNewcomers {
			e.newcomers = append(e.newcomers, s)
		}
	case d.State != Home:
		e.hear(d, s, Join) // also when it is listed: the association was missed
	case s.Kind == WiFiAssociation:
		// It may have been on the link all the time, through another access point.
		d.tainted = d.tainted || !d.gone()
		e.hear(d, s, Join)
	case d.gone():
		d.parted = parting{}
		e.askAnew(d, s.At)
	}
}

// welcome makes devices of those that were associated until then, were not heard
// since, and are still there.
func (e *Engine) welcome(until time.Time) {
	for len(e.newcomers) > 0 && !e.newcomers[0].At.After(until) {
		s := e.newcomers[0]
		e.newcomers = e.newcomers[1:]
		if e.byMAC[s.MAC] != nil || !slices.Contains(e.stations[s.MAC], s.AP) {
			continue
		}
		if d := e.enter(s); d != nil {
			e.hear(d, s, Join)
		}
	}
}

// disassociate takes that an access point has let a station go. It counts only
// when it was associated: anybody can try to get in with the MAC of another,
// and fail. d is nil when it is not known.
func (e *Engine) disassociate(d *device, s Sighting) {
	was := e.stations.remove(s.MAC, s.AP)
	if !was || d == nil || d.State != Home || e.associated(d) || d.heard.After(s.At) {
		return
	}
	if d.heirIs(s.MAC) || d.alsoAt(s.MAC) {
		e.askSoon(d)
		return
	}
	d.parted = parting{s.AP, s.At}
	e.askAnew(d, s.At)
	e.lost(e.linkOf(d), s.AP)
}

// lost begins an outage when several of those who are always there were let go
// together: it is the access point that is in trouble.
func (e *Engine) lost(l *link, ap string) {
	if l.held(e.now) {
		return
	}
	var missing []*device
	e.on(l, func(d *device) {
		if d.gone() && d.parted.from == ap && e.now.Sub(d.parted.at) < lostTogether && e.anchor(d) {
			missing = append(missing, d)
		}
	})
	if len(missing) >= outageLeast {
		l.checking, l.checkedAt = nil, e.now
		e.hold(l, missing)
	}
}

// LoseAP tells that an access point says no more: it was switched off, or its
// program ended. What it said of its stations counts no longer; each has the
// whole of its timeout, also who was let go just before and is not away yet.
func (e *Engine) LoseAP(now time.Time, ap string) Output {
	e.begin(now)
	for m := range e.stations {
		was := e.stations.remove(m, ap)
		if d := e.byMAC[m]; was && d != nil && d.State == Home && !e.associated(d) {
			e.restart(d)
		}
	}
	for _, d := range e.devices {
		if d.State == Home && d.gone() && d.parted.from == ap {
			d.parted = parting{}
			e.restart(d)
		}
	}
	return e.end()
}

// back is called when d is heard. It returns what that proves: who had left the
// link must have joined it again.
func (d *device) back(s Sighting, ev Evidence) Evidence {
	if !d.gone() || !s.At.After(d.parted.at) {
		return ev
	}
	d.parted = parting{}
	if d.State != Home {
		return Join
	}
	return ev
}

// askAnew begins the plan of d anew at t, though it was not heard.
func (e *Engine) askAnew(d *device, t time.Time) {
	d.quiet = t
	d.unask()
	ask, decide, _ := e.plan(d)
	e.schedule(d, d.quiet.Add(min(ask, decide)))
}

// goneAfter is how long d, which has left the Wi-Fi, has to come back or to
// answer through another access point.
func (e *Engine) goneAfter(d *device) time.Duration {
	if d.Settings.AwayAfter > 0 {
		return d.Settings.AwayAfter
	}
	return max(e.cfg.WiFiAwayAfter, min(d.model.linkDrops(e.cfg.FalseAways), e.cfg.AwayMax))
}

// lastWords is until when the decision on d, which has left the Wi-Fi, waits for
// an answer. It must not wait for long: that d has left is known.
func (e *Engine) lastWords(d *device) time.Time {
	if e.cfg.Passive || !e.askAt(d, 0).IsValid() {
		return time.Time{}
	}
	until := d.lastAsk.Add(min(answerTime, e.goneAfter(d)/asks))
	if d.asked == 0 {
		until = e.now.Add(askGap)
	}
	return earlier(until, d.waiting.Add(lastWordsTime))
}
