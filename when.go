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
	if m.text == "" {
		return time.Time{}, nil
	}
	t, err := config.ParseMoment(m.text, now.Local())
	if err != nil {
		return t, fmt.Errorf("%q: %w", m.text, err)
	}
	return t, nil
}
