package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"porchlight/connections"
	"porchlight/traffic"
)

// TestOwnMachine: the page has what is stored as soon as somebody stores it, and
// makes no file itself.
func TestOwnMachine(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	m := newOwnMachine(dir)
	defer m.close()
	now := time.Now()
	if all, err := m.connections.Newest(ctx, 0, 5); len(all) != 0 || err != nil {
		t.Errorf("before there is a store: %v, %v", all, err)
	}
	if n, err := m.connections.Before(ctx, now); n != 0 || err != nil {
		t.Errorf("before there is a store: %d, %v", n, err)
	}
	if _, err := m.connections.Load(ctx, 1); !errors.Is(err, connections.ErrEmpty) {
		t.Errorf("before there is a store: %v", err)
	}
	if _, err := m.traffic.Buckets(ctx, now.Add(-time.Hour), now, time.Minute); !errors.Is(err, traffic.ErrEmpty) {
		t.Errorf("before there is a store: %v", err)
	}

	snapshots, err := connections.OpenStore(ctx, dir, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = snapshots.Close() }()
	if err := snapshots.Add(ctx, &connections.Snapshot{Time: now, Boot: "b"}, connections.Keep{}); err != nil {
		t.Fatal(err)
	}
	rounds, err := traffic.OpenStore(ctx, dir, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rounds.Close() }()
	if err := rounds.Add(ctx, traffic.Round{Start: now.Add(-time.Minute), Length: time.Minute, Counted: time.Minute}); err != nil {
		t.Fatal(err)
	}

	if all, err := m.connections.Newest(ctx, 0, 5); len(all) != 1 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	if n, err := m.connections.Before(ctx, now.Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if s, err := m.connections.Load(ctx, 1); err != nil || s.Number != 1 {
		t.Errorf("%+v, %v", s, err)
	}
	if all, err := m.traffic.Buckets(ctx, now.Add(-time.Minute), now, time.Minute); err != nil || len(all) != 1 || all[0].Counted < 59*time.Second {
		t.Errorf("%+v, %v", all, err)
	}

	for _, name := range []string{"connections.db", "traffic.db"} { // damaged files are set aside so
		if err := os.Rename(filepath.Join(dir, name), filepath.Join(dir, name+".corrupt")); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := m.connections.Newest(ctx, 0, 5); len(all) != 0 || err != nil {
		t.Errorf("after the file was set aside: %v, %v", all, err)
	}
	if _, err := m.traffic.Buckets(ctx, now.Add(-time.Hour), now, time.Minute); !errors.Is(err, traffic.ErrEmpty) {
		t.Errorf("after the file was set aside: %v", err)
	}
}
