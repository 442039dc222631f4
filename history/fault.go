package history

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"porchlight/sqlitefile"
)

// damaged reports whether err means that the file itself is broken.
func damaged(err error) bool {
	return sqlitefile.Damaged(err) || errors.Is(err, errDamaged)
}

// full reports whether err may pass without opening the file again.
func full(err error) bool {
	return sqlitefile.Code(err) == sqlite3.SQLITE_FULL || sqlitefile.Code(err) == sqlite3.SQLITE_BUSY
}

// noShm reports whether there was no space for the file that SQLite shares
// memory with.
func noShm(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE
}

// explain says what err means for someone who runs Porchlight at home, with the
// remedy. The cause is wrapped.
func explain(dir string, err error) error {
	remedy := "see that the disk works"
	switch c := sqlitefile.Code(err); {
	case errors.Is(err, ErrInUse):
		return err
	case errors.Is(err, errGone):
		remedy = "see that nothing removes files there"
	case c == sqlite3.SQLITE_FULL, noShm(err), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		remedy = "the disk is full: free some space"
	case c == sqlite3.SQLITE_READONLY, errors.Is(err, syscall.EROFS):
		remedy = "it is read-only: mount it for writing, or set PORCHLIGHT_DATA_DIR to another directory"
	case c == sqlite3.SQLITE_PERM, errors.Is(err, fs.ErrPermission):
		remedy = "no permission: make this user its owner, or set PORCHLIGHT_DATA_DIR to another directory"
	case c == sqlite3.SQLITE_CANTOPEN:
		remedy = "see that this user may write there and that the disk has space"
	case c == sqlite3.SQLITE_BUSY:
		remedy = "another program holds the database: close it"
	case errors.Is(err, errSlow):
		remedy = "the disk is very slow or hangs: see that it works"
	}
	return fmt.Errorf("history cannot be written in %s: %s; writing resumes by itself (%w)", dir, remedy, err)
}

var (
	errDamaged = errors.New("the database is damaged")
	errClosed  = errors.New("the database is closed until it takes writes again")
	errGone    = errors.New("the database file was removed")
	errSlow    = errors.New("no write has finished for seconds")
)
