package config

import (
	"errors"
	"time"
)

var errMoment = errors.New(`want how long ago, such as 2h or 7d, or a time such as 18:30, yesterday, 2026-03-01, "2026-03-01 18:30" or 2026-03-01T18:30:00Z`)

// ParseMoment reads a point in time as people write it: how long before now
// (ParseDuration, with or without a minus), a time (RFC 3339), or in the time zone
// of now a day, a day and a time, a time of today, "today", "yesterday" or "now".
func ParseMoment(s string, now time.Time) (time.Time, error) {
	year, month, day := now.Date()
	midnight := time.Date(year, month, day, 0, 0, 0, 0, now.Location())
	switch s {
	case "now":
		return now, nil
	case "today":
		return midnight, nil
	case "yesterday":
		return midnight.AddDate(0, 0, -1), nil
	}
	if d, err := ParseDuration(s); err == nil {
		return now.Add(-d.Abs()), nil
	}
	for _, layout := range []string{
		time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", time.DateOnly,
	} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return time.Date(year, month, day, t.Hour(), t.Minute(), t.Second(), 0, now.Location()), nil
		}
	}
	return time.Time{}, errMoment
}
