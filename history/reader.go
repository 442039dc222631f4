package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"porchlight/presence"
	"porchlight/sqlitefile"

	sqlite3 "modernc.org/sqlite/lib"
)

// Reader reads a data directory that another process may be writing. It changes
// nothing. It is safe for concurrent use.
type Reader struct {
	*Queries
	pool *sql.DB
	dsn  string
}

// OpenReader opens dir/porchlight.db for reading. It fails when there is none,
// when this user may not read it, when a newer Porchlight has written it, and
// when its first start was not finished. It reads files of all older versions.
func OpenReader(dir string) (*Reader, error) {
	path := filepath.Join(dir, "porchlight.db")
	if err := readable(path); err != nil {
		return nil, err
	}
	old := false
	name := sqlitefile.DSN(path, readParams)
	pool, err := sql.Open("sqlite", name)
	if err == nil {
		old, err = checkVersion(pool)
		if sqlitefile.Code(err) != 0 && pool.Close() == nil && atRest(path) {
			// In a directory that is not ours to write, SQLite can only read a
			// file that nobody is writing.
			name = sqlitefile.DSN(path, "mode=ro&immutable=1")
			if pool, err = sql.Open("sqlite", name); err == nil {
				old, err = checkVersion(pool)
			}
		}
	}
	if err != nil {
		if pool != nil {
			_ = pool.Close()
		}
		if c := sqlitefile.Code(err); c == sqlite3.SQLITE_CANTOPEN || c == sqlite3.SQLITE_PERM {
			return nil, errNoPermission(path)
		}
		return nil, fmt.Errorf("opening %s for reading: %w", path, err)
	}
	return &Reader{&Queries{func() (*sql.DB, error) { return pool, nil }, old}, pool, name}, nil
}

// readable says in plain words what keeps path from being read. It does not
// open the file: to close it again would drop the locks that a Store in this
// process holds on it (fcntl(2), F_SETLK).
func readable(path string) error {
	_, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no history in %s yet: start Porchlight there first, or set PORCHLIGHT_DATA_DIR to where it runs", filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission):
		return errNoPermission(path)
	case err != nil:
		return fmt.Errorf("opening the history: %w", err)
	}
	return nil
}

func errNoPermission(path string) error {
	return fmt.Errorf("no permission to read %s: run this as the user that Porchlight runs as, or with sudo", path)
}

// atRest reports whether no write-ahead log is there.
func atRest(path string) bool {
	info, err := os.Stat(path + "-wal")
	return errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0
}

// checkVersion reports whether the file is so old that it has no sessions.
func checkVersion(pool *sql.DB) (old bool, err error) {
	steps, err := schema()
	if err != nil {
		return false, err
	}
	conn, err := pool.Conn(always)
	if err != nil {
		return false, err
	}
	defer func() { _ = conn.Close() }()
	v, err := userVersion(always, conn)
	switch {
	case err != nil:
		return false, err
	case v > len(steps):
		return false, errNewer
	case v == 0:
		return false, errOld
	}
	var tables int
	err = conn.QueryRowContext(always, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'sessions'").Scan(&tables)
	return tables == 0, err
}

// Close closes the file.
func (r *Reader) Close() error { return r.pool.Close() }

// Devices returns the devices by id. Last-seen times are up to a minute old and
// models ten minutes. A model that cannot be read is empty.
func (r *Reader) Devices(ctx context.Context) ([]presence.Record, error) {
	devices, err := loadDevices(ctx, r.pool)
	if err != nil {
		return nil, err
	}
	records := make([]presence.Record, len(devices))
	for i, d := range devices {
		records[i], _ = d.record()
	}
	return records, nil
}

// Events returns up to limit events with a Seq above after, in order.
func (r *Reader) Events(ctx context.Context, after int64, limit int) ([]presence.Event, error) {
	return eventsBetween(ctx, r.pool, after, math.MaxInt64, limit)
}

// Last returns the n most recent events, oldest first.
func (r *Reader) Last(ctx context.Context, n int) ([]presence.Event, error) {
	return lastEvents(ctx, r.pool, n)
}

// Meta returns a setting, empty when it was never set.
func (r *Reader) Meta(ctx context.Context, key string) (string, error) {
	all, err := loadMeta(ctx, r.pool)
	return all[key], err
}
