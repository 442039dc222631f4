package presence

import (
	"slices"
	"time"
)

const (
	// nudgeAfter is the silence from which a device is nudged: each nudge wakes
	// it, so one that is there is not woken more often than this.
	nudgeAfter = 2 * time.Minute
	// nudgeAgain is when it is asked again after a nudge. The question that goes
	// along may come before it is awake.
	nudgeAgain = time.Second
)

// nudged reports whether d is to be woken when it is silent: by its own switch,
// else by its kind. Who is not asked is not woken either.
func (e *Engine) nudged(d *device) bool {
	switch {
	case d.IgnoreARPReplies:
		return false
	case d.Nudge != nil:
		return *d.Nudge
	}
	return slices.Contains(e.cfg.Nudge, d.Kind)
}

// nudgeFrom is the silence of d from which its probes are nudges. A timeout
// that is set may be shorter than what is gentle.
func (e *Engine) nudgeFrom(d *device) time.Duration {
	if d.gone() {
		return 0 // it may sleep at another access point, and is decided on soon
	}
	if d.Settings.AwayAfter > 0 || e.cfg.AwayAfter > 0 {
		start, _ := e.window(d)
		return min(nudgeAfter, start)
	}
	return nudgeAfter
}

// nudge reports whether the probe to d that is about to go out is to wake it,
// and has it asked again in a moment if so. Who is away is not woken: that would
// help only where its return was missed.
func (e *Engine) nudge(d *device) bool {
	if d.State != Home || !d.again.IsZero() || !e.nudged(d) || e.now.Sub(d.quiet) < e.nudgeFrom(d) {
		return false
	}
	d.again, d.woken = e.now.Add(nudgeAgain), d.MAC
	return true
}

// askAgain asks d the second time after a nudge, once that is due.
func (e *Engine) askAgain(d *device) {
	if d.again.IsZero() || e.now.Before(d.again) {
		return
	}
	d.askFirst = d.woken
	e.probe(d, false) // which is no nudge, while again is set
	d.again = time.Time{}
}
