package presence

import (
	"container/heap"
	"math"
	"time"
)

const (
	// asks is how many probes a silent device gets before it is away, spaced
	// over the ask window: a sleeping radio hears only some of them.
	asks = 6
	// needed is how many must have gone out before it is declared away.
	needed = asks / 2
	// checkPlace is the place in the window at which those who are always there
	// are asked too; a probe or two that were merely lost are no reason for that.
	checkPlace = 2
	// answerTime is how long the last probe may take to be answered.
	answerTime = 2 * time.Second
	// The ask window is a third of the timeout, within these bounds.
	minWindow, maxWindow = 8 * time.Second, time.Minute
	// askGap is the least time between two probes to one device, when the plan
	// has fallen behind.
	askGap = 300 * time.Millisecond
	// patience bounds how long a decision waits for probes that could not be sent.
	patience = 2 * time.Minute
	// slack is how far apart decisions on one burst of probes may be; it keeps
	// the number of wake-ups low on large networks.
	slack = 5 * time.Millisecond

	// An away device is asked now and then, at growing intervals, for a day: it
	// may have come back without being heard.
	awayAskMax   = 10 * time.Minute
	awayAskUntil = 24 * time.Hour

	// rateHeadroom keeps departures quick on large networks: probes are paced
	// at no less than this multiple of what the home devices need.
	rateHeadroom = 2
	// A probe that is late by rateLate doubles the pace, and so on up to
	// rateHurry times.
	rateLate  = 250 * time.Millisecond
	rateHurry = 4
)

// window returns how long into a silence the ask window of d begins, and its length.
func (e *Engine) window(d *device) (start, length time.Duration) {
	if d.gone() {
		return 0, e.goneAfter(d)
	}
	t, p := d.Device.AwayAfter, e.cfg.ProbeInterval
	w := min(max(t/3, minWindow), maxWindow, t/2)
	if t-w < p && t-p >= minWindow {
		w = t - p // who always answers is not asked more often than every P
	}
	return t - w, w
}

// plan is when d is next asked, and when it is decided on, in time since its
// silence began; place says which probe of the window is next, or regular.
//
//	0 ──── P ··· ──── 2P ──────── 4P ──…── T-W ask ask ask … T
//	       every answer starts anew        the ask window    away
//
// A device that always answers does so at P, so its timeout T is little more
// than P; until that is known, or if it is known but T is long, each probe
// is repeated a few times. A sleeper is asked at growing intervals. Within the
// window the probes are close at first, since one may just have been lost, and
// further apart later, since the radio may sleep.
func (e *Engine) plan(d *device) (ask, decide time.Duration, place int) {
	start, w := e.window(d)
	t := start + w
	n := d.step
	quick := false
	for p := e.cfg.ProbeInterval; p < start; p *= 2 {
		if n == 0 {
			return p, t, regular
		}
		n--
		if p == e.cfg.ProbeInterval {
			quick = d.model.answers(p * 3 / 2)
		}
		again := 0
		if quick {
			again = repeatsWithin(min(p, start-p))
		}
		if n < again {
			return p + repeats[n], t, regular
		}
		n -= again
	}
	if n < asks {
		return start + time.Duration(float64(w)*math.Pow(float64(n)/asks, 1.5)), t, n
	}
	// All were asked for, but not all may have gone out, or an outage
	// stretched the silence: keep asking, slowly. That an associated one does not
	// answer decides nothing.
	every := 2 * answerTime
	if e.associated(d) {
		every = awayAskMax
	}
	return t + time.Duration(n-asks+1)*every, t, n
}

// repeats is when, after a probe that was not answered, it is repeated. Without
// them a lost probe would look like a silence of 2P.
var repeats = [...]time.Duration{time.Second, 2500 * time.Millisecond, 5 * time.Second, 9 * time.Second}

// repeatsWithin returns how many repeats come before the next probe of the plan.
func repeatsWithin(d time.Duration) int {
	n := len(repeats)
	for n > 0 && repeats[n-1] >= d {
		n--
	}
	return n
}

// regular is the place of a probe before the ask window; others count from 0.
const regular = -1

// Next returns when Tick must be called next: the zero time as long as no call
// has told the Engine the time.
func (e *Engine) Next() time.Time {
	next := e.sweep
	if len(e.due) > 0 {
		t := e.due[0].due
		if t.Before(e.gate) {
			t = e.gate
		}
		next = earlier(next, t)
	}
	if !e.guests.at.IsZero() {
		next = earlier(next, e.guests.at)
	}
	if len(e.newcomers) > 0 {
		next = earlier(next, e.newcomers[0].At.Add(nameWait))
	}
	if len(e.door) > 0 {
		next = earlier(next, e.door[0].until)
	}
	for _, l := range e.order {
		if t, ok := l.next(); ok {
			next = earlier(next, t)
		}
	}
	return next
}

// Tick lets time pass until now: who is due is asked or decided on. The caller
// has handed over every sighting up to now before.
func (e *Engine) Tick(now time.Time) Output {
	e.begin(now)
	for _, l := range e.order {
		e.watch(l)
	}
	e.welcome(e.now.Add(-nameWait))
	e.openDoor(false)
	for len(e.due) > 0 && !e.due[0].due.After(e.now) && !e.gate.After(e.now) {
		e.late = e.now.Sub(e.due[0].due)
		e.attend(e.due[0])
	}
	e.tellGuests()
	if !e.now.Before(e.sweep) {
		e.sweep = e.now.Add(forgetEvery)
		e.forget()
	}
	return e.end()
}

// attend does what is due for d: decide, or ask, and schedules what comes next.
func (e *Engine) attend(d *device) {
	if e.blind(d) {
		e.probe(d, false) // perhaps it is on another link too
		e.unschedule(d)   // until the link can hear again
		return
	}
	if d.ended > 0 && e.now.Sub(d.endedAt) >= joinLag {
		e.settle(d)
		e.tune(d)
	}
	if d.State != Home {
		e.attendAway(d)
		return
	}
	if d.early {
		d.early = false
		e.probe(d, false)
	}
	e.askAgain(d)
	ask, decide, place := e.plan(d)
	if e.associated(d) {
		decide = never
	}
	silence := e.now.Sub(d.quiet)
	if silence >= decide {
		if d.waiting.IsZero() {
			d.waiting = e.now
		}
		if until := e.postponed(d); until.After(e.now) {
			if silence >= ask {
				e.ask(d, place)
			}
			e.schedule(d, until)
			return
		}
		if !e.takeOver(d) {
			e.leave(d)
			e.schedule(d, e.now.Add(e.cfg.ProbeInterval))
		}
		return
	}
	if silence >= ask {
		e.ask(d, place)
		ask, _, _ = e.plan(d)
		ask = max(ask, silence+askGap)
	}
	e.schedule(d, d.quiet.Add(min(ask, decide)))
}

// postponed returns until when the decision on d, whose timeout has passed,
// must wait; the zero time when it need not.
func (e *Engine) postponed(d *device) time.Time {
	l := e.linkOf(d)
	switch {
	case l.held(e.now): // an outage; asking goes on, to know when it is over
		return earlier(l.holdUntil, e.now.Add(e.cfg.ProbeInterval/3))
	case d.gone():
		return e.lastWords(d)
	case len(l.checking) > 0: // perhaps an outage
		return e.now.Add(checkSpacing)
	case !e.cfg.Passive && e.astray(d):
		return e.now.Add(e.cfg.ProbeInterval / 3)
	case e.cfg.Passive || !e.canAsk(d):
		return time.Time{}
	case !d.cutAt.IsZero():
		return e.untilOpen(d)
	case d.muted && e.now.Sub(d.quiet) < e.cfg.AwayMax: // not to be asked is not to be away
		return e.now.Add(e.cfg.ProbeInterval / 3)
	case e.now.Sub(d.waiting) > patience:
		return time.Time{}
	case d.asked < needed: // away is asked, not assumed
		return e.now.Add(answerTime)
	}
	_, w := e.window(d)
	return d.lastAsk.Add(min(answerTime, w/asks))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// attendAway asks a device that is away, at growing intervals.
func (e *Engine) attendAway(d *device) {
	routed := len(d.Reach) > 0 // its return is never heard
	if !routed && e.now.Sub(d.Since) > awayAskUntil || !e.canAsk(d) {
		e.unschedule(d)
		return
	}
	e.probe(d, false)
	wait := e.cfg.ProbeInterval
	if !routed {
		wait = min(wait<<min(d.step, 10), max(awayAskMax, e.cfg.ProbeInterval))
	}
	d.step++
	e.schedule(d, e.now.Add(wait))
}

// ask puts the probe at this place of the plan out.
func (e *Engine) ask(d *device, place int) {
	d.step++
	if place == checkPlace && !d.gone() {
		e.check(e.linkOf(d))
	}
	e.probe(d, place >= asks-1)
}

// probe sends one probe to d now and closes the gate behind it. The place of
// the address alternates, as d may have another one by now.
func (e *Engine) probe(d *device, broadcast bool) {
	there, n, inTurn := d.turn()
	if there != nil {
		d.swap(there)
		defer d.swap(there)
	}
	p := Probe{Interface: d.Interface, MAC: d.MAC, Addr: e.askAt(d, n), Broadcast: broadcast}
	if at := e.elsewhere(d, n); at != nil {
		p.Interface, p.Addr = at.ifname, at.addr
	}
	r, routed := e.reachAt(d, n)
	if routed {
		p = Probe{Interface: Routed, MAC: d.MAC, Addr: r.Addr, Reach: r}
	}
	if !p.Addr.IsValid() || e.linkNamed(p.Interface).blind {
		return
	}
	if inTurn {
		d.tried++
	}
	p.Nudge = !routed && e.nudge(d)
	e.out.Probes = append(e.out.Probes, p)
	if ready := e.now.Add(-slack); e.gate.Before(ready) {
		e.gate = ready
	}
	e.gate = e.gate.Add(e.spacing())
}

// spacing is the time between two probes: even, and closer when probes are
// late, so that many departures at once are known as soon as one.
func (e *Engine) spacing() time.Duration {
	every := e.cfg.ProbeInterval
	if e.cfg.AwayAfter > 0 {
		every = min(every, e.cfg.AwayAfter/2)
	}
	rate := max(e.cfg.ProbeRate, rateHeadroom*float64(e.home)/every.Seconds())
	hurry := min(1+float64(e.late)/float64(rateLate), rateHurry)
	return time.Duration(float64(time.Second) / (rate * hurry))
}

// queue orders the devices by when they are due, then by their first MAC, so that the same
// input gives the same output.
type queue []*device

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if c := q[i].due.Compare(q[j].due); c != 0 {
		return c < 0
	}
	return compareMACs(q[i].first, q[j].first) < 0
}

func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].heap, q[j].heap = i, j
}

func (q *queue) Push(x any) {
	d := x.(*device)
	d.heap = len(*q)
	*q = append(*q, d)
}

func (q *queue) Pop() any {
	d := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = nil
	*q = (*q)[:len(*q)-1]
	d.heap = -1
	return d
}

// schedule makes d due at t, or when it is to be asked again after a nudge.
func (e *Engine) schedule(d *device, t time.Time) {
	if !d.again.IsZero() {
		t = earlier(t, d.again)
	}
	d.due = t
	if d.heap < 0 {
		heap.Push(&e.due, d)
		return
	}
	heap.Fix(&e.due, d.heap)
}

func (e *Engine) unschedule(d *device) {
	if d.heap >= 0 {
		heap.Remove(&e.due, d.heap)
	}
}
