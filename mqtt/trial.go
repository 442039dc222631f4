package mqtt

import (
	"errors"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// echoWait is how long what the broker has acknowledged may take to come back.
const echoWait = 5 * time.Second

// trial is what a connection has found out about a family. Its first message is
// on its way alone, so that a broker that ends the connection shows at what;
// and it must come back, since a broker that acknowledges a message may have
// dropped it.
type trial struct {
	left    bool      // nothing is written to it on this connection
	watched bool      // the broker has granted the subscription
	ackedAt time.Time // of the first message; zero: not yet
	over    bool
	dropped bool        // the verdict
	echoed  atomic.Bool // one came back
	held    atomic.Bool // one was retained when we connected: reading is allowed
}

// attempt is the first message to a family.
type attempt struct {
	family family
	token  paho.Token
}

// heard takes a message that came on a topic of f. It is called by the client.
func (l *link) heard(f family, m paho.Message) {
	t := &l.trials[f]
	switch {
	case m.Retained():
		t.held.Store(true)
	case !t.echoed.Load() && !t.echoed.Swap(true):
		l.poke()
	}
}

// acknowledged notes that the broker has taken a message to f.
func (l *link) acknowledged(f family, now time.Time) {
	if t := &l.trials[f]; t.ackedAt.IsZero() {
		t.ackedAt = now
		l.trying.Store(nil)
		l.s.rules.lived(l.s.rules.writing(f))
	}
}

// stepTrials passes judgement on families, and ends the subscriptions that were
// for that only.
func (l *link) stepTrials(now time.Time) bool {
	if l.stage != serving || !l.leftovers.IsZero() { // collecting needs the subscriptions
		return false
	}
	var done []string
	recovered := false
	for f := range families {
		t := &l.trials[f]
		switch {
		case t.dropped && t.echoed.Load():
			t.dropped, recovered = false, true
			l.s.rules.allow(l.s.rules.writing(f))
		case t.over || !t.left && !t.judge(l.s.rules, f, now):
			continue
		}
		t.over = true
		if !t.dropped && t.watched && !f.lasting() {
			done = append(done, f.filter(&l.s.topics))
		}
	}
	if len(done) > 0 {
		l.client.Unsubscribe(done...)
	}
	if recovered {
		l.forget()
		l.startPublishing()
	}
	return len(done) > 0 || recovered
}

// judge reports whether there is a verdict.
func (t *trial) judge(r *rules, f family, now time.Time) bool {
	switch {
	case t.ackedAt.IsZero():
		return false
	case t.echoed.Load():
		r.allow(r.writing(f))
	case !t.watched: // nothing can come back
	case now.Before(t.ackedAt.Add(echoWait)):
		return false
	default:
		t.dropped = true
		r.dropped(f, t.held.Load())
	}
	return true
}

// trialDue returns when the next verdict is due, if one is.
func (l *link) trialDue() (at time.Time) {
	for f := range families {
		t := &l.trials[f]
		if due := t.ackedAt.Add(echoWait); !t.over && !t.ackedAt.IsZero() && (at.IsZero() || due.Before(at)) {
			at = due
		}
	}
	return at
}

// forbidden is the end of a connection at something that the broker seems to
// forbid.
type forbidden struct {
	error
	at access
}

func (f forbidden) Unwrap() error { return f.error }

// blame finds out whether the connection ended at the first message to a
// family; err is then a forbidden.
func (l *link) blame(err error) error {
	a := l.trying.Load()
	if a == nil || !endedByBroker(err) && !errors.Is(err, errSilent) {
		return err
	}
	if a.token.WaitTimeout(time.Second) && a.token.Error() == nil {
		return err // the acknowledgement was on its way
	}
	at := l.s.rules.writing(a.family)
	l.s.rules.died(at, a.family.loss(), a.family.instead())
	return forbidden{err, at}
}
