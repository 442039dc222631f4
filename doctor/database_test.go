package doctor

import (
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"porchlight/history"
)

func store(t *testing.T, dir string) *history.Store {
	t.Helper()
	s, err := history.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// schemaVersion changes what the database in dir says of itself.
func schemaVersion(t *testing.T, dir string, version int) {
	t.Helper()
	if err := store(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "porchlight.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(fmt.Sprintf("PRAGMA user_version = %d", version)); err != nil {
		t.Fatal(err)
	}
}

func TestCheckDatabase(t *testing.T) {
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, dir string) string // returns the data directory
		level   Level
		text    string
	}{
		{"to be made", func(_ *testing.T, dir string) string { return filepath.Join(dir, "a", "b") }, OK, "will be made"},
		{"empty", func(_ *testing.T, dir string) string { return dir }, OK, "will be made"},
		{"good", func(t *testing.T, dir string) string {
			if err := store(t, dir).Close(); err != nil {
				t.Fatal(err)
			}
			return dir
		}, OK, "is fine"},
		{"in use", func(t *testing.T, dir string) string {
			s := store(t, dir)
			t.Cleanup(func() { _ = s.Close() })
			return dir
		}, OK, "A Porchlight is running"},
		{"newer", func(t *testing.T, dir string) string { schemaVersion(t, dir, 999); return dir }, Fail, "newer Porchlight"},
		{"older", func(t *testing.T, dir string) string { schemaVersion(t, dir, 0); return dir }, OK, "older version"},
		{"damaged", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "porchlight.db"), strings.Repeat("nonsense", 1000))
			return dir
		}, Warn, "cannot be read"},
		{"a file", func(t *testing.T, dir string) string {
			write(t, filepath.Join(dir, "file"), "")
			return filepath.Join(dir, "file", "data")
		}, Fail, "cannot be used"},
		{"read-only", func(*testing.T, string) string { return "/proc/sys/porchlight" }, Fail, "/proc/sys"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := test.prepare(t, t.TempDir())
			found := checkDatabase(t.Context(), dir, lockHeld(dir))
			for _, f := range found {
				if strings.Contains(f.Text, "MB are free") {
					continue // of the machine that the test runs on
				}
				if f.Level != test.level || !strings.Contains(f.Text, test.text) {
					t.Errorf("got %+v, want %s with %q", f, test.level, test.text)
				}
			}
		})
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLockHeld(t *testing.T) {
	dir := t.TempDir()
	if lockHeld(dir) {
		t.Error("held in an empty directory")
	}
	s := store(t, dir)
	if !lockHeld(dir) {
		t.Error("not held while a store is open")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if lockHeld(dir) {
		t.Error("held after the store was closed")
	}
	if err := store(t, dir).Close(); err != nil {
		t.Errorf("looking has left the lock: %v", err)
	}
}

func TestGiveAway(t *testing.T) {
	dir := t.TempDir()
	if got, want := giveAway(dir), "sudo chown -R $USER "+dir; !strings.HasSuffix(got, want) {
		t.Errorf("a directory that is there: %q, want %q", got, want)
	}
	missing := filepath.Join(dir, "a", "b")
	if got, want := giveAway(missing), "sudo install -d -m 700 -o $USER "+missing; got != want {
		t.Errorf("one that is not: %q, want %q", got, want)
	}
}
