package main

import (
	"fmt"
	"time"

	"porchlight/config"
)

// moment is a point in time on the command line: a date, a time, or how long ago.
type moment struct {
	text string
}

// UnmarshalText is called by kong.
func (m *moment) UnmarshalText(b []byte) error {
	m.text = string(b)
	_, err := m.at(time.Now())
	return err
}

// at returns the point in time, in the local time zone; zero when none was given.
func (m moment) at(now time.Time) (time.Time, error) {
	now = now.Local()
	year, month, day := now.Date()
	midnight := time.Date(year, month, day, 0, 0, 0, 0, now.Location())
	switch m.text {
	case "":
		return time.Time{}, nil
	case "now":
		return now, nil
	case "today":
		return midnight, nil
	case "yesterday":
		return midnight.AddDate(0, 0, -1), nil
	}
	if d, err := config.ParseDuration(m.text); err == nil {
		if d < 0 {
			d = -d
		}
		return now.Add(-d), nil
	}
	for _, layout := range []string{
		time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly,
	} {
		if t, err := time.ParseInLocation(layout, m.text, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		if t, err := time.Parse(layout, m.text); err == nil {
			return time.Date(year, month, day, t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q: want how long ago, such as 2h or 7d, or a time such as 18:30, yesterday, 2026-03-01 or \"2026-03-01 18:30\"", m.text)
}
