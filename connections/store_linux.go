package connections

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"porchlight/sqlitefile"
)

const (
	// fullEvery is of how many snapshots one is stored as a whole: another one
	// is read with those before it, back to the whole one.
	fullEvery = 24
	// leastKept is how many snapshots stay however old they are: a clock that
	// jumps ahead must not empty the store.
	leastKept = 2 * fullEvery
)

// schema is what each version of the file adds to the one before. Of a snapshot,
// data is the stored form, a difference to number-1 unless whole is number; times
// are in milliseconds. sizes is for what is asked each time that one is added:
// without it the whole file would be read.
var schema = []string{`
CREATE TABLE snapshots (
	number      INTEGER PRIMARY KEY AUTOINCREMENT,
	whole       INTEGER NOT NULL,
	time        INTEGER NOT NULL,
	boot        TEXT NOT NULL,
	uptime      INTEGER NOT NULL,
	connections INTEGER NOT NULL,
	listeners   INTEGER NOT NULL,
	data        BLOB NOT NULL
) STRICT`, `
CREATE INDEX sizes ON snapshots (whole, time, length(data));
CREATE TABLE baseline (
	only INTEGER PRIMARY KEY CHECK (only = 1),
	data BLOB NOT NULL
) STRICT`}

// Store keeps snapshots in a file of their own beside the history, so that
// neither waits for the other. Several processes may use it at once.
type Store struct {
	db *sqlitefile.File
}

// Keep is for how long snapshots are kept, and how many bytes the file has at
// most; 0: any.
type Keep struct {
	Age  time.Duration
	Size int64
}

// file is its name in its directory.
const file = "connections.db"

// OpenStore opens dir/connections.db. When there is none it makes it, or returns
// ErrEmpty unless mayMake is set.
func OpenStore(ctx context.Context, dir string, mayMake bool) (*Store, error) {
	f, err := sqlitefile.Open(ctx, filepath.Join(dir, file), mayMake, schema...)
	if errors.Is(err, sqlitefile.ErrNone) {
		return nil, ErrEmpty
	}
	if err != nil {
		return nil, err
	}
	return &Store{f}, nil
}

// Moved reports whether the store's file is no longer in its place: open it anew.
func (s *Store) Moved() bool { return s.db.Moved() }

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// Add stores a snapshot and gives it its number. It deletes what need not be
// kept any more, a little each time.
func (s *Store) Add(ctx context.Context, snapshot *Snapshot, keep Keep) error {
	err := s.db.Within(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := add(ctx, tx, snapshot); err != nil {
			return err
		}
		return retain(ctx, tx, snapshot.Time, keep)
	})
	if err != nil {
		return fmt.Errorf("storing a snapshot: %w", err)
	}
	return nil
}

func add(ctx context.Context, tx *sql.Tx, s *Snapshot) error {
	// A whole one is due now and then, after a reboot, after numbers that are
	// missing, and when what is there cannot be read.
	base, whole := &packed{}, int64(0)
	last, boot, begun, err := newest(ctx, tx)
	if err != nil {
		return err
	}
	if last > 0 && boot == s.Boot && last-begun+1 < fullEvery {
		if read, err := load(ctx, tx, last, begun); err == nil {
			base, whole = read, begun
		} else if !errors.Is(err, errDamaged) {
			return err
		}
	}
	data, err := pack(s).encode(base)
	if err != nil {
		return err
	}
	listeners := 0
	for i := range s.Connections {
		if s.Connections[i].Listening() {
			listeners++
		}
	}
	// The next number is one more than the last even if that was deleted.
	result, err := tx.ExecContext(ctx, `INSERT INTO snapshots (whole, time, boot, uptime, connections, listeners, data) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		whole, s.Time.UnixMilli(), s.Boot, s.Uptime.Milliseconds(), len(s.Connections), listeners, data)
	if err != nil {
		return err
	}
	if s.Number, err = result.LastInsertId(); err != nil || whole != 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, "UPDATE snapshots SET whole = number WHERE number = ?", s.Number)
	return err
}

// newest returns the last number, the boot that it is of, and the whole snapshot
// that it builds on; zeros: there is none.
func newest(ctx context.Context, tx *sql.Tx) (last int64, boot string, whole int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT number, boot, whole FROM snapshots ORDER BY number DESC LIMIT 1").Scan(&last, &boot, &whole)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return last, boot, whole, err
}

// load reads a snapshot from the whole one on.
func load(ctx context.Context, tx *sql.Tx, number, whole int64) (*packed, error) {
	rows, err := tx.QueryContext(ctx, "SELECT number, data FROM snapshots WHERE number BETWEEN ? AND ? ORDER BY number", whole, number)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	p, next := &packed{}, whole
	for ; rows.Next(); next++ {
		var n int64
		var data []byte
		if err := rows.Scan(&n, &data); err != nil {
			return nil, err
		}
		if n != next {
			return nil, errDamaged
		}
		if p, err = decode(data, p); err != nil {
			if n != number {
				err = fmt.Errorf("snapshot %d, which it builds on: %w", n, err)
			}
			return nil, err
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if next != number+1 {
		return nil, errDamaged
	}
	return p, nil
}

// retain deletes the oldest whole snapshot and its differences, when all of them
// are too old or the file is too big. What it asks takes no longer of a million
// snapshots than of a hundred.
func retain(ctx context.Context, tx *sql.Tx, now time.Time, keep Keep) error {
	var oldest, size int64
	err := tx.QueryRowContext(ctx, `SELECT (SELECT coalesce(min(whole), 0) FROM snapshots), (page_count - freelist_count) * page_size
		FROM pragma_page_count, pragma_freelist_count, pragma_page_size`).Scan(&oldest, &size)
	if err != nil {
		return err
	}
	var newestOf, next, left int64
	err = tx.QueryRowContext(ctx, `SELECT coalesce(max(time), 0), coalesce(max(number), 0) + 1,
		(SELECT count(*) FROM (SELECT 1 FROM snapshots WHERE whole > ?1 LIMIT ?2)) FROM snapshots WHERE whole = ?1`, oldest, leastKept).Scan(&newestOf, &next, &left)
	if err != nil || left == 0 {
		return err
	}
	old := keep.Age > 0 && newestOf < now.Add(-keep.Age).UnixMilli() && left == leastKept
	if big := keep.Size > 0 && size > keep.Size; !old && !big {
		return nil
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM snapshots WHERE number < ?", next)
	return err
}

// Baseline returns what SetBaseline stored last; nil: nothing.
func (s *Store) Baseline(ctx context.Context) (b []byte, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT data FROM baseline").Scan(&b)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what is usual: %w", err)
	}
	return b, nil
}

// SetBaseline stores what a Watcher has learned.
func (s *Store) SetBaseline(ctx context.Context, b []byte) error {
	err := s.db.Within(ctx, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO baseline VALUES (1, ?) ON CONFLICT DO UPDATE SET data = excluded.data", b)
		return err
	})
	if err != nil {
		return fmt.Errorf("storing what is usual: %w", err)
	}
	return nil
}

// List returns the snapshots, the oldest first.
func (s *Store) List(ctx context.Context) (all []Entry, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT number, time, connections, listeners, length(data), boot FROM snapshots ORDER BY number")
	if err != nil {
		return nil, fmt.Errorf("listing the snapshots: %w", err)
	}
	return entries(rows)
}

// entries reads and closes rows.
func entries(rows *sql.Rows) (all []Entry, err error) {
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var e Entry
		var ms int64
		if err := rows.Scan(&e.Number, &ms, &e.Connections, &e.Listeners, &e.Bytes, &e.Boot); err != nil {
			return nil, fmt.Errorf("listing the snapshots: %w", err)
		}
		e.Time = time.UnixMilli(ms)
		if n := len(all); n > 0 && all[n-1].Boot == e.Boot {
			e.Boot = all[n-1].Boot // one text for a million
		}
		all = append(all, e)
	}
	return all, rows.Err()
}

// Load returns a snapshot.
func (s *Store) Load(ctx context.Context, number int64) (*Snapshot, error) {
	found := &Snapshot{Number: number}
	err := s.db.Within(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var whole, ms, uptime int64
		err := tx.QueryRowContext(ctx, "SELECT whole, time, boot, uptime FROM snapshots WHERE number = ?", number).Scan(&whole, &ms, &found.Boot, &uptime)
		if errors.Is(err, sql.ErrNoRows) {
			return ErrNone
		}
		if err != nil {
			return err
		}
		found.Time, found.Uptime = time.UnixMilli(ms), time.Duration(uptime)*time.Millisecond
		p, err := load(ctx, tx, number, whole)
		if err != nil {
			return err
		}
		found.Missing = p.missing
		found.Connections, err = p.unpack()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading snapshot %d: %w", number, err)
	}
	found.settle()
	return found, nil
}
