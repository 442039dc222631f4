package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Export writes all that the database holds into a new SQLite file, as it was
// at one moment, while another process may go on writing. The copy has mode
// 0600 and appears under its name when it is whole. An existing file is kept,
// and an error, unless replace is set.
//
// A Porchlight that starts on the copy (as porchlight.db in its data directory)
// goes on from there; its sequence numbers jump ahead, as after any end that was
// not in good order.
func (r *Reader) Export(ctx context.Context, path string, replace bool) error {
	if _, err := os.Lstat(path); err == nil && !replace {
		return errExists(path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("exporting the history: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part") // mode 0600
	if err != nil {
		return fmt.Errorf("exporting the history: %w", err)
	}
	part := f.Name()
	defer func() { _ = os.Remove(part) }() // it is gone already when all went well
	err = r.vacuumInto(ctx, part)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("exporting the history to %q: %w", path, err)
	}
	if replace {
		err = os.Rename(part, path)
	} else {
		err = publish(part, path)
	}
	if err != nil {
		return fmt.Errorf("exporting the history: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// vacuumInto needs a connection that may write, though not to the database.
func (r *Reader) vacuumInto(ctx context.Context, path string) error {
	pool, err := sql.Open("sqlite", strings.Replace(r.dsn, queryOnly, "", 1))
	if err != nil {
		return err
	}
	_, err = pool.ExecContext(ctx, "VACUUM INTO ?", path)
	return errors.Join(err, pool.Close())
}

// publish gives a file its name unless another one has it by now.
func publish(part, path string) error {
	err := os.Link(part, path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return errExists(path)
	case err == nil:
		return nil
	}
	// The file system has no hard links, as on a USB stick.
	if _, err := os.Lstat(path); err == nil {
		return errExists(path)
	}
	return os.Rename(part, path)
}

func errExists(path string) error {
	return fmt.Errorf("%s exists already: choose another name, or add --force to replace it", path)
}

// syncDir makes a new name in a directory survive a power cut, as far as its
// file system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return nil //nolint:nilerr // the file itself is safe
	}
	_ = d.Sync() // some file systems cannot
	return d.Close()
}
