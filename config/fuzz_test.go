package config

import (
	"testing"
	"time"
)

func FuzzParseDuration(f *testing.F) {
	for _, s := range []string{"30s", "7d", "1d12h", "2w1.5d", "0.5d", "-1d", "d", "1e300d", "1d9223372036s"} {
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
	for _, s := range []string{"now", "yesterday", "7d", "-2h", "18:30", "2026-03-01", "2026-03-01 18:30", "2026-03-01T18:30:05.5+01:00", "106751d", "2026-03-01T00:00:00+24:60", "0000-01-01T00:00:00+01:00"} {
		f.Add(s)
	}
	now := time.Date(2026, 3, 29, 12, 30, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		at, err := ParseMoment(s, now)
		at = at.UTC() // a zone of +24:60 can be read, and not be written
		if err != nil || at.Year() < 0 || at.Year() > 9999 {
			return
		}
		if again, err := ParseMoment(at.Format(time.RFC3339Nano), now); err != nil || !again.Equal(at) {
			t.Errorf("%q is %v, which reads as %v, %v", s, at, again, err)
		}
	})
}
