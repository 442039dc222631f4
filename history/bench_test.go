package history

import (
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"porchlight/presence"
)

// BenchmarkAppend measures what an arrival waits for the log: alone, and beside
// twenty syncs a second and a checkpoint every 500 commits.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		name   string
		pause  time.Duration
		upkeep bool
	}{
		{"back to back", 0, false},
		{"paced", time.Millisecond, false},
		{"paced, with upkeep", time.Millisecond, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			s, err := Open(b.TempDir(), slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			stop := make(chan struct{})
			var wg sync.WaitGroup
			if c.upkeep {
				wg.Go(func() { keepUp(b, s, stop) })
			}
			events := arrivals(2000)
			took := make([]time.Duration, 0, b.N)
			for b.Loop() {
				time.Sleep(c.pause) // people do not come home back to back
				e := events[len(took)%len(events)]
				start := time.Now()
				s.Append([]presence.Event{e})
				took = append(took, time.Since(start))
			}
			close(stop)
			wg.Wait()
			slices.Sort(took)
			at := func(q float64) float64 {
				return float64(took[int(q*float64(len(took)-1))].Nanoseconds()) / 1e3
			}
			b.ReportMetric(at(0.5), "p50-µs")
			b.ReportMetric(at(0.99), "p99-µs")
			b.ReportMetric(at(1), "max-µs")
			b.ReportMetric(0, "ns/op") // pauses included: says nothing
		})
	}
}

func keepUp(b *testing.B, s *Store, stop <-chan struct{}) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		if err := s.sync(); err != nil {
			b.Error(err)
		}
		if err := s.checkpoint(b.Context()); err != nil {
			b.Error(err)
		}
	}
}
