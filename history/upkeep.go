package history

import (
	"context"
	"fmt"
	"time"
)

const (
	tick           = time.Second
	ticksPerSeen   = 60      // last-seen times are written once a minute
	ticksPerModel  = 10 * 60 // models every ten minutes
	ticksPerRetain = 10 * 60 // whether there is something to delete is looked at every ten minutes

	// checkpointAfter is some 2 to 8 MB of write-ahead log.
	checkpointAfter = 500
)

// Run does what has its time: it syncs what was committed within a second,
// writes cursors, last-seen times and models, copies the write-ahead log into
// the database and deletes old events. It returns nil when ctx ends.
func (s *Store) Run(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	r := retention{s: s}
	var clock wakeful
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-s.done:
			return nil
		case <-ticker.C:
		}
		var what aspect
		if n%ticksPerSeen == 0 {
			what |= seen
		}
		if n%ticksPerModel == 0 {
			what |= model
		}
		s.due(what, true)
		clock.tick(s, time.Now())
		s.writeLeases()
		s.watch()
		if err := s.sync(); err != nil {
			s.meet(err)
		}
		if err := s.checkpoint(ctx); err != nil && ctx.Err() == nil {
			s.meet(err)
		}
		if n%ticksPerRetain == 0 { // by the first time all consumers have asked for their cursors
			r.begin()
		}
		if err := r.step(ctx); err != nil && ctx.Err() == nil {
			s.meet(err)
		}
	}
}

// meet hands trouble with the file to the writer, who decides about it.
func (s *Store) meet(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != nil && s.fault == nil {
		s.suspect = err
		s.nudge()
	}
}

// watch makes a write that does not finish a fault.
func (s *Store) watch() {
	s.mu.Lock()
	hangs := !s.writing.IsZero() && time.Since(s.writing) > slow
	s.mu.Unlock()
	if hangs {
		s.failed(errSlow)
	}
}

// sync makes what is committed safe from a power cut.
func (s *Store) sync() error {
	s.mu.Lock()
	db, unsynced, saved, grown := s.db, s.unsynced, s.tail.saved, s.journal.used > journalSize/2
	s.unsynced = false
	s.mu.Unlock()
	if db == nil || !unsynced {
		return nil
	}
	if db.removed() {
		return errGone
	}
	if err := db.sync(); err != nil {
		return fmt.Errorf("syncing the database: %w", err)
	}
	if grown {
		s.do(func(db *database) error { return s.clearJournal(db, saved) })
	}
	return nil
}

// checkpoint copies the write-ahead log into the database when it has grown.
// Afterwards the log begins anew, and SQLite syncs its first commit; the store
// makes that one itself, so that no event waits for it.
func (s *Store) checkpoint(ctx context.Context) error {
	s.mu.Lock()
	db, grown := s.db, s.commits >= checkpointAfter
	s.mu.Unlock()
	if db == nil || !grown {
		return nil
	}
	done, err := db.checkpoint(ctx)
	if err != nil || !done {
		return err
	}
	s.mu.Lock()
	s.commits = 0
	seq := s.seq
	s.mu.Unlock()
	s.do(func(db *database) error {
		_, err := db.clean.ExecContext(always, 0, seq, fromTime(time.Now()))
		return err
	})
	return nil
}
