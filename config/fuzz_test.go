package config

import (
	"testing"
	"time"
)

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"30s", "7d", "1d12h", "0.5d", "-1d", "d", "1e300d", "1d9223372036s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := ParseDuration(s); err == nil {
			if again, err := ParseDuration(d.String()); err != nil || again != d {
				t.Errorf("%q is %v, which reads as %v, %v", s, d, again, err)
			}
		}
	})
}

func FuzzParseMoment(f *testing.F) {
	for _, s := range []string{"now", "yesterday", "7d", "-2h", "18:30", "2026-03-01", "2026-03-01 18:30", "2026-03-01T18:30:05.5+01:00", "106751d"} {
		f.Add(s)
	}
	now := time.Date(2026, 3, 29, 12, 30, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		at, err := ParseMoment(s, now)
		if err != nil {
			return
		}
		if again, err := ParseMoment(at.Format(time.RFC3339Nano), now); err != nil || !again.Equal(at) {
			t.Errorf("%q is %v, which reads as %v, %v", s, at, again, err)
		}
	})
}
