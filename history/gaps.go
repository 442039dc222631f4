package history

import (
	"time"

	"porchlight/presence"
)

// GapKind says why nothing could be known.
type GapKind string

// The kinds of gaps.
const (
	Blind   GapKind = "blind"   // an interface did not hear
	Outage  GapKind = "outage"  // all devices fell silent together, as when an access point restarts
	Stopped GapKind = "stopped" // Porchlight did not run
	Asleep  GapKind = "asleep"  // the machine slept, or Porchlight was held up
)

const (
	insertGap = "INSERT INTO gaps (kind, interface, began, ended, why) VALUES (?,?,?,?,?)"
	endGap    = "UPDATE gaps SET ended = max(began, ?) WHERE kind = ? AND interface = ? AND ended = 0"
	endGaps   = "UPDATE gaps SET ended = max(began, ?) WHERE ended = 0"

	// selectAlive is when the last run was alive for sure: it ended, or heard
	// something, or something happened.
	selectAlive = `SELECT max(alive, (SELECT coalesce(max(time), 0) FROM events),
		(SELECT coalesce(max(last_seen), 0) FROM seen)) FROM log`
)

// missedTicks is how late the second hand may be before the machine must have slept.
const missedTicks = 30 * time.Second

// followSensing begins or ends a gap.
func (db *database) followSensing(e *presence.Event) error {
	at := fromTime(e.Time)
	if err := db.exec(endGap, at, string(Blind), e.Interface); err != nil || e.Type == presence.SensingBack {
		return err
	}
	return db.exec(insertGap, string(Blind), e.Interface, at, 0, e.Why)
}

// noteStart notes the time in which Porchlight did not run. Whatever was going
// on in the last run has ended with it.
func (db *database) noteStart(now time.Time) error {
	var alive int64
	if _, err := db.row(selectAlive, nil, &alive); err != nil {
		return err
	}
	began := fromTime(now)
	if alive == 0 || alive >= began {
		return db.exec(endGaps, began) // a new file, or a clock that was set back
	}
	if err := db.exec(endGaps, alive); err != nil {
		return err
	}
	return db.exec(insertGap, string(Stopped), "", alive, began, "Porchlight did not run")
}

// wakeful notices that this machine slept: its second hand was late.
type wakeful struct{ last time.Time }

func (w *wakeful) tick(s *Store, now time.Time) {
	now = now.Round(0) // the monotonic clock stands still in sleep
	last := w.last
	w.last = now
	if last.IsZero() || now.Sub(last) < missedTicks {
		return
	}
	s.noteGap(Asleep, "", last, now, "this machine slept, its clock was set forward, or Porchlight was held up")
}

// SaveOutage notes a time in which all were silent together. It never waits.
func (s *Store) SaveOutage(o presence.OutageOver) {
	s.noteGap(Outage, o.Interface, o.From, o.To, "devices that are always there were silent together, as when an access point restarts")
}

// noteGap notes a gap that is over.
func (s *Store) noteGap(kind GapKind, ifname string, from, to time.Time, why string) {
	if s.Fault() != nil {
		return // what waits must not grow
	}
	s.do(func(db *database) error {
		return db.exec(insertGap, string(kind), ifname, fromTime(from), fromTime(to), why)
	})
}
