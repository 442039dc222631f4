package connections

import (
	"log/slog"
	"runtime"
	"testing"
	"time"
)

// All that is done with a look is done with 100,000 connections in seconds, too.
// One in ten is a port that is listened on.
func TestHundredThousand(t *testing.T) {
	n := 100_000
	if raced { // it takes a quarter of a minute then
		n = 10_000
	}
	first := busy(n, 1)
	second := later(first, 2)
	store := openStore(t, t.TempDir())
	w, err := NewWatcher(nil)
	must(t, err)
	var allocated runtime.MemStats
	for _, step := range []struct {
		name string
		most time.Duration
		do   func()
	}{
		{"comparing", 2 * time.Second, func() {
			if d := Compare(first, second); len(d.Opened) < n/100 || len(d.Opened) != len(d.Closed) {
				t.Errorf("%d opened, %d closed", len(d.Opened), len(d.Closed))
			}
		}},
		{"watching", time.Second, func() { w.Look(first); w.Look(second) }},
		{"storing the first", 5 * time.Second, func() { add1(t, store, first, Keep{}) }},
		{"storing the second", 5 * time.Second, func() { add1(t, store, second, Keep{}) }},
		{"reading it again", 5 * time.Second, func() {
			if got, err := store.Load(t.Context(), 2); err != nil || len(got.Connections) != len(second.Connections) {
				t.Errorf("reading it again: %v", err)
			}
		}},
	} {
		runtime.ReadMemStats(&allocated)
		before, began := allocated.TotalAlloc, time.Now()
		step.do()
		took := time.Since(began)
		runtime.ReadMemStats(&allocated)
		t.Logf("%s: %s, %.0f MB allocated", step.name, took.Round(time.Millisecond), float64(allocated.TotalAlloc-before)/1e6)
		if !raced && took > step.most {
			t.Errorf("%s took %s", step.name, took)
		}
	}
	list, err := store.List(t.Context())
	must(t, err)
	t.Logf("stored: %d bytes, and %d for the next", list[0].Bytes, list[1].Bytes)
}

// BenchmarkRecord: all that a recorder does at a look, with 1,000 connections.
func BenchmarkRecord(b *testing.B) {
	inNamespace(b, func() error {
		h, err := holder(b, 500)
		if err != nil {
			return err
		}
		defer func() { _ = h.Close() }()
		r := NewRecorder(RecorderConfig{Dir: b.TempDir(), Log: slog.New(slog.DiscardHandler)})
		defer r.stored.Close()
		for b.Loop() {
			r.look(b.Context(), true)
		}
		if n := len(r.Latest().Connections); n != 1001 || len(r.Problems()) > 0 {
			b.Errorf("%d connections, problems %q", n, r.Problems())
		}
		return nil
	})
}
