package sqlitefile

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const things = "CREATE TABLE things (n INTEGER NOT NULL) STRICT"

func open(t *testing.T, path string, steps ...string) *File {
	t.Helper()
	f, err := Open(t.Context(), path, true, steps...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func count(t *testing.T, f *File) (n int) {
	t.Helper()
	if err := f.QueryRowContext(t.Context(), "SELECT count(*) FROM things").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A file is made when it may be; each step is taken once; one that a newer
// version wrote is left alone.
func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "not", "there", "a.db")
	if _, err := Open(t.Context(), path, false, things); !errors.Is(err, ErrNone) {
		t.Fatal(err)
	}
	const one = "INSERT INTO things VALUES (1)"
	_ = open(t, path, things).Close()
	for range 2 {
		f := open(t, path, things, one)
		if n := count(t, f); n != 1 {
			t.Errorf("%d things after the second step", n)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := Open(t.Context(), path, true, things); err == nil || !strings.Contains(err.Error(), "a newer Porchlight") {
		t.Error(err)
	}
	if _, err := Open(t.Context(), path, true, things, one, "no SQL"); err == nil || Damaged(err) {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
}

// What fails within a transaction has not happened.
func TestWithin(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "a.db"), things)
	failed := errors.New("failed")
	for _, want := range []error{nil, failed} {
		err := f.Within(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
			if _, err := tx.ExecContext(ctx, "INSERT INTO things VALUES (1)"); err != nil {
				return err
			}
			return want
		})
		if !errors.Is(err, want) {
			t.Error(err)
		}
	}
	if n := count(t, f); n != 1 {
		t.Errorf("%d things", n)
	}
}

// What failed is said, and not that the transaction was rolled back with it.
func TestWithinCancelled(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "a.db"), things)
	ctx, cancel := context.WithCancel(t.Context())
	err := f.Within(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO things VALUES (1)"); err != nil {
			return err
		}
		cancel()
		for { // the driver rolls back when it hears of it
			if _, err := tx.ExecContext(context.WithoutCancel(ctx), "INSERT INTO things VALUES (2)"); err != nil {
				return errors.New("disk full")
			}
		}
	})
	if err == nil || err.Error() != "disk full" || count(t, f) != 0 {
		t.Errorf("%v, %d things", err, count(t, f))
	}
}

// Who writes waits for another process that does, but not when it is to end.
func TestWithinLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	other, f := open(t, path, things), open(t, path, things)
	tx, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(context.Context, *sql.Tx) error { return nil }
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := f.Within(ctx, nothing); err == nil || !strings.HasPrefix(err.Error(), "another program holds the file: close it (") || time.Since(began) > 3*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	done := make(chan error, 1)
	go func() { done <- f.Within(t.Context(), nothing) }()
	time.Sleep(time.Second) // longer than SQLite waits by itself
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A damaged file is told from one that cannot be reached, and set aside.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), path, true, things)
	if !Damaged(err) || !strings.Contains(err.Error(), path) {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	aside, err := SetAside(path, now)
	if want := path + ".corrupt-20260301-120000"; err != nil || aside != want {
		t.Fatal(aside, err)
	}
	open(t, path, things)
	if _, err := SetAside(path, now); err == nil {
		t.Error("what was set aside before is lost")
	}
	if _, err := Open(t.Context(), filepath.Join(dir, "a.db", "b.db"), true, things); err == nil || Damaged(err) {
		t.Error(err)
	}
}

// What was opened is told from what has taken its place.
func TestMoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	f := open(t, path, things)
	if f.Moved() {
		t.Error("it is where it was")
	}
	if _, err := SetAside(path, time.Now()); err != nil {
		t.Fatal(err)
	}
	write := func(context.Context, *sql.Tx) error {
		t.Error("what is written is lost")
		return nil
	}
	if err := f.Within(t.Context(), write); !f.Moved() || err == nil {
		t.Error("it was set aside")
	}
	open(t, path, things)
	if !f.Moved() {
		t.Error("there is another one")
	}
}

// The file belongs to whom the directory belongs.
func TestOwner(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 4711, 4712); err != nil {
		t.Fatal(err)
	}
	open(t, filepath.Join(dir, "a.db"), things)
	for _, name := range []string{"", "-wal", "-shm"} {
		path := filepath.Join(dir, "a.db"+name)
		var info unix.Stat_t
		if err := unix.Stat(path, &info); err != nil || info.Uid != 4711 || info.Gid != 4712 {
			t.Errorf("%s belongs to %d:%d, %v", path, info.Uid, info.Gid, err)
		}
	}
}
