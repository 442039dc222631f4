package flows

import (
	"slices"
	"time"

	"porchlight/connections"
)

// A snapshot says nothing of what was long before or after it: as long as the
// snapshots usually are apart, within these bounds.
const (
	leastReach = 5 * time.Minute
	mostReach  = time.Hour
)

// Choose returns the snapshots that say something of a span of time: those in it,
// one before and one after; of the list, oldest number first. Reach is how far
// from them their sockets may have been.
func Choose(all []connections.Entry, from, to time.Time) (chosen []connections.Entry, reach time.Duration) {
	first, last := -1, -1
	for i, e := range all {
		if !e.Time.Before(from) && !e.Time.After(to) {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first < 0 { // those around it
		for i, e := range all {
			if e.Time.Before(from) && (first < 0 || e.Time.After(all[first].Time)) {
				first = i
			}
			if e.Time.After(to) && (last < 0 || e.Time.Before(all[last].Time)) {
				last = i
			}
		}
		if last < 0 {
			last = first
		}
		if first < 0 {
			first = last
		}
		if first < 0 {
			return nil, leastReach
		}
		first, last = min(first, last), max(first, last)
	} else {
		first, last = max(first-1, 0), min(last+1, len(all)-1)
	}
	chosen = all[first : last+1]
	return chosen, reachOf(chosen)
}

// reachOf is the usual distance of snapshots.
func reachOf(all []connections.Entry) time.Duration {
	var gaps []time.Duration
	for i := 1; i < len(all); i++ {
		if all[i].Boot == all[i-1].Boot {
			gaps = append(gaps, all[i].Time.Sub(all[i-1].Time))
		}
	}
	if len(gaps) == 0 {
		return leastReach
	}
	slices.Sort(gaps)
	return min(max(gaps[len(gaps)/2], leastReach), mostReach)
}
