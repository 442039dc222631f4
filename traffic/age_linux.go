package traffic

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// ages are how old rounds are when they are merged.
type ages struct{ hours, days time.Duration }

// usualAges: what is drawn of a day is as it was recorded, of a week too if asked in
// detail; a month or a quarter by the hour.
var usualAges = ages{hours: 8 * day, days: 93 * day}

const (
	day = 24 * time.Hour
	// believed is how many rounds must be of a time before what is old by it is
	// merged and deleted: a clock that is wrong for a while does neither.
	believed = 60
	// mergedAtOnce bounds what is read for one step.
	mergedAtOnce = 400
	// deletedForAge and deletedForSize are how many go with each round that is
	// added: if the clock stays wrong there is time to see it.
	deletedForAge  = 10
	deletedForSize = 100
)

// age does what is due: at most an hour, a day and a few old rounds.
func (s *Store) age(ctx context.Context, tx *sql.Tx) error {
	now, err := now(ctx, tx)
	if err != nil {
		return err
	}
	if err := coarsen(ctx, tx, hour, time.Hour, now.Add(-s.ages.hours)); err != nil {
		return err
	}
	if err := sumUp(ctx, tx, now); err != nil {
		return err
	}
	alone := s.ages.hours
	if s.Keep.Age > 0 {
		alone = min(alone, s.Keep.Age)
	}
	if err := letGo(ctx, tx, now.Add(-alone)); err != nil {
		return err
	}
	if err := coarsen(ctx, tx, wholeDay, day, now.Add(-s.ages.days)); err != nil {
		return err
	}
	if s.Keep.Age > 0 {
		if _, err := tx.ExecContext(ctx, "DELETE FROM rounds WHERE id IN (SELECT id FROM rounds WHERE level IN (0, 1, 2) AND ends <= ? LIMIT ?)",
			now.Add(-s.Keep.Age).UnixMilli(), deletedForAge); err != nil {
			return err
		}
	}
	return s.bound(ctx, tx)
}

// now is what the rounds that were added last agree to be over: their earliest
// end. Before there are enough of them it is long ago.
func now(ctx context.Context, tx *sql.Tx) (time.Time, error) {
	var n int
	var ends sql.NullInt64
	err := tx.QueryRowContext(ctx, "SELECT count(*), min(ends) FROM (SELECT ends FROM rounds WHERE +level IN (0, 4) ORDER BY id DESC LIMIT ?)", believed).Scan(&n, &ends)
	if err != nil || n < believed {
		return time.Time{}, err
	}
	return time.UnixMilli(ends.Int64), nil
}

// coarsen merges the oldest span that has rounds of the level below and was over
// before that time, with what there is of that span on the level already.
func coarsen(ctx context.Context, tx *sql.Tx, level int64, span time.Duration, before time.Time) error {
	rows, err := due(ctx, tx, level-1, level, span, before)
	if err != nil || len(rows) == 0 {
		return err
	}
	return replace(ctx, tx, level, rows)
}

// due reads the rows of the oldest span that has some of the level from and was over
// before that time: those, and before them what there is of that span on the level
// to.
func due(ctx context.Context, tx *sql.Tx, from, to int64, span time.Duration, before time.Time) (all []row, err error) {
	var start int64
	err = tx.QueryRowContext(ctx, "SELECT start FROM rounds WHERE level = ? AND ends <= ? ORDER BY ends LIMIT 1", from, before.UnixMilli()).Scan(&start)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	start = floor(start, span)
	until := start + span.Milliseconds()
	if until > before.UnixMilli() {
		return nil, nil
	}
	rows, err := tx.QueryContext(ctx, `SELECT id, level, start, ends, data FROM rounds WHERE level IN (?, ?) AND ends > ?3 AND start >= ?3 AND start < ?
		ORDER BY level = ?1, id LIMIT ?`, from, to, start, until, mergedAtOnce)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var w row
		if err := rows.Scan(&w.id, &w.level, &w.start, &w.ends, &w.data); err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, rows.Err()
}

// replace puts one row in the place of the first of them.
func replace(ctx context.Context, tx *sql.Tx, level int64, rows []row) error {
	id := rows[0].id
	for i := range rows {
		id = min(id, rows[i].id)
	}
	for i := range rows {
		if rows[i].id == id {
			continue
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM rounds WHERE id = ?", rows[i].id); err != nil {
			return err
		}
	}
	return put(ctx, tx, id, level, rows)
}

// put stores the sum of the rows, in the place of the row id if there is one.
func put(ctx context.Context, tx *sql.Tx, id any, level int64, rows []row) error {
	var s sum
	for i := range rows {
		s.add(rows[i].round(), whole)
	}
	merged := s.round()
	data, err := merged.encode()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO rounds (id, level, start, ends, data) VALUES (?, ?, ?, ?, ?)",
		id, level, merged.Start.UnixMilli(), merged.Start.Add(merged.Length).UnixMilli(), data)
	return err
}

// bound deletes the oldest when the file is too big, but not what now needs.
func (s *Store) bound(ctx context.Context, tx *sql.Tx) error {
	if s.Keep.Size <= 0 {
		return nil
	}
	var used int64
	err := tx.QueryRowContext(ctx, `SELECT (p.page_count - f.freelist_count) * s.page_size
		FROM pragma_page_count AS p, pragma_freelist_count AS f, pragma_page_size AS s`).Scan(&used)
	if err != nil || used <= s.Keep.Size {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM rounds WHERE id IN (SELECT id FROM rounds ORDER BY ends, id LIMIT
		min(?, max((SELECT count(*) FROM rounds) - ?, 0)))`, deletedForSize, 2*believed)
	return err
}
