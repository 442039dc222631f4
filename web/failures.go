package web

import (
	"net/netip"
	"sync"
	"time"
)

const (
	maxFailures = 10  // in failuresFor, from one client
	maxOfAll    = 100 // and from all: who has many addresses gains little
	failuresFor = time.Minute
)

// failures counts wrong passwords, minute by minute. The zero value is ready.
type failures struct {
	mu    sync.Mutex
	since time.Time
	all   int
	from  map[netip.Prefix]int // at most maxOfAll
}

// attempt counts one more for the client: the nth within the minute. blocked is
// true when there were too many before, from it or from all.
func (f *failures) attempt(client netip.Prefix, now time.Time) (nth int, blocked bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.since) >= failuresFor {
		f.since, f.all, f.from = now, 0, map[netip.Prefix]int{}
	}
	if f.from[client] >= maxFailures || f.all >= maxOfAll {
		return f.from[client], true
	}
	f.all++
	f.from[client]++
	return f.from[client], false
}

// forgive forgets the client, who knew the password after all.
func (f *failures) forgive(client netip.Prefix) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all -= f.from[client]
	delete(f.from, client)
}
