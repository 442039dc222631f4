package sqlitefile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrNone is returned when there is no file and none may be made.
var ErrNone = errors.New("there is no such file")

const params = "_pragma=busy_timeout(500)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_txlock=immediate"

// tries is how often who writes tries to be the only one, each time for as long as
// busy_timeout says: in that SQLite does not hear that a context has ended.
const tries = 10

// connections is how many the file has at most: one that writes, some that read
// meanwhile.
const connections = 4

// File is an open file. Several processes may use it at once.
type File struct {
	*sql.DB
	Path string
	info os.FileInfo // as opened
}

// Open opens a file. When there is none it makes it, or returns ErrNone unless
// mayMake is set. The file belongs to whom the directory belongs, so that the
// service can go on with what root began. Steps are what each version of the
// schema does to the one before, the first to an empty file. The error is Damaged
// when there is no using the file.
func Open(ctx context.Context, path string, mayMake bool, steps ...string) (*File, error) {
	if err := ready(path, mayMake); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", DSN(path, params))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	db.SetMaxOpenConns(connections)
	f := &File{DB: db, Path: path}
	if f.info, err = os.Stat(path); err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", path, explain(err)), db.Close())
	}
	err = f.Within(ctx, func(ctx context.Context, tx *sql.Tx) error { return migrate(ctx, tx, steps) })
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", path, err), db.Close())
	}
	return f, nil
}

// Moved reports whether the path is no longer the file that was opened: open it
// anew.
func (f *File) Moved() bool {
	now, err := os.Stat(f.Path)
	return errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(now, f.info)
}

// ready sees to it that the file is there and may be used.
func ready(path string, mayMake bool) error {
	err := unix.Access(path, unix.R_OK|unix.W_OK)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !mayMake:
		return ErrNone
	case errors.Is(err, fs.ErrNotExist):
		err = create(path)
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("no permission to use %s: run this as the user that Porchlight runs as, or with sudo", path)
	}
	if err != nil {
		return fmt.Errorf("opening %s: %w", path, explain(err))
	}
	return nil
}

func create(path string) error {
	dir := filepath.Dir(path)
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

func migrate(ctx context.Context, tx *sql.Tx, steps []string) error {
	var version int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	switch {
	case version > len(steps):
		return errors.New("a newer Porchlight has written it: use that one")
	case version == len(steps):
		return nil
	}
	for _, step := range steps[version:] {
		if _, err := tx.ExecContext(ctx, step); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(steps)))
	return err
}

// errMoved is returned when what is written would be lost.
var errMoved = errors.New("it was removed, or another file was put in its place")

// Within runs do in a transaction that writes: all that it does is done, or
// nothing. The error says the remedy, if there is one.
func (f *File) Within(ctx context.Context, do func(context.Context, *sql.Tx) error) error {
	if f.Moved() {
		return errMoved
	}
	return explain(f.within(ctx, do))
}

func (f *File) within(ctx context.Context, do func(context.Context, *sql.Tx) error) error {
	tx, err := f.BeginTx(ctx, nil)
	for i := 1; i < tries && Code(err) == sqlite3.SQLITE_BUSY && ctx.Err() == nil; i++ {
		tx, err = f.BeginTx(ctx, nil)
	}
	if err != nil {
		return err
	}
	if err := do(ctx, tx); err != nil {
		_ = tx.Rollback() // often SQLite has done so already
		return err
	}
	return tx.Commit()
}
