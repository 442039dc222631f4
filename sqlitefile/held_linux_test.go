package sqlitefile

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A damaged file is set aside once in an hour, one that was removed is made anew,
// and what cannot be written is told.
func TestHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	var log bytes.Buffer
	h := Held[*File]{
		Path: path, Log: slog.New(slog.NewTextHandler(&log, nil)),
		Open: func(ctx context.Context) (*File, error) { return Open(ctx, path, true, things) },
	}
	defer h.Close()
	write := func() error {
		return h.Write(t.Context(), func(f *File) error {
			return f.Within(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, "INSERT INTO things VALUES (1)")
				return err
			})
		})
	}
	has := func(want int) {
		t.Helper()
		f, err := h.Get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := count(t, f); n != want {
			t.Errorf("%d things, want %d", n, want)
		}
	}
	spoil := func() {
		h.Close()
		if err := os.WriteFile(path, []byte(strings.Repeat("no database", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	spoil()
	if err := write(); !Damaged(err) || !strings.Contains(err.Error(), "it is set aside as "+path+".corrupt-") {
		t.Errorf("after damage: %v", err)
	}
	if _, ok := h.Opened(); ok || strings.Count(log.String(), "level=ERROR") != 1 {
		t.Errorf("open: %t, log: %s", ok, &log)
	}
	for n := range 2 {
		if err := write(); err != nil {
			t.Fatal(err)
		}
		has(n + 1)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := write(); err != nil {
		t.Errorf("after it was removed: %v", err)
	}
	has(1)
	failed := errors.New("failed")
	if err := h.Write(t.Context(), func(*File) error { return failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
	if _, ok := h.Opened(); ok {
		t.Error("it is open, and has failed")
	}
	spoil()
	if err := write(); !Damaged(err) || strings.Contains(err.Error(), "set aside") {
		t.Errorf("after damage again: %v", err)
	}
	if all, _ := filepath.Glob(path + ".corrupt-*"); len(all) != 1 {
		t.Errorf("set aside: %q", all)
	}
}
