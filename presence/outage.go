package presence

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"
)

const (
	// Before anyone on a link is declared away, a few devices there that are
	// practically never away are asked, this many times this far apart: when
	// they are silent too, it is the access point that is away. They are those
	// that were not heard for longest, as the access point may be one of many.
	checkSize    = 8
	checkAsks    = 5
	checkSpacing = time.Second
	// checkFresh is how long the answer of the last check is good for.
	checkFresh = 6 * time.Second
	// This many of them must be silent together: at least two, and one for every
	// outagePer that there are, since of many some leave together by chance.
	outageLeast, outageMost = 2, 6
	outagePer               = 32
	// A device can be relied on to answer at once when its timeout is no longer
	// than anchorTimeout, or twice the time until it is first asked.
	anchorTimeout = 2 * time.Minute
	// anchorAnswers is the PROBE_INTERVAL by default: a shorter one does not
	// make less of the answers that came at this one.
	anchorAnswers = 30 * time.Second
)

// link is what is known of one interface: whether it hears, and whether those
// who are always there have fallen silent together.
type link struct {
	name   string
	sensed bool // its interface has said whether it hears
	blind  bool
	why    string
	since  time.Time

	checking  []*device // who is being asked
	checkedAt time.Time
	enough    int // how many of them must be silent
	asksLeft  int
	nextAsk   time.Time

	holdUntil   time.Time // nobody is declared away before this
	noIPv6      time.Time // until then it is believed that nobody can be asked by IPv6
	missing     []*device // those whose silence began the hold
	silentSince time.Time // when the last of them was heard
}

func (l *link) held(now time.Time) bool { return now.Before(l.holdUntil) }

// next returns when the link must be looked at again.
func (l *link) next() (t time.Time, ok bool) {
	if len(l.checking) > 0 {
		return l.nextAsk, true
	}
	return l.holdUntil, len(l.missing) > 0
}

// Trunks yields ifname and then the interfaces that its frames come through:
// "eth0.10.7", "eth0.10", "eth0".
func Trunks(ifname string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for yield(ifname) {
			dot := strings.LastIndexByte(ifname, '.')
			if dot < 0 {
				return
			}
			ifname = ifname[:dot]
		}
	}
}

// parent is the interface that a VLAN's frames come through: "eth0" of "eth0.10".
func parent(ifname string) string {
	name, _, _ := strings.Cut(ifname, ".")
	return name
}

// linkNamed returns the link of the interface that frames are heard on.
func (e *Engine) linkNamed(ifname string) *link {
	for name := range Trunks(ifname) {
		if l := e.links[name]; l != nil {
			return l
		}
	}
	return e.addLink(parent(ifname))
}

func (e *Engine) addLink(name string) *link {
	l := &link{name: name, since: e.now}
	e.links[name] = l
	i, _ := slices.BinarySearchFunc(e.order, name, func(l *link, name string) int { return cmp.Compare(l.name, name) })
	e.order = slices.Insert(e.order, i, l)
	return l
}

func (e *Engine) linkOf(d *device) *link { return e.linkNamed(d.Interface) }

// blind reports whether an interface that d may be heard on cannot hear.
func (e *Engine) blind(d *device) bool {
	return e.linkOf(d).blind ||
		slices.ContainsFunc(d.others, func(p *port) bool { return d.fresh(p) && e.linkNamed(p.Interface).blind })
}

// Sense takes what an interface says about itself. While it is blind, the away
// timers of its devices stand still; afterwards each gets the whole of its
// timeout again, and is asked at once.
func (e *Engine) Sense(s Sensing) Output {
	e.begin(s.At)
	l := e.links[s.Interface]
	if l == nil {
		l = e.addLink(s.Interface)
	}
	l.sensed, l.why = true, s.Why
	if l.blind == s.Blind {
		return e.end()
	}
	since := l.since
	l.blind, l.since = s.Blind, e.now
	l.checking, l.missing, l.holdUntil = nil, nil, time.Time{}
	if s.Blind {
		e.taint(l)
		e.emitSensing(SensingLost, l, s.Why)
	} else {
		e.grace(l)
		e.emitSensing(SensingBack, l, whySensingBack(l, e.now.Sub(since)))
	}
	return e.end()
}

// Gap tells that nothing could be heard for a while on any interface, and that
// it is over: the machine slept, or its clock jumped.
func (e *Engine) Gap(now time.Time, why string) Output {
	e.begin(now)
	for _, l := range e.order {
		if l.blind {
			continue
		}
		e.grace(l)
		if l.sensed { // else nobody listens there any more
			e.emitSensing(SensingBack, l, why)
		}
	}
	return e.end()
}

func (e *Engine) emitSensing(t EventType, l *link, why string) {
	e.out.Events = append(e.out.Events, Event{Type: t, Time: e.now.Round(0).UTC(), Interface: l.name, Why: why})
}

// on calls f for each device on l, in no order.
func (e *Engine) on(l *link, f func(*device)) {
	for _, d := range e.devices {
		there := func(p *port) bool { return e.linkNamed(p.Interface) == l }
		if e.linkOf(d) == l || slices.ContainsFunc(d.others, there) {
			f(d)
		}
	}
}

// taint keeps the silences that are under way on l from being learned.
func (e *Engine) taint(l *link) {
	e.on(l, func(d *device) { d.tainted = true })
}

// grace lets the silence of each device on l begin anew, and asks at once who is home.
func (e *Engine) grace(l *link) {
	e.claims = claims{} // an address may have passed on unheard
	e.on(l, e.restart)
}

// restart lets the silence of d begin anew.
func (e *Engine) restart(d *device) {
	if d.heard.Before(e.now) {
		d.quiet, d.tainted = e.now, true
	}
	d.unask()
	if d.State == Home {
		e.askSoon(d)
	} else {
		e.schedule(d, e.now.Add(e.cfg.ProbeInterval))
	}
}

// askSoon asks d as soon as the pace allows, ahead of its plan.
func (e *Engine) askSoon(d *device) {
	d.early = true
	e.schedule(d, e.now)
}

// anchor reports whether d can be relied on to answer at once: it is
// practically never away, nearly always answers, and is never silent for long.
func (e *Engine) anchor(d *device) bool {
	return d.State == Home && d.model.neverAway() && len(d.others) == 0 && e.canAsk(d) && !d.muted &&
		d.model.answers(max(e.cfg.ProbeInterval, anchorAnswers)*3/2) &&
		e.learned(d) <= max(anchorTimeout, 2*e.cfg.ProbeInterval)
}

// check asks those on l who are always there, before anyone is declared away.
func (e *Engine) check(l *link) {
	if e.cfg.Passive || len(l.checking) > 0 || l.held(e.now) || e.now.Sub(l.checkedAt) < checkFresh {
		return
	}
	l.checkedAt, l.asksLeft, l.nextAsk = e.now, checkAsks, e.now
	var anchors []*device
	e.on(l, func(d *device) {
		if e.anchor(d) {
			anchors = append(anchors, d)
		}
	})
	l.enough = min(max(len(anchors)/outagePer, outageLeast), outageMost)
	if len(anchors) < l.enough {
		return
	}
	slices.SortFunc(anchors, func(a, b *device) int {
		return cmp.Or(a.heard.Compare(b.heard), compareMACs(a.MAC, b.MAC))
	})
	l.checking = anchors[:min(len(anchors), checkSize)]
}

// watch carries a check or a hold on l on.
func (e *Engine) watch(l *link) {
	if len(l.checking) > 0 && !e.now.Before(l.nextAsk) {
		silent := slices.DeleteFunc(slices.Clone(l.checking), func(d *device) bool { return d.muted || d.heard.After(l.checkedAt) })
		switch {
		case len(silent) < l.enough:
			l.checking = nil
		case l.asksLeft == 0:
			l.checking = nil
			e.hold(l, silent)
		default:
			for _, d := range silent {
				e.probe(d, false)
			}
			l.asksLeft--
			l.nextAsk = e.now.Add(checkSpacing)
		}
	}
	if len(l.missing) > 0 && !l.held(e.now) {
		e.endOutage(l) // too long for a reboot: they are gone
	}
}

// hold begins an outage: those who are always there are silent together.
func (e *Engine) hold(l *link, missing []*device) {
	l.holdUntil = e.now.Add(e.cfg.OutageHold)
	l.missing, l.silentSince = missing, lastHeard(missing)
	e.taint(l)
}

// answered tells that d was heard, which may end an outage: it is over when
// half of those who were missing are back.
func (e *Engine) answered(d *device) {
	l := e.linkOf(d)
	if len(l.missing) == 0 {
		return
	}
	back := 0
	for _, m := range l.missing {
		if m.heard.After(l.checkedAt) {
			back++
		}
	}
	if 2*back < len(l.missing) {
		return
	}
	e.endOutage(l)
	e.grace(l)
}
