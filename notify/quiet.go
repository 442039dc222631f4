package notify

import (
	"errors"
	"strings"
	"time"
)

// Quiet is the hours of the day in which only what is urgent is said. The zero
// Quiet has none.
type Quiet struct {
	from, to time.Duration // since midnight, by the clock on the wall
}

// ParseQuiet reads hours such as "22:30-07:00".
func ParseQuiet(text string) (q Quiet, err error) {
	if text == "" {
		return q, nil
	}
	from, to, ok := strings.Cut(text, "-")
	begin, err1 := time.Parse("15:04", strings.TrimSpace(from))
	end, err2 := time.Parse("15:04", strings.TrimSpace(to))
	if !ok || err1 != nil || err2 != nil || begin.Equal(end) {
		return q, errors.New("want the hours from and to, such as 22:30-07:00")
	}
	midnight, _ := time.Parse("15:04", "00:00")
	return Quiet{begin.Sub(midnight), end.Sub(midnight)}, nil
}

// until returns when the quiet hours that t is in end; zero: it is in none.
func (q Quiet) until(t time.Time) time.Time {
	if q.from == q.to {
		return time.Time{}
	}
	at := time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second
	days := 0
	switch {
	case q.from < q.to && (at < q.from || at >= q.to):
		return time.Time{}
	case q.from > q.to && at >= q.to && at < q.from:
		return time.Time{}
	case q.from > q.to && at >= q.from:
		days = 1
	}
	// By the wall clock, so that summer time does not move the end. In the night of
	// the change there can be no such time, or it was there already.
	end := time.Date(t.Year(), t.Month(), t.Day()+days, int(q.to/time.Hour), int(q.to%time.Hour/time.Minute), 0, 0, t.Location())
	for !end.After(t) {
		end = end.Add(30 * time.Minute)
	}
	return end
}
