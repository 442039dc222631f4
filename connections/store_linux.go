package connections

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver
)

const (
	// fullEvery is of how many snapshots one is stored as a whole: another one
	// is read with those before it, back to the whole one.
	fullEvery = 24
	// leastKept is how many snapshots stay however old they are: a clock that
	// jumps ahead must not empty the store.
	leastKept = 2 * fullEvery
	// schemaVersion is of the file.
	schemaVersion = 1
)

// schema: data is the stored form, a difference to number-1 unless whole is
// number. Times are in milliseconds.
const schema = `
CREATE TABLE snapshots (
	number      INTEGER PRIMARY KEY AUTOINCREMENT,
	whole       INTEGER NOT NULL,
	time        INTEGER NOT NULL,
	boot        TEXT NOT NULL,
	uptime      INTEGER NOT NULL,
	connections INTEGER NOT NULL,
	listeners   INTEGER NOT NULL,
	data        BLOB NOT NULL
) STRICT`

// Store keeps snapshots in a file of their own beside the history, so that
// neither waits for the other. Several processes may use it at once.
type Store struct {
	db *sql.DB
}

// Keep is for how long and how many bytes of snapshots are kept; 0: any.
type Keep struct {
	Age  time.Duration
	Size int64
}

// OpenStore opens dir/connections.db. When there is none it makes it, or returns
// ErrEmpty unless mayMake is set. The file belongs to whom the directory belongs,
// so that the service can go on with what root began.
func OpenStore(ctx context.Context, dir string, mayMake bool) (*Store, error) {
	path := filepath.Join(dir, "connections.db")
	if err := ready(dir, path, mayMake); err != nil {
		return nil, err
	}
	u := url.URL{
		Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(),
		RawQuery: "_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_txlock=immediate",
	}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	s := &Store{db}
	if err := s.within(ctx, migrate); err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", path, err), db.Close())
	}
	return s, nil
}

// ready sees to it that the file is there and may be used.
func ready(dir, path string, mayMake bool) error {
	err := unix.Access(path, unix.R_OK|unix.W_OK)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !mayMake:
		return ErrEmpty
	case errors.Is(err, fs.ErrNotExist):
		err = create(dir, path)
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("no permission to use %s: run this as the user that Porchlight runs as, or with sudo", path)
	}
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, err)
	}
	return nil
}

func create(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(likeDir(f, dir), f.Close())
}

// likeDir gives the file to whom the directory belongs. Only root can, and only
// root needs to. The files beside it SQLite makes like it.
func likeDir(f *os.File, dir string) error {
	var info unix.Stat_t
	if err := unix.Stat(dir, &info); err != nil || os.Geteuid() != 0 {
		return err
	}
	return f.Chown(int(info.Uid), int(info.Gid))
}

func migrate(ctx context.Context, tx *sql.Tx) error {
	var version int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case version > schemaVersion:
		return errors.New("a newer Porchlight has written it: use that one")
	case version == schemaVersion:
		return nil
	}
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
	return err
}

// within runs f in a transaction.
func (s *Store) within(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(ctx, tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// Add stores a snapshot and gives it its number. It deletes what need not be
// kept any more, a little each time.
func (s *Store) Add(ctx context.Context, snapshot *Snapshot, keep Keep) error {
	err := s.within(ctx, func(ctx context.Context, tx *sql.Tx) error {
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
			return nil, fmt.Errorf("snapshot %d: %w", n, err)
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
// are too old or there are too many bytes.
func retain(ctx context.Context, tx *sql.Tx, now time.Time, keep Keep) error {
	var oldest, next, left, size int64
	err := tx.QueryRowContext(ctx, `SELECT coalesce(min(whole), 0), coalesce(sum(length(data)), 0) FROM snapshots`).Scan(&oldest, &size)
	if err != nil {
		return err
	}
	var newestOf int64
	err = tx.QueryRowContext(ctx, `SELECT coalesce(max(time), 0), coalesce(max(number), 0) + 1, (SELECT count(*) FROM snapshots WHERE whole > ?1) FROM snapshots WHERE whole = ?1`, oldest).Scan(&newestOf, &next, &left)
	if err != nil || left == 0 {
		return err
	}
	old := keep.Age > 0 && newestOf < now.Add(-keep.Age).UnixMilli() && left >= leastKept
	if big := keep.Size > 0 && size > keep.Size; !old && !big {
		return nil
	}
	_, err = tx.ExecContext(ctx, "DELETE FROM snapshots WHERE number < ?", next)
	return err
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
		all = append(all, e)
	}
	return all, rows.Err()
}

// Load returns a snapshot.
func (s *Store) Load(ctx context.Context, number int64) (*Snapshot, error) {
	found := &Snapshot{Number: number}
	err := s.within(ctx, func(ctx context.Context, tx *sql.Tx) error {
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
