package sqlitefile

import (
	"context"
	"database/sql"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk that does not take what is written is told as that, and nothing is half
// written.
func TestDiskThatFails(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "a.db"), "CREATE TABLE things (text TEXT NOT NULL) STRICT")
	add := func() error {
		return f.Within(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, "INSERT INTO things VALUES (?)", strings.Repeat("x", 1<<20))
			return err
		})
	}
	// A file that may not grow is as good as a bad disk (setrlimit(2)).
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	small := unix.Rlimit{Cur: 64 << 10, Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	failed := add()
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if failed == nil || !strings.Contains(failed.Error(), "see that the disk works") {
		t.Errorf("it is said: %v", failed)
	}
	if err := add(); err != nil {
		t.Error(err)
	}
	if n := count(t, f); n != 1 {
		t.Errorf("%d things", n)
	}
}
