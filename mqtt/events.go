package mqtt

import (
	"context"
	"time"

	"porchlight/discovery"
)

const (
	eventBatch = 100
	eventRetry = 5 * time.Second
)

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
	// The log may store the cursor late; what we know is then newer.
	l.s.mu.Lock()
	seq = max(seq, l.s.acked)
	l.s.mu.Unlock()
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
	if len(l.batch) == 0 || l.unacked >= eventWindow {
		return false
	}
	e := l.batch[0]
	l.batch = l.batch[1:]
	l.unacked++
	l.publish(l.s.topics.Event(), false, discovery.Event(&e), func() {
		l.unacked--
		l.s.delivered(e.Seq)
	})
	return true
}

// delivered moves the cursor: the broker has acknowledged all up to seq.
func (s *Session) delivered(seq int64) {
	s.mu.Lock()
	newer := seq > s.acked
	s.acked = max(s.acked, seq)
	s.mu.Unlock()
	if newer {
		s.events.SetCursor(consumer, seq)
	}
}
