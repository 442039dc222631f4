package history

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

const (
	tick           = time.Second
	ticksPerSeen   = 60      // last-seen times are written once a minute
	ticksPerModel  = 10 * 60 // models every ten minutes
	ticksPerRetain = 60 * 60

	// checkpointAfter is some 2 to 8 MB of write-ahead log.
	checkpointAfter = 500

	retainBatch  = 250
	retainHourly = 1000 // by age: a clock that jumps ahead must not empty the log
)

// Run does what has its time: it syncs what was committed within a second,
// writes cursors, last-seen times and models, copies the write-ahead log into
// the database and deletes old events. It returns nil when ctx ends.
func (s *Store) Run(ctx context.Context) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	r := retention{s: s}
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
		s.watch()
		if err := s.sync(); err != nil {
			s.meet(err)
		}
		if err := s.checkpoint(ctx); err != nil && ctx.Err() == nil {
			s.meet(err)
		}
		if n%ticksPerRetain == 1 {
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
		_, err := db.clean.ExecContext(always, 0, seq)
		return err
	})
	return nil
}

// retention deletes the oldest events, a few a second, while there are too many
// or too old ones. What a consumer of this run has not acknowledged stays,
// unless there are more than twice too many.
type retention struct {
	s       *Store
	active  bool
	counted *database
	aged    int // deleted for their age in this hour
}

func (r *retention) begin() { r.active, r.aged = true, 0 }

func (r *retention) step(ctx context.Context) error {
	db := r.s.handle()
	if !r.active || db == nil {
		return nil
	}
	if err := r.count(ctx, db); err != nil {
		return err
	}
	cut, err := r.cut(ctx, db)
	if err != nil {
		return err
	}
	if cut == 0 {
		r.active = false
		return nil
	}
	r.s.do(func(db *database) error {
		result, err := db.conn.ExecContext(always, "DELETE FROM events WHERE seq <= ?", cut)
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		r.s.mu.Lock()
		defer r.s.mu.Unlock()
		r.s.count -= n
		return err
	})
	return nil
}

// count counts the events of db once; from then on the store keeps count.
func (r *retention) count(ctx context.Context, db *database) error {
	if r.counted == db {
		return nil
	}
	var n int64
	if err := db.pool.QueryRowContext(ctx, "SELECT count(*) FROM events").Scan(&n); err != nil {
		return fmt.Errorf("counting events: %w", err)
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.count, r.counted = n, db
	return nil
}

// cut returns the last Seq of the next batch to delete, 0 for none. The newest
// event always stays: it tells the next start which number was given last.
func (r *retention) cut(ctx context.Context, db *database) (cut int64, err error) {
	r.s.mu.Lock()
	surplus := r.s.count - r.s.opts.maxCount
	unread, live := r.s.notes.lowest()
	newest := r.s.tail.saved
	r.s.mu.Unlock()
	oldest := fromTime(time.Now().Add(-r.s.opts.maxAge))
	if !live || surplus > r.s.opts.maxCount {
		unread = math.MaxInt64
	}

	rows, err := db.pool.QueryContext(ctx, "SELECT seq, time FROM events ORDER BY seq LIMIT ?", retainBatch)
	if err != nil {
		return 0, fmt.Errorf("reading old events: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for ; rows.Next(); surplus-- {
		var seq, ms int64
		if err := rows.Scan(&seq, &ms); err != nil {
			return 0, fmt.Errorf("reading old events: %w", err)
		}
		aged := ms < oldest && r.aged < retainHourly
		if seq > unread || seq >= newest || surplus <= 0 && !aged {
			break
		}
		if surplus <= 0 {
			r.aged++
		}
		cut = seq
	}
	return cut, rows.Err()
}
