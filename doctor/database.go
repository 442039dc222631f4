package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"porchlight/history"
)

// wantFree is the space, in bytes, under which the disk is called nearly full.
const wantFree = 100 << 20

// lockHeld reports whether a Porchlight runs on the data directory: package
// history holds this lock while it writes there.
func lockHeld(dir string) bool {
	f, err := os.Open(filepath.Join(dir, "porchlight.lock"))
	if err != nil {
		return false
	}
	defer f.Close() // and with it the lock
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// checkDatabase looks at the data directory and at what is in it. held is
// whether a Porchlight runs on it.
func checkDatabase(ctx context.Context, dir string, held bool) []Finding {
	const check = "database"
	const elsewhere = ", or set PORCHLIGHT_DATA_DIR to another directory"
	at, err := existing(dir)
	if err == nil {
		err = unix.Faccessat(unix.AT_FDCWD, at, unix.R_OK|unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	}
	if file := filepath.Join(dir, "porchlight.db"); err == nil && exists(file) {
		at, err = file, unix.Faccessat(unix.AT_FDCWD, file, unix.R_OK|unix.W_OK, unix.AT_EACCESS)
	}
	switch {
	case errors.Is(err, syscall.EROFS):
		return []Finding{fail(check, fmt.Sprintf("%s is on a file system that is mounted read-only.", at), "Mount it for writing"+elsewhere+".")}
	case errors.Is(err, fs.ErrPermission):
		return []Finding{fail(check, fmt.Sprintf("This user may not write %s.", at), giveAway(dir)+elsewhere+".")}
	case err != nil:
		return []Finding{fail(check, fmt.Sprintf("The data directory %s cannot be used: %v.", dir, err), "Set PORCHLIGHT_DATA_DIR to a directory.")}
	}
	found := readDatabase(ctx, dir, held)
	if free, err := freeSpace(at); err == nil && free < wantFree {
		found = append(found, warn(check, fmt.Sprintf("Only %d MB are free on the disk of %s; when it is full, events are kept in memory only.", free>>20, dir), "Free some space"+elsewhere+"."))
	}
	return found
}

// giveAway is the command that lets this user write dir. What is above dir stays
// whose it is.
func giveAway(dir string) string {
	if exists(dir) {
		return "Run as the user that Porchlight runs as, or: sudo chown -R $USER " + dir
	}
	return "sudo install -d -m 700 -o $USER " + dir
}

// existing returns dir, or the nearest directory above it that exists.
func existing(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		info, err := os.Stat(dir)
		switch {
		case err == nil && !info.IsDir():
			return dir, fmt.Errorf("%s is a file", dir)
		case err == nil || !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir):
			return dir, err
		}
		dir = filepath.Dir(dir)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// freeSpace returns the bytes that an unprivileged user may still write.
func freeSpace(path string) (uint64, error) {
	var s unix.Statfs_t
	err := unix.Statfs(path, &s)
	return s.Bavail * uint64(s.Bsize), err
}

func readDatabase(ctx context.Context, dir string, held bool) []Finding {
	const check = "database"
	if !exists(filepath.Join(dir, "porchlight.db")) {
		return []Finding{ok(check, fmt.Sprintf("%s can be written; the database will be made there.", dir))}
	}
	err := tryReading(ctx, dir)
	switch {
	case err != nil && strings.Contains(err.Error(), "newer Porchlight"):
		return []Finding{fail(check, fmt.Sprintf("The database in %s was written by a newer Porchlight.", dir), "Install that version or a later one, or move the file away.")}
	case err != nil && strings.Contains(err.Error(), "older Porchlight"):
		return []Finding{ok(check, fmt.Sprintf("The database in %s is of an older version; the next start brings it up to date.", dir))}
	case err != nil:
		return []Finding{warn(check, fmt.Sprintf("The database in %s cannot be read: %v.", dir, err), "Start Porchlight; it sets a damaged file aside and begins a fresh one.")}
	case held:
		return []Finding{ok(check, fmt.Sprintf("A Porchlight is running on the database in %s.", dir))}
	}
	return []Finding{ok(check, fmt.Sprintf("The database in %s is fine.", dir))}
}

func tryReading(ctx context.Context, dir string) error {
	r, err := history.OpenReader(dir)
	if err != nil {
		return err
	}
	_, err = r.Last(ctx, 1)
	return errors.Join(err, r.Close())
}
