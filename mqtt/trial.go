package mqtt

import (
	"errors"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

const (
	// echoWait is how long what the broker has acknowledged may take to come back.
	echoWait = 5 * time.Second
	// Some brokers acknowledge what they forbid and then end the connection
	// (mosquitto with max_queued_messages 0), within punishWithin. Until the first
	// message to a family has come back nothing else is sent, so that it is clear
	// at what, but for proofWait at most.
	punishWithin = time.Second
	proofWait    = 100 * time.Millisecond
)

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
	family  family
	token   paho.Token
	ackedAt time.Time // zero: not yet
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

// acknowledged notes that the broker has taken a message to f. The connection
// has then outlived those before it.
func (l *link) acknowledged(f family, now time.Time) {
	if u := l.unproven.Swap(nil); u != nil {
		l.s.rules.lived(l.s.rules.writing(u.family))
	}
	if t := &l.trials[f]; t.ackedAt.IsZero() {
		t.ackedAt = now
		l.trying.Store(nil)
		l.unproven.Store(&attempt{family: f, ackedAt: now})
	}
}

// proofDue returns until when nothing is sent, unless the last first message to
// a family comes back; zero: now.
func (l *link) proofDue() time.Time {
	u := l.unproven.Load()
	if u == nil || !l.trials[u.family].watched || l.trials[u.family].echoed.Load() {
		return time.Time{}
	}
	return u.ackedAt.Add(proofWait)
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
	ended := endedByBroker(err)
	a := l.trying.Load()
	if u := l.unproven.Load(); a == nil && ended && l.punished(u) {
		return l.charge(u.family, err)
	}
	if a == nil || !ended && !errors.Is(err, errSilent) {
		return err
	}
	if a.token.WaitTimeout(time.Second) && a.token.Error() == nil {
		// The acknowledgement was on its way.
		if a = (&attempt{family: a.family, ackedAt: time.Now()}); !ended || !l.punished(a) {
			return err
		}
	}
	return l.charge(a.family, err)
}

// punished reports whether the connection seems to have ended at u although the
// broker had acknowledged it: nothing was sent after it.
func (l *link) punished(u *attempt) bool {
	return u != nil && time.Since(u.ackedAt) < punishWithin && !l.trials[u.family].echoed.Load()
}

func (l *link) charge(f family, err error) error {
	at := l.s.rules.writing(f)
	l.s.rules.died(at, f.loss(), f.instead())
	return forbidden{err, at}
}
