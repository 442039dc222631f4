package connections

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	sqlite3 "modernc.org/sqlite/lib"

	"porchlight/sqlitefile"
)

var errNoStore = errors.New("there are no stored snapshots to be had")

// explain says what err means for someone who runs this at home.
func explain(err error) string {
	if remedy := Remedy(err); remedy != "" {
		return fmt.Sprintf("%s (%v)", remedy, err)
	}
	return err.Error()
}

// Remedy says what an error of a Store means, and what to do; empty: that is not
// known.
func Remedy(err error) string {
	switch c := sqlitefile.Code(err); {
	case c == sqlite3.SQLITE_FULL, errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "the disk is full: free some space"
	case c == sqlite3.SQLITE_BUSY, c == sqlite3.SQLITE_LOCKED:
		return "another program holds the file: close it"
	case c == sqlite3.SQLITE_READONLY, errors.Is(err, syscall.EROFS):
		return "it is read-only: mount it for writing"
	case c == sqlite3.SQLITE_CANTOPEN, c == sqlite3.SQLITE_PERM, errors.Is(err, fs.ErrPermission):
		return "see that this user may write there and that the disk has space"
	case sqlitefile.Damaged(err):
		return "the file is damaged"
	}
	return ""
}
