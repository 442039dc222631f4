package presence

import "time"

// recent is a set of the last few different things, and when each was last noted.
type recent[T comparable] struct {
	what [ManyAddresses]T
	at   [ManyAddresses]time.Time
}

// ManyAddresses is how many addresses one MAC must use within an hour, or how
// many MACs one station must answer for, to be taken for a proxy: routers have
// some addresses, and so has who has virtual machines behind its MAC.
const ManyAddresses = 9

const manyWithin = time.Hour

// note adds x, in place of the one that was not noted for longest, and reports
// whether the set is full of what was noted lately.
func (r *recent[T]) note(x T, now time.Time) bool {
	slot := 0
	for i := range r.what {
		if !r.at[i].IsZero() && r.what[i] == x {
			slot = i
			break
		}
		if r.at[i].Before(r.at[slot]) {
			slot = i
		}
	}
	r.what[slot], r.at[slot] = x, now
	for _, at := range r.at {
		if at.IsZero() || now.Sub(at) >= manyWithin {
			return false
		}
	}
	return true
}
