package web

import (
	"net/netip"
	"sync"
	"time"
)

const (
	maxFailures  = 10 // within failuresFor, from one client
	failuresFor  = time.Minute
	maxOffenders = 1024
)

// failures counts wrong passwords per client. The zero value is ready.
type failures struct {
	mu   sync.Mutex
	from map[netip.Prefix]failure
}

type failure struct {
	first time.Time
	times int
}

// attempt counts one more for the client: the nth within a minute. blocked is
// true when there were too many before.
func (f *failures) attempt(client netip.Prefix, now time.Time) (nth int, blocked bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.from == nil {
		f.from = map[netip.Prefix]failure{}
	}
	is, known := f.from[client]
	if !known || now.Sub(is.first) >= failuresFor {
		is = failure{first: now}
	}
	if is.times >= maxFailures {
		return is.times, true
	}
	if !known && len(f.from) >= maxOffenders {
		f.dropOldest()
	}
	is.times++
	f.from[client] = is
	return is.times, false
}

// forgive forgets the client, who knew the password after all.
func (f *failures) forgive(client netip.Prefix) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.from, client)
}

func (f *failures) dropOldest() {
	var oldest netip.Prefix
	var at time.Time
	for client, is := range f.from {
		if at.IsZero() || is.first.Before(at) {
			oldest, at = client, is.first
		}
	}
	delete(f.from, oldest)
}
