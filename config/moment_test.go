package config

import (
	"testing"
	"time"
)

func TestParseMoment(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 29, 12, 30, 0, 0, berlin) // the clock was put forward at two
	for text, want := range map[string]time.Time{
		"2h": now.Add(-2 * time.Hour), "7d": now.Add(-7 * 24 * time.Hour), "1w": now.Add(-7 * 24 * time.Hour), "-30m": now.Add(-30 * time.Minute), "now": now,
		"today": time.Date(2026, 3, 29, 0, 0, 0, 0, berlin), "yesterday": time.Date(2026, 3, 28, 0, 0, 0, 0, berlin),
		"08:15": time.Date(2026, 3, 29, 8, 15, 0, 0, berlin), "2026-03-01": time.Date(2026, 3, 1, 0, 0, 0, 0, berlin),
		"2026-03-01 18:30": time.Date(2026, 3, 1, 18, 30, 0, 0, berlin), "2026-03-01T18:30:05Z": time.Date(2026, 3, 1, 18, 30, 5, 0, time.UTC),
		"2026-03-01T18:30": time.Date(2026, 3, 1, 18, 30, 0, 0, berlin), "18:30:05": time.Date(2026, 3, 29, 18, 30, 5, 0, berlin),
	} {
		got, err := ParseMoment(text, now)
		if err != nil || !got.Equal(want) {
			t.Errorf("%q is %s, want %s; %v", text, got, want, err)
		}
	}
	for _, text := range []string{"", "soon", "tomorrow", "d", "2026-13-01", "25:00", "1", "--"} {
		if got, err := ParseMoment(text, now); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}
