package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"
)

const (
	retainBatch  = 250
	retainHourly = 1000 // by age: a clock that jumps ahead must not empty the log

	// maxEvents bounds the log whatever the size may be.
	maxEvents = 500_000
	// vacuumPages is how many free pages go back to the disk a second.
	vacuumPages = 64
)

// retention deletes the oldest that there is, a few rows a second, each few in a
// transaction of their own that waits its turn behind events: while there are
// events older than they may be, or too many, or while the file is too big.
//
// What a consumer has not acknowledged stays beyond its age, and until there are
// more than twice too many events. The size is kept in any case; when an event
// goes that a consumer has not had, that is told (Store.Skipped).
//
// The events set the pace: other rows go when they are older than they may be
// and than the first event that stays.
type retention struct {
	s       *Store
	active  bool
	counted *database
	hour    time.Time
	aged    int // deleted for their age in this hour
}

// cut is what the next batch deletes.
type cut struct {
	seq    int64 // events up to this; 0: none
	before int64 // other rows that ended before this time
}

func (r *retention) begin() {
	r.active = true
	if now := time.Now(); now.Sub(r.hour) >= time.Hour {
		r.hour, r.aged = now, 0
	}
}

func (r *retention) step(ctx context.Context) error {
	db := r.s.handle()
	if !r.active || db == nil {
		return nil
	}
	if err := r.count(ctx, db); err != nil {
		return err
	}
	size, err := sizeOf(ctx, db)
	if err != nil {
		return err
	}
	over := r.s.opts.maxSize > 0 && size.used() > r.s.opts.maxSize
	c, err := r.cut(ctx, db, over)
	if err != nil {
		return err
	}
	old, err := r.anyOlder(ctx, db, c.before)
	if err != nil {
		return err
	}
	if c.seq > 0 || old {
		r.s.do(func(db *database) error { return r.remove(db, c) })
	}
	vacuum := size.wasteful(r.s.opts.maxSize)
	if vacuum {
		r.s.do(func(db *database) error { return db.giveBack() })
	}
	r.active = c.seq > 0 || old || vacuum
	return nil
}

// fileSize is the size of the database file, in bytes.
type fileSize struct{ all, free int64 }

func (f fileSize) used() int64 { return f.all - f.free }

// wasteful reports whether the file should shrink: it is bigger than it may be,
// or a quarter of it and more than a megabyte is free. What is free else will
// be used again.
func (f fileSize) wasteful(limit int64) bool {
	return f.free > 0 && limit > 0 && f.all > limit || f.free > max(1<<20, f.all/4)
}

// Size returns the size of the database in bytes, without what is free in it;
// 0 when it is not known.
func (s *Store) Size(ctx context.Context) int64 {
	db := s.handle()
	if db == nil {
		return 0
	}
	size, err := sizeOf(ctx, db)
	if err != nil {
		return 0
	}
	return size.used()
}

func sizeOf(ctx context.Context, db *database) (f fileSize, err error) {
	var pages, free, page int64
	err = db.pool.QueryRowContext(ctx, `SELECT p.page_count, f.freelist_count, s.page_size
		FROM pragma_page_count AS p, pragma_freelist_count AS f, pragma_page_size AS s`).Scan(&pages, &free, &page)
	if err != nil {
		return f, fmt.Errorf("asking for the size of the database: %w", err)
	}
	return fileSize{pages * page, free * page}, nil
}

// giveBack returns some free pages to the disk. In a file of an old version,
// which cannot, it does nothing.
func (db *database) giveBack() error {
	rows, err := db.conn.QueryContext(always, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", vacuumPages))
	if err != nil {
		return err
	}
	for rows.Next() { // each step frees a page
	}
	return errors.Join(rows.Err(), rows.Close())
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

// cut returns what to delete next. The newest event always stays: it tells the
// next start which number was given last.
func (r *retention) cut(ctx context.Context, db *database, over bool) (c cut, err error) {
	r.s.mu.Lock()
	surplus := r.s.count - r.s.opts.maxCount
	unread, live := r.s.notes.lowest()
	newest := r.s.tail.saved
	r.s.mu.Unlock()
	if !live || surplus > r.s.opts.maxCount || over {
		unread = math.MaxInt64
	}
	if over {
		surplus = max(surplus, retainBatch)
	}
	oldest := fromTime(time.Now().Add(-r.s.opts.maxAge))
	kept := int64(math.MaxInt64) // the time of the first event that stays
	err = eachRow(ctx, db.pool, "reading old events", func(rows *sql.Rows) error {
		var seq, ms int64
		if err := rows.Scan(&seq, &ms); err != nil || kept < math.MaxInt64 {
			return err
		}
		aged := ms < oldest && r.aged < retainHourly
		if seq > unread || seq >= newest || surplus <= 0 && !aged {
			kept = ms
			return nil
		}
		if surplus <= 0 {
			r.aged++
		}
		c.seq, c.before = seq, ms
		surplus--
		return nil
	}, "SELECT seq, time FROM events ORDER BY seq LIMIT ?", retainBatch)
	if kept < math.MaxInt64 {
		c.before = kept
	}
	if !over {
		c.before = min(c.before, oldest)
	}
	return c, err
}

// olderRows is what goes with the events, a batch of each at a time. Who is home
// keeps the session however long it has lasted, and each device its last names.
var olderRows = []struct{ table, where string }{
	{"sessions", "ended <> 0 AND ended < ?1"},
	{"gaps", "ended <> 0 AND ended < ?1"},
	{"leases", "last_seen < ?1"},
	{"names", `since < ?1 AND (device NOT IN (SELECT id FROM devices) OR EXISTS (SELECT 1 FROM names AS later
		WHERE later.device = names.device AND later.kind = names.kind AND later.since > names.since AND later.since < ?1))`},
}

// anyOlder reports whether there are rows beside the events to delete.
func (r *retention) anyOlder(ctx context.Context, db *database, before int64) (found bool, err error) {
	for _, rows := range olderRows {
		err := db.pool.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+rows.table+" WHERE "+rows.where+")", before).Scan(&found)
		if err != nil || found {
			return found, err
		}
	}
	return false, nil
}

// remove deletes a batch. It is called by the writer.
func (r *retention) remove(db *database, c cut) error {
	if err := r.tellSkipped(db, c.seq); err != nil {
		return err
	}
	result, err := db.conn.ExecContext(always, "DELETE FROM events WHERE seq <= ?", c.seq)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return err
	}
	for _, rows := range olderRows {
		key := "id"
		if rows.table == "leases" || rows.table == "names" {
			key = "(device, " + map[string]string{"leases": "ip", "names": "kind, since"}[rows.table] + ")"
		}
		columns := strings.Trim(key, "()")
		if err := db.exec("DELETE FROM "+rows.table+" WHERE "+key+" IN (SELECT "+columns+" FROM "+rows.table+
			" WHERE "+rows.where+" LIMIT ?2)", c.before, retainBatch); err != nil {
			return fmt.Errorf("deleting old %s: %w", rows.table, err)
		}
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.s.count -= n
	return nil
}

// tellSkipped says loudly when events up to seq go that a consumer has not had.
func (r *retention) tellSkipped(db *database, seq int64) error {
	r.s.mu.Lock()
	behind := maps.Clone(r.s.notes.cursors)
	live := maps.Clone(r.s.notes.live)
	r.s.mu.Unlock()
	for consumer := range live { // one that has not confirmed anything yet
		behind[consumer] += 0
	}
	for consumer, cursor := range behind {
		if cursor >= seq {
			continue
		}
		var n int
		if _, err := db.row("SELECT count(*) FROM events WHERE seq > ? AND seq <= ?", []any{cursor, seq}, &n); err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		r.s.mu.Lock()
		before := r.s.skipped[consumer]
		if live[consumer] {
			r.s.skipped[consumer] += n
		}
		first := before == 0 && !r.s.toldSkipped[consumer]
		r.s.toldSkipped[consumer] = true
		r.s.mu.Unlock()
		switch {
		case !live[consumer] && first:
			r.s.log.Warn("history deletes old events that a part which does not run now never took",
				"consumer", consumer, "acknowledged", cursor)
		case live[consumer] && (first || before/skippedStep != (before+n)/skippedStep):
			r.s.log.Error("history deletes events that were not delivered yet: there are too many, or the database is as big as it may be (PORCHLIGHT_HISTORY_MAX_SIZE)",
				"consumer", consumer, "acknowledged", cursor, "deleted_undelivered", before+n)
		}
	}
	return nil
}

// skippedStep is after how many more events that were not delivered it is told again.
const skippedStep = 1000

// Skipped returns how many events were deleted since the start before a
// consumer had acknowledged them, by consumer.
func (s *Store) Skipped() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.skipped)
}
