package sqlitefile

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"syscall"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// DSN returns the name of the file for database/sql. The pragmas are in params,
// so that each connection has them.
func DSN(path, params string) string {
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: params}
	return u.String()
}

// Code returns SQLite's primary result code, 0 when err is none of SQLite's.
func Code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// Damaged reports whether err means that the file itself is broken.
func Damaged(err error) bool {
	c := Code(err)
	return c == sqlite3.SQLITE_CORRUPT || c == sqlite3.SQLITE_NOTADB
}

// Remedy says what someone who runs this at home can do about err; empty: that is
// not known.
func Remedy(err error) string {
	switch c := Code(err); {
	case c == sqlite3.SQLITE_FULL, noShm(err), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "the disk is full: free some space"
	case c == sqlite3.SQLITE_READONLY, errors.Is(err, syscall.EROFS):
		return "it is read-only: mount it for writing, or set PORCHLIGHT_DATA_DIR to another directory"
	case c == sqlite3.SQLITE_PERM, errors.Is(err, fs.ErrPermission):
		return "no permission: make this user its owner, or set PORCHLIGHT_DATA_DIR to another directory"
	case c == sqlite3.SQLITE_CANTOPEN:
		return "see that this user may write there and that the disk has space"
	case c == sqlite3.SQLITE_BUSY, c == sqlite3.SQLITE_LOCKED:
		return "another program holds the file: close it"
	case c == sqlite3.SQLITE_IOERR, errors.Is(err, syscall.EIO):
		return "see that the disk works"
	}
	return ""
}

// noShm reports whether there was no space for the file that SQLite shares memory
// with.
func noShm(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE
}

// explain is err with its remedy.
func explain(err error) error {
	if remedy := Remedy(err); remedy != "" {
		return fmt.Errorf("%s (%w)", remedy, err)
	}
	return err
}

// SetAside renames a damaged file and its write-ahead log so that they stay a
// pair. It must not be open.
func SetAside(path string, now time.Time) (aside string, err error) {
	aside = path + ".corrupt-" + now.Format("20060102-150405")
	if _, err := os.Lstat(aside); err == nil {
		return "", fmt.Errorf("setting aside a damaged database: %q exists", aside)
	}
	if err := os.Rename(path, aside); err != nil {
		return "", fmt.Errorf("setting aside a damaged database: %w", err)
	}
	for _, end := range []string{"-wal", "-shm"} {
		if err := os.Rename(path+end, aside+end); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("setting aside a damaged database: %w", err)
		}
	}
	return aside, nil
}
