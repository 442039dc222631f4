package sqlitefile

import (
	"errors"
	"fmt"
	"net/url"
	"os"
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
