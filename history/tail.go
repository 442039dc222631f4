package history

import (
	"sort"

	"porchlight/presence"
)

const (
	keepRecent = 1024   // events kept in memory for consumers that are near the head
	maxWaiting = 10_000 // events that wait for a database that takes no writes
)

// tail is the end of the event log in memory: the most recent events, and all
// that are not in the database yet.
type tail struct {
	events []presence.Event // in order of Seq
	floor  int64            // every event after this is in events
	saved  int64            // every event up to this is in the database, or given up
}

// add appends e and returns how many events had to be given up for it. When too
// many wait, the oldest is: what happened lately matters most, and it may have
// been delivered long ago.
func (t *tail) add(e presence.Event) (lost int) {
	t.events = append(t.events, e)
	if lost = max(0, t.countWaiting()-maxWaiting); lost > 0 {
		t.saved = t.waiting(lost)[lost-1].Seq
	}
	t.trim()
	return lost
}

// written takes note that the events up to seq are in the database.
func (t *tail) written(seq int64) {
	t.saved = max(t.saved, seq)
	t.trim()
}

// trim forgets what the database has and memory need not have.
func (t *tail) trim() {
	if drop := min(t.index(t.saved), len(t.events)-keepRecent); drop > 0 {
		t.floor = t.events[drop-1].Seq
		t.events = t.events[drop:] // append copies what is left when it grows
	}
}

// index returns the place of the first event after seq.
func (t *tail) index(seq int64) int {
	if n := len(t.events); n == 0 || t.events[n-1].Seq <= seq {
		return n
	}
	return sort.Search(len(t.events), func(i int) bool { return t.events[i].Seq > seq })
}

// after returns copies of up to limit events with seq < Seq <= head.
func (t *tail) after(seq, head int64, limit int) []presence.Event {
	from, to := t.index(seq), t.index(head)
	if to <= from {
		return nil
	}
	return append([]presence.Event(nil), t.events[from:min(to, from+limit)]...)
}

// waiting returns up to limit events that are not in the database.
func (t *tail) waiting(limit int) []presence.Event {
	return t.events[t.index(t.saved):][:min(limit, t.countWaiting())]
}

func (t *tail) countWaiting() int { return len(t.events) - t.index(t.saved) }
