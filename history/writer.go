package history

import (
	"log/slog"
	"maps"
	"slices"
	"time"

	"porchlight/presence"
	"porchlight/sqlitefile"

	sqlite3 "modernc.org/sqlite/lib"
)

const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 30 * time.Second

	eventsPerCommit = 256
)

// nudge wakes the writer. It is called with mu held.
func (s *Store) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// write is the writer: it commits what is waiting when it is woken, a moment
// later if the journal has the events. While writes fail, it tries again with
// growing pauses and is not woken.
func (s *Store) write(failing bool) {
	defer close(s.done)
	pause := time.Duration(0)
	if failing {
		pause = firstRetry
	}
	var commit <-chan time.Time
	for {
		wake := s.wake
		var retry <-chan time.Time
		if pause > 0 {
			wake, retry = nil, time.After(pause)
		}
		select {
		case <-wake:
			if s.noted() {
				if commit == nil {
					commit = time.After(commitDelay)
				}
				continue
			}
		case <-commit:
		case <-retry:
		case <-s.stop:
			s.finish()
			return
		}
		commit = nil
		if err := s.drain(); err == nil {
			pause = 0
		} else {
			s.failed(err)
			pause = min(max(2*pause, firstRetry), lastRetry)
		}
	}
}

// drain writes until nothing is waiting.
func (s *Store) drain() error {
	if s.handle() == nil {
		if err := s.attach(); err != nil {
			return err
		}
	}
	for {
		db, b, err := s.take()
		if err == nil && !b.empty() {
			err = db.write(b)
		}
		switch {
		case err == nil && b.empty():
			s.worked()
			return nil
		case err == nil:
			s.wrote(b)
		case refused(err):
			s.discard(b, err)
		default:
			s.putBack(b)
			if !full(err) {
				s.detach()
			}
			if damaged(err) {
				err = s.replace(err)
			}
			if err != nil {
				return err
			}
			if err := s.attach(); err != nil {
				return err
			}
		}
	}
}

// refused reports whether err comes from the values rather than from the disk,
// so that trying again is no use. It would be a defect of this package.
func refused(err error) bool {
	switch sqlitefile.Code(err) {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_RANGE:
		return true
	}
	return false
}

// take returns what to write next: what people wait for first.
func (s *Store) take() (*database, *batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := &batch{}
	if s.suspect != nil {
		err := s.suspect
		s.suspect = nil
		return s.db, b, err
	}
	switch {
	case s.tail.countWaiting() > 0:
		b.events = append(b.events, s.tail.waiting(eventsPerCommit)...)
	case len(s.changes.queue) > 0 || len(s.notes.set) > 0 || s.moveCursor:
		b.devices = s.changes.take()
		b.cursors, b.meta = s.notes.take(s.moveCursor)
		s.moveCursor = false
	case len(s.jobs) > 0:
		b.job = s.jobs[0]
		s.jobs = s.jobs[1:]
	}
	if !b.empty() {
		s.writing = time.Now()
	}
	return s.db, b, nil
}

// wrote takes note that b is committed, and lets those go who waited for it.
func (s *Store) wrote(b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing, s.stalled, s.unsynced = time.Time{}, false, true
	s.commits++
	if n := len(b.events); n > 0 {
		s.count += int64(n)
		s.tail.written(b.events[n-1].Seq)
		s.show(s.tail.saved)
		s.release(s.tail.saved)
	}
}

// putBack undoes take.
func (s *Store) putBack(b *batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = time.Time{}
	s.changes.putBack(b.devices)
	s.notes.putBack(b.cursors, b.meta)
	s.moveCursor = s.moveCursor || len(b.cursors) > 0
}

// discard gives up what can never be written.
func (s *Store) discard(b *batch, err error) {
	s.log.Error("history gave up a write that the database refuses; please report this",
		"events", len(b.events), "devices", len(b.devices), "err", err)
	s.wrote(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost += len(b.events)
}

// show lets consumers see the events up to seq. It is called with mu held.
func (s *Store) show(seq int64) {
	if seq > s.head {
		s.head = seq
		close(s.changed)
		s.changed = make(chan struct{})
	}
}

// release lets every Append go that waits for seq or less. It is called with mu
// held.
func (s *Store) release(seq int64) {
	keep := s.waiters[:0]
	for _, w := range s.waiters {
		if w.seq <= seq {
			close(w.done)
		} else {
			keep = append(keep, w)
		}
	}
	s.waiters = keep
}

// lose counts events given up. It is called with mu held.
func (s *Store) lose(n int) {
	if n == 0 {
		return
	}
	if s.lost == 0 {
		s.log.Error("history gives up its oldest unwritten events: too many wait for the disk", "waiting", maxWaiting)
	}
	s.lost += n
}

// failed takes note that writes fail, and says so once.
func (s *Store) failed(err error) {
	err = explain(s.dir, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault == nil {
		s.log.Error("history is kept in memory only", "err", err)
	}
	s.fault = err
	s.show(s.seq)
	s.release(s.seq)
}

// worked takes note that everything is written, and says so after trouble.
func (s *Store) worked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault != nil {
		s.log.Log(always, slog.LevelWarn, "history is written again", "events_lost_since_start", s.lost)
	}
	s.fault = nil
}

// finish writes everything that is left, marks the end as a good one and closes.
func (s *Store) finish() {
	s.due(seen|model, true)
	err := s.drain()
	if err == nil {
		err = s.farewell()
	}
	s.detach()
	s.mu.Lock()
	s.journal.close()
	s.mu.Unlock()
	s.unlock()
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = explain(s.dir, err)
	if n := s.tail.countWaiting(); n > 0 {
		s.log.Error("events are lost: they could not be written before the end", "events", n)
	}
}

// farewell stores the last number given, so that the next start goes on from it.
func (s *Store) farewell() error {
	s.mu.Lock()
	db, seq := s.db, s.seq
	s.mu.Unlock()
	if _, err := db.clean.ExecContext(always, 1, seq, fromTime(time.Now())); err != nil {
		return err
	}
	if err := db.sync(); err != nil {
		return err
	}
	return s.clearJournal(db, seq)
}

// due marks what is only written now and then. It holds mu for moments only,
// however many devices there are, so that no event waits for it.
func (s *Store) due(what aspect, cursors bool) {
	s.mu.Lock()
	s.moveCursor = s.moveCursor || cursors && len(s.notes.moved) > 0
	if s.moveCursor {
		s.nudge()
	}
	var ids []presence.ID
	if what != 0 {
		ids = s.changes.waiting(what)
	}
	s.mu.Unlock()
	slices.Sort(ids)
	for some := range slices.Chunk(ids, devicesPerCommit) {
		s.mu.Lock()
		s.changes.due(some, what)
		s.nudge()
		s.mu.Unlock()
	}
}

// do has the writer run job in a transaction when nothing else is waiting.
func (s *Store) do(job func(*database) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.jobs = append(s.jobs, job)
	s.nudge()
}

func (s *Store) handle() *database {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db
}

// records returns the devices by id. It is called with mu held.
func (s *Store) records() []presence.Record {
	ids := slices.Sorted(maps.Keys(s.changes.devices))
	records := make([]presence.Record, len(ids))
	for i, id := range ids {
		var err error
		if records[i], err = s.changes.devices[id].record(); err != nil {
			s.log.Error("device starts to learn anew", "err", err)
		}
	}
	return records
}
