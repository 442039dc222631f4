package main

import (
	"context"
	"sync"
	"time"

	"porchlight/presence"
)

// tallyWait bounds how long the first sweep waits for interfaces that have not
// said whether they hear.
const tallyWait = 5 * time.Second

// tally is which interfaces have said whether they hear, since the start.
type tally struct {
	all chan struct{} // closed when each has

	mu   sync.Mutex
	rest map[string]bool // those that have not
}

func newTally(names []string) *tally {
	t := &tally{all: make(chan struct{}), rest: map[string]bool{}}
	for _, name := range names {
		t.rest[name] = true
	}
	return t
}

// ear counts what interfaces say to e.
func (t *tally) ear(e ear) ear { return tallyEar{e, t} }

type tallyEar struct {
	ear
	tally *tally
}

// Sense implements ear.
func (e tallyEar) Sense(s presence.Sensing) {
	e.ear.Sense(s)
	t := e.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rest[s.Interface] {
		delete(t.rest, s.Interface)
		if len(t.rest) == 0 {
			close(t.all)
		}
	}
}

func (t *tally) wait(ctx context.Context) {
	timer := time.NewTimer(tallyWait)
	defer timer.Stop()
	select {
	case <-t.all:
	case <-timer.C:
	case <-ctx.Done():
	}
}
