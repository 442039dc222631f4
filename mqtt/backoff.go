package mqtt

import (
	"math/rand/v2"
	"time"
)

// steady is how long a connection must have lasted to be counted as a good one:
// longer than the pause of another instance that fights for the client id.
const steady = 30 * time.Second

// briefLimit is how many connections in a row that the broker accepted and
// ended at once make a pattern.
const briefLimit = 4

// backoff is the pause before the next try: doubled each time, from first to
// most, and shuffled so that many clients do not come back at the same instant.
type backoff struct{ first, most time.Duration }

// The first tries are quick, since a broker that restarts is back in 2 s.
var defaultBackoff = backoff{first: 250 * time.Millisecond, most: 20 * time.Second}

// delay returns the pause after the given number of failed tries in a row: 0 is
// the first.
func (b backoff) delay(tries int) time.Duration {
	d := b.most
	if tries < 20 {
		d = min(b.first<<tries, b.most)
	}
	return d/2 + rand.N(d/2+1)
}
