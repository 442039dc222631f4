package main

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porchlight/traffic"
)

// A bad file is set aside once, one that was removed is made anew, and what
// cannot be written is told.
func TestTrafficFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "traffic.db")
	var log bytes.Buffer
	f := &trafficFile{dir: dir, keep: traffic.Keep{Size: trafficBytes}, log: slog.New(slog.NewTextHandler(&log, nil))}
	defer f.close()
	next := time.Now().Truncate(time.Minute)
	save := func() error {
		next = next.Add(time.Minute)
		return f.save(t.Context(), traffic.Round{Start: next, Length: time.Minute, Counted: time.Minute})
	}
	stored := func() (n int) {
		err := f.store.Each(t.Context(), time.Time{}, next.Add(time.Hour), func(*traffic.Round) error { n++; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	spoil := func() {
		f.close()
		if err := os.WriteFile(path, []byte(strings.Repeat("no database", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	spoil()
	if err := save(); err != nil || stored() != 1 || !strings.Contains(log.String(), path+".corrupt-") {
		t.Errorf("after damage: %v, %s", err, &log)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := save(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stored in a file that is gone: %v", err)
	}
	if err := save(); err != nil || stored() != 1 {
		t.Errorf("after it was removed: %v", err)
	}
	spoil()
	if err := save(); err == nil {
		t.Error("set aside twice in an hour")
	}
	if all, _ := filepath.Glob(path + ".corrupt-*"); len(all) != 1 {
		t.Errorf("set aside: %q", all)
	}
}
