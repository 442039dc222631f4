package traffic

import (
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	abroad := time.FixedZone("NPT", 5*3600+45*60)
	for _, c := range []struct {
		name   string
		now    time.Time
		length time.Duration
		start  time.Time
	}{
		{"within", noon.Add(37 * time.Second), time.Minute, noon},
		{"at its beginning", noon, time.Minute, noon},
		{"just before its end", noon.Add(time.Minute - 1), time.Minute, noon},
		{"at its end the next one", noon.Add(time.Minute), time.Minute, noon.Add(time.Minute)},
		{"in another zone", noon.Add(time.Minute).In(abroad), time.Hour, noon},
		{"before 1970", time.Unix(-1, 0), time.Minute, time.Unix(-60, 0)},
	} {
		w := windowAt(c.now, c.length)
		if !w.start.Equal(c.start) || w.start.Location() != time.UTC || !w.holds(c.now) {
			t.Errorf("%s: %s for %s, holds it: %t", c.name, w.start, w.length, w.holds(c.now))
		}
	}
	w := windowAt(noon, time.Minute)
	for _, c := range []struct {
		name  string
		now   time.Time
		holds bool
		wait  time.Duration
	}{
		{"beginning", noon, true, time.Second},
		{"end is near", noon.Add(time.Minute - 3*time.Millisecond), true, 3 * time.Millisecond},
		{"end", noon.Add(time.Minute), false, 0},
		{"after a night's sleep", noon.Add(8 * time.Hour), false, 0},
		{"the clock was set back", noon.Add(-time.Hour), false, time.Second},
		{"the clock was set back within it", noon.Add(time.Second), true, time.Second},
	} {
		if got := w.holds(c.now); got != c.holds {
			t.Errorf("%s: holds %t", c.name, got)
		}
		if got := w.wait(c.now); got != c.wait {
			t.Errorf("%s: waits %s, want %s", c.name, got, c.wait)
		}
	}
}
