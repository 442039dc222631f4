package history

import (
	"errors"
	"fmt"

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

// explain says what err means for someone who runs Porchlight at home, with the
// remedy. The cause is wrapped.
func explain(dir string, err error) error {
	remedy := sqlitefile.Remedy(err)
	switch {
	case errors.Is(err, ErrInUse):
		return err
	case errors.Is(err, errGone):
		remedy = "see that nothing removes files there"
	case remedy != "":
	case errors.Is(err, errSlow):
		remedy = "the disk is very slow or hangs: see that it works"
	default:
		remedy = "see that the disk works"
	}
	return fmt.Errorf("history cannot be written in %s: %s; writing resumes by itself (%w)", dir, remedy, err)
}

var (
	errDamaged = errors.New("the database is damaged")
	errClosed  = errors.New("the database is closed until it takes writes again")
	errGone    = errors.New("the database file was removed")
	errSlow    = errors.New("no write has finished for seconds")
)
