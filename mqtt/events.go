package mqtt

import (
	"context"
	"time"

	"porchlight/discovery"
)

const (
	eventBatch = 100
	eventRetry = 5 * time.Second

	// A broker that dies may take events with it that it had acknowledged and
	// not passed on yet. After a lost connection those acknowledged in the last
	// moments are sent again, and all wait a little, so that the subscribers,
	// which have lost their connection too, are there again.
	eventResend = 2 * time.Second
	eventRejoin = 3 * time.Second
)

// ack is an event that the broker acknowledged.
type ack struct {
	seq int64
	at  time.Time
}

// pumpEvents reads the event log from the cursor on and hands batches to the
// writer, which takes them when states and attributes are out.
func (l *link) pumpEvents(ctx context.Context) {
	log := l.s.events
	seq, err := log.Cursor(ctx, consumer)
	for err != nil && ctx.Err() == nil {
		l.s.warnings.warn(l.s.log, "cursor", "reading the event log's cursor failed: events wait", "error", err)
		sleep(ctx, eventRetry)
		seq, err = log.Cursor(ctx, consumer)
	}
	seq, again := l.s.resume(seq)
	if again {
		sleep(ctx, eventRejoin)
	}
	for ctx.Err() == nil {
		changed := log.Changed()
		events, err := log.After(ctx, seq, eventBatch)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			l.s.warnings.warn(l.s.log, "events", "reading the event log failed: events wait", "error", err)
			sleep(ctx, eventRetry)
		case len(events) == 0:
			select {
			case <-ctx.Done():
			case <-changed:
			}
		default:
			select {
			case <-ctx.Done():
				return
			case l.batches <- events:
				seq = events[len(events)-1].Seq
			}
		}
	}
}

// stepEvent publishes the next event of the batch in hand.
func (l *link) stepEvent() bool {
	if len(l.batch) == 0 {
		select {
		case l.batch = <-l.batches:
		default:
		}
	}
	if len(l.batch) == 0 || l.unacked >= eventWindow || l.trials[familyEvent].left {
		return false
	}
	e := l.batch[0]
	l.batch = l.batch[1:]
	l.unacked++
	l.publish(familyEvent, l.s.topics.Event(), false, discovery.Event(&e), func() {
		l.unacked--
		l.s.delivered(e.Seq)
	})
	return true
}

// resume returns the event after which to go on: the stored one at first, later
// what is known here, which may be newer. again says that a connection was lost.
func (s *Session) resume(stored int64) (seq int64, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.resumed {
		s.acked, s.resumed = stored, true
	}
	return s.acked, !s.lostAt.IsZero()
}

// doubt takes back the latest acknowledgements: the connection was lost.
func (s *Session) doubt(now time.Time) {
	s.lostAt = now
	for _, a := range s.acks {
		if now.Sub(a.at) <= eventResend {
			s.acked = min(s.acked, a.seq-1)
		}
	}
	s.acks = nil
}

// delivered moves the cursor: the broker has acknowledged all up to seq.
func (s *Session) delivered(seq int64) {
	now := time.Now()
	s.mu.Lock()
	newer := seq > s.acked
	s.acked = max(s.acked, seq)
	for len(s.acks) > 0 && now.Sub(s.acks[0].at) > eventResend {
		s.acks = s.acks[1:]
	}
	s.acks = append(s.acks, ack{seq, now})
	s.mu.Unlock()
	if newer {
		s.events.SetCursor(consumer, seq)
	}
}
