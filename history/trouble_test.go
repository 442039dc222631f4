package history

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"porchlight/presence"

	"github.com/google/go-cmp/cmp"
)

// logged opens a store that logs into the returned buffer, which may be read
// when the store is closed.
func logged(t *testing.T, dir string) (*Store, *bytes.Buffer) {
	t.Helper()
	var b bytes.Buffer
	s, err := Open(dir, slog.New(slog.NewTextHandler(&b, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = closing(s) })
	return s, &b
}

// until polls: what it waits for is up to the disk.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func phone(id presence.ID, name string) presence.Record {
	return presence.Record{Device: presence.Device{
		ID: id, State: presence.Home, LastSeen: t0, Settings: presence.Settings{Name: name},
	}}
}

func TestDamagedAtStart(t *testing.T) {
	const page = 4096
	for name, c := range map[string]struct {
		damage  func([]byte) []byte
		devices int // that can still be read
	}{
		"not a database": {func([]byte) []byte { return bytes.Repeat([]byte("no database "), 5000) }, 0},
		"cut off":        {func(b []byte) []byte { return b[:len(b)/2/page*page] }, -1},
		"first page":     {func(b []byte) []byte { return slices.Replace(b, 100, 400, bytes.Repeat([]byte{0xa5}, 300)...) }, 0},
		"last pages": {func(b []byte) []byte {
			n := len(b) - 20*page // events: they were appended last
			return slices.Replace(b, n, len(b), bytes.Repeat([]byte{0xa5}, 20*page)...)
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			s.SaveDevices([]presence.Record{phone("02005e100001", "Ann"), phone("02005e100002", "Ben")})
			s.SetMeta("baseline", "done")
			last := int64(0)
			for range 40 {
				given := s.Append(arrivals(50))
				last = given[49].Seq
			}
			committed(t, s)
			closed(t, s)
			path := filepath.Join(dir, "porchlight.db")
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			bad := c.damage(b)
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}

			s, log := logged(t, dir)
			if err := s.Fault(); err != nil {
				t.Error(err)
			}
			given := s.Append(arrivals(1))
			if given[0].Seq <= last {
				t.Errorf("seq %d was given before", given[0].Seq)
			}
			closed(t, s)
			aside, _ := filepath.Glob(path + ".corrupt-????????-??????")
			if len(aside) != 1 {
				t.Fatalf("set aside: %v", aside)
			}
			if kept, _ := os.ReadFile(aside[0]); !bytes.Equal(kept, bad) {
				t.Error("the damaged file was changed")
			}
			if !strings.Contains(log.String(), filepath.Base(aside[0])) || !strings.Contains(log.String(), "level=ERROR") {
				t.Errorf("the log does not say so:\n%s", log)
			}
			s = open(t, dir)
			if got, _ := s.Load(t.Context()); c.devices >= 0 && len(got) != c.devices {
				t.Errorf("%d devices, want %d", len(got), c.devices)
			}
			if c.devices == 2 && s.Meta("baseline") != "done" {
				t.Error("settings that could be read are gone")
			}
			if got := all(t, s, last); !slices.Equal(seqs(got), seqs(given)) {
				t.Errorf("events %v, want %v", seqs(got), seqs(given))
			}
		})
	}
}

// Damage that only shows when the file is read.
func TestDamagedInside(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.SaveDevices([]presence.Record{phone("02005e100001", "Ann")})
	last := s.Append(arrivals(1))[0].Seq
	if _, err := s.db.conn.ExecContext(t.Context(), "DELETE FROM log"); err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	s = open(t, dir)
	if err := s.Fault(); err != nil {
		t.Error(err)
	}
	if got, _ := s.Load(t.Context()); len(got) != 1 || got[0].Name != "Ann" {
		t.Errorf("devices: %v", got)
	}
	given := s.Append(arrivals(1))
	if given[0].Seq <= last {
		t.Errorf("seq %d was given before", given[0].Seq)
	}
	if got := seqs(all(t, s, 0)); !slices.Equal(got, []int64{last, given[0].Seq}) {
		t.Errorf("events %v", got)
	}
	if aside, _ := filepath.Glob(s.path + ".corrupt-*"); len(aside) == 0 {
		t.Error("nothing was set aside")
	}
}

// What is in memory goes into the new file when the old one breaks, or is
// removed, while it is used.
func TestReplacedWhileRunning(t *testing.T) {
	for name, harm := range map[string]func(*testing.T, *Store){
		"damaged": func(t *testing.T, s *Store) {
			err := os.WriteFile(s.path, bytes.Repeat([]byte("no database "), 50_000), 0o600)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(s.path+"-wal", 0); err != nil {
				t.Fatal(err)
			}
			if events, err := s.After(t.Context(), 0, 10); err == nil {
				t.Fatalf("read %v from a broken file", events)
			}
		},
		"removed": func(t *testing.T, s *Store) {
			for _, end := range []string{"", "-wal", "-shm"} {
				if err := os.Remove(s.path + end); err != nil {
					t.Fatal(err)
				}
			}
			err := s.sync()
			if !errors.Is(err, errGone) {
				t.Fatal(err)
			}
			s.meet(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s, log := logged(t, dir)
			s.SaveDevices([]presence.Record{phone("02005e100001", "Ann")})
			s.SetCursor("mqtt", 1990)
			var given []presence.Event
			for range 40 {
				given = append(given, s.Append(arrivals(50))...)
			}
			committed(t, s)
			before := s.handle()
			harm(t, s)
			until(t, "there is a new file", func() bool { db := s.handle(); return db != nil && db != before })
			given = append(given, s.Append(arrivals(1))...)
			until(t, "the fault is over", func() bool { return s.Fault() == nil })
			closed(t, s)
			if log.Len() == 0 {
				t.Error("nothing was logged")
			}

			s = open(t, dir)
			if c, _ := s.Cursor(t.Context(), "mqtt"); c != 1990 {
				t.Errorf("cursor %d, want 1990", c)
			}
			if got, _ := s.Load(t.Context()); len(got) != 1 || got[0].Name != "Ann" {
				t.Errorf("devices: %v", got)
			}
			if diff := cmp.Diff(given[1989:], all(t, s, 1989), byString); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSlowDisk(t *testing.T) {
	s := open(t, t.TempDir())
	s.Append(arrivals(1))
	committed(t, s)
	busy, err := s.db.pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	exec := func(sql string) {
		t.Helper()
		if _, err := busy.ExecContext(context.Background(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("BEGIN IMMEDIATE") // no commit gets through now
	var given []presence.Event
	took := func(n int) time.Duration {
		start := time.Now()
		for range n {
			given = append(given, s.Append(arrivals(1))...)
		}
		return time.Since(start)
	}
	// The disk of a busy machine may really be slow for a moment.
	least := took(1)
	for range 9 {
		least = min(least, took(1))
	}
	if least > patience/2 {
		t.Errorf("waited %v although there is a journal", least)
	}
	s.mu.Lock()
	s.journal.close()
	s.mu.Unlock()
	const forever = 40 * patience // no commit gets through for as long as it is waited for
	if waited := took(1); waited < patience || waited > forever {
		t.Errorf("waited %v for a slow disk", waited)
	}
	if waited := took(100); waited > forever { // each would wait 100 ms
		t.Errorf("waited %v although the disk is known to be slow", waited)
	}
	if got := all(t, s, 1); !slices.Equal(seqs(got), seqs(given)) {
		t.Errorf("consumers see %v, want %v", seqs(got), seqs(given))
	}
	if err := s.Fault(); err != nil {
		t.Errorf("a fault after 100 ms: %v", err)
	}
	s.mu.Lock()
	s.writing = s.writing.Add(-slow)
	s.mu.Unlock()
	s.watch()
	if err := s.Fault(); !errors.Is(err, errSlow) {
		t.Errorf("fault after 5 s: %v", err)
	}
	exec("ROLLBACK")
	until(t, "the fault is over", func() bool { return s.Fault() == nil })
	stored, err := eventsBetween(t.Context(), s.db.pool, 1, 1000, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(given, stored, byString); diff != "" {
		t.Error(diff)
	}
}

// Without a directory to write in, all goes on from memory within its limit,
// and is written when the directory can be made.
func TestNoDirectory(t *testing.T) {
	base := t.TempDir()
	inTheWay := filepath.Join(base, "file")
	if err := os.WriteFile(inTheWay, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(inTheWay, "porchlight")
	s, log := logged(t, dir)
	if err := s.Fault(); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("fault: %v", err)
	}
	s.SaveDevices([]presence.Record{phone("02005e100001", "Ann")})
	s.SetMeta("baseline", "done")
	var given []presence.Event
	waited := 0
	for range 120 {
		start := time.Now()
		given = append(given, s.Append(arrivals(100))...)
		if time.Since(start) >= patience {
			waited++
		}
	}
	if waited > 60 { // a busy machine may have other work for a while
		t.Errorf("waited %d times although there is no disk", waited)
	}
	if s.Lost() != 2000 {
		t.Errorf("lost %d, want 2000", s.Lost())
	}
	got, err := s.After(t.Context(), 0, 20_000)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(given[2000:], got, byString); diff != "" {
		t.Error(diff)
	}

	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	until(t, "the fault is over", func() bool { return s.Fault() == nil })
	closed(t, s)
	if n := strings.Count(log.String(), "level=ERROR"); n != 2 { // memory only; gives up
		t.Errorf("%d errors logged, want 2:\n%s", n, log)
	}
	if n := strings.Count(log.String(), "written again"); n != 1 {
		t.Errorf("%d times written again, want 1:\n%s", n, log)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory %v, %v", info, err)
	}
	s = open(t, dir)
	if diff := cmp.Diff(given[2000:], all(t, s, 0), byString); diff != "" {
		t.Error(diff)
	}
	if got, _ := s.Load(t.Context()); len(got) != 1 || s.Meta("baseline") != "done" {
		t.Errorf("devices %v, baseline %q", got, s.Meta("baseline"))
	}
}

func TestModelThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.SaveDevices([]presence.Record{phone("02005e100001", "Ann")})
	closed(t, s)
	s = open(t, dir)
	if _, err := s.db.conn.ExecContext(t.Context(), "INSERT OR REPLACE INTO models VALUES ('02005e100001', 95000, x'ff00ff00ff')"); err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	s, log := logged(t, dir)
	got, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	want := phone("02005e100001", "Ann")
	want.Device.AwayAfter = 95 * time.Second
	if diff := cmp.Diff([]presence.Record{want}, got, byString); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(log.String(), "02005e100001") {
		t.Errorf("the log does not name the device:\n%s", log)
	}
}
