package traffic

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"

	"porchlight/sqlitefile"
)

// schema: a row is of one of the levels. Times are in milliseconds.
const schema = `
CREATE TABLE rounds (
	id    INTEGER PRIMARY KEY,
	level INTEGER NOT NULL,
	start INTEGER NOT NULL,
	ends  INTEGER NOT NULL,
	data  BLOB NOT NULL
) STRICT;
CREATE INDEX rounds_by_end ON rounds (level, ends, start)`

// The levels of rows.
const (
	recorded   = 0 // as it was recorded
	hour       = 1
	wholeDay   = 2
	besideHour = 3 // an hour, beside the rows that it is made of
	inHour     = 4 // as it was recorded, and in such an hour too
)

// File is the store's name in its directory.
const File = "traffic.db"

// Store keeps rounds in a file of their own beside the history, so that neither
// waits for the other. As they age they are merged, to hours and then to days.
// Several processes may use it at once.
type Store struct {
	Keep Keep
	db   *sqlitefile.File
	ages ages
}

// Keep is for how long and how many bytes of rounds are kept; 0: any.
type Keep struct {
	Age  time.Duration
	Size int64
}

// ErrEmpty is returned when nothing was ever recorded.
var ErrEmpty = errors.New("no traffic was recorded yet")

// OpenStore opens dir/traffic.db. When there is none it makes it, or returns
// ErrEmpty unless mayMake is set. See sqlitefile.Open.
func OpenStore(ctx context.Context, dir string, mayMake bool) (*Store, error) {
	f, err := sqlitefile.Open(ctx, filepath.Join(dir, File), mayMake, schema)
	if errors.Is(err, sqlitefile.ErrNone) {
		return nil, ErrEmpty
	}
	if err != nil {
		return nil, err
	}
	return &Store{db: f, ages: usualAges}, nil
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// Moved reports whether the file is no longer in its place: open it anew.
func (s *Store) Moved() bool { return s.db.Moved() }

// Add stores a round. It also merges and deletes what is due, a little each time.
// Either all of that is done, or there is an error and nothing is.
func (s *Store) Add(ctx context.Context, r Round) error {
	err := s.db.Within(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := insert(ctx, tx, &r); err != nil {
			return err
		}
		return s.age(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("storing a round of traffic in %s: %w", s.db.Path, err)
	}
	return nil
}

func insert(ctx context.Context, tx *sql.Tx, r *Round) error {
	start, ends := r.Start.UnixMilli(), r.Start.Add(r.Length).UnixMilli()
	if ends <= start {
		return fmt.Errorf("it is %s long", r.Length)
	}
	data, err := r.encode()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO rounds (level, start, ends, data) VALUES (?, ?, ?, ?)", recorded, start, ends, data)
	return err
}

// row is a round as it is stored.
type row struct {
	id, level, start, ends int64
	data                   []byte
}

// round reads the row. One that is damaged is of its time, and nothing in it was
// counted.
func (w *row) round() *Round {
	r := &Round{Start: time.UnixMilli(w.start).UTC(), Length: time.Duration(w.ends-w.start) * time.Millisecond}
	if err := r.decode(w.data); err != nil {
		return &Round{Start: r.Start, Length: r.Length}
	}
	return r
}

// The rows of a span of time, each packet in one of them: in as much detail as
// there is, or in as few rows. Naming the levels lets SQLite use the index.
const (
	inDetail = " FROM rounds WHERE level IN (0, 1, 2, 4) AND ends > ? AND start < ?"
	inFew    = " FROM rounds WHERE level IN (0, 1, 2, 3) AND ends > ? AND start < ?"
	// ofAnHour are the rows beside which the hour is that begins then.
	ofAnHour = " FROM rounds WHERE level = 4 AND ends > ?1 AND start >= ?1 AND start < ?1 + 3600000"
)

// read calls visit for each row that the SQL chooses, the oldest first. An error of
// visit ends it.
func read(ctx context.Context, tx *sql.Tx, visit func(*row) error, chosen string, args ...any) error {
	rows, err := tx.QueryContext(ctx, "SELECT id, level, start, ends, data"+chosen+" ORDER BY start, id", args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var w row
		if err := rows.Scan(&w.id, &w.level, &w.start, &w.ends, &w.data); err != nil {
			return err
		}
		if err := visit(&w); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Each calls visit for each round of which at least a part is between since and
// until, the oldest first, as they are stored: as recorded, then by the hour, then
// by the day. Those of a time that came twice, as after the clock was set back, are
// all there. An error of visit ends it, and is returned as it is.
func (s *Store) Each(ctx context.Context, since, until time.Time, visit func(*Round) error) error {
	var visited error
	err := s.within(ctx, func(tx *sql.Tx) error {
		return read(ctx, tx, func(w *row) error {
			visited = visit(w.round())
			return visited
		}, inDetail, since.UnixMilli(), until.UnixMilli())
	})
	if visited != nil {
		return visited
	}
	return err
}

// within has do read the rows as they are at one moment, whatever is merged
// meanwhile.
func (s *Store) within(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err == nil {
		defer func() { _ = tx.Rollback() }()
		err = do(tx)
	}
	s.reading(&err)
	return err
}

// reading says what failed.
func (s *Store) reading(err *error) {
	if *err != nil {
		*err = fmt.Errorf("reading %s: %w", s.db.Path, *err)
	}
}

// Buckets returns what passed between since and until by equal spans of time; see
// NewBuckets. An hour that is in one of them is read as such: of its hosts, devices
// and ports that is what Merge leaves.
func (s *Store) Buckets(ctx context.Context, since, until time.Time, step time.Duration) ([]Round, error) {
	b := NewBuckets(since, until, step)
	err := s.within(ctx, func(tx *sql.Tx) error { return b.fill(ctx, tx) })
	return b.Rounds(), err
}

// fill adds what is stored.
func (b *Buckets) fill(ctx context.Context, tx *sql.Tx) error {
	add := func(w *row) error {
		b.Add(w.round())
		return nil
	}
	span := []any{b.since.UnixMilli(), b.until.UnixMilli()}
	if b.step < time.Hour {
		return read(ctx, tx, add, inDetail, span...)
	}
	var divided []int64 // hours that are in several buckets, or in part outside
	err := read(ctx, tx, func(w *row) error {
		if w.level == besideHour && b.divides(time.UnixMilli(w.start), time.UnixMilli(w.ends)) {
			divided = append(divided, floor(w.start, time.Hour))
			return nil
		}
		return add(w)
	}, inFew, span...)
	for _, start := range divided {
		if err == nil {
			err = read(ctx, tx, add, ofAnHour, start)
		}
	}
	return err
}

// floor is the begin of the span of that length that a time is in, in milliseconds.
func floor(t int64, span time.Duration) int64 {
	ms := span.Milliseconds()
	return t - (t%ms+ms)%ms
}

// Last returns when the last round that began before until began, and when it
// ended.
func (s *Store) Last(ctx context.Context, until time.Time) (start, end time.Time, err error) {
	var from, to int64
	err = s.db.QueryRowContext(ctx, "SELECT start, ends"+inDetail+" ORDER BY start DESC, id DESC LIMIT 1", int64(math.MinInt64), until.UnixMilli()).Scan(&from, &to)
	if errors.Is(err, sql.ErrNoRows) {
		return start, end, ErrEmpty
	}
	s.reading(&err)
	return time.UnixMilli(from), time.UnixMilli(to), err
}

// Span returns when the first stored round began and when the last one ended. The
// error is ErrEmpty when there is none.
func (s *Store) Span(ctx context.Context) (first, last time.Time, err error) {
	var start, ends sql.NullInt64
	if err := s.db.QueryRowContext(ctx, "SELECT min(start), max(ends) FROM rounds").Scan(&start, &ends); err != nil {
		s.reading(&err)
		return first, last, err
	}
	if !start.Valid {
		return first, last, ErrEmpty
	}
	return time.UnixMilli(start.Int64).UTC(), time.UnixMilli(ends.Int64).UTC(), nil
}
