package connections

import (
	"errors"
	"time"
)

// Entry is a stored snapshot in the list.
type Entry struct {
	Number      int64     `json:"number"`
	Time        time.Time `json:"time"`
	Connections int       `json:"connections"` // and listeners
	Listeners   int       `json:"listeners"`
	Bytes       int       `json:"bytes"` // that it takes
	Boot        string    `json:"boot"`  // another one: the machine was started again
}

// ErrNone is returned when there is no such snapshot.
var ErrNone = errors.New("there is no such snapshot: porchlight connections list shows those that there are")

// ErrEmpty is returned when nothing was ever stored.
var ErrEmpty = errors.New("no snapshot is stored yet: porchlight connections snapshot stores one")
