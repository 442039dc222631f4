package traffic

import "time"

// maxBuckets bounds how many there are, whatever is asked for.
const maxBuckets = 2000

// Buckets adds up rounds by equal spans of time.
type Buckets struct {
	since, until time.Time
	step         time.Duration
	sums         []sum
}

// NewBuckets returns buckets of step each from since until until; the last may be
// shorter. When there would be more than 2,000, they are longer than step.
func NewBuckets(since, until time.Time, step time.Duration) *Buckets {
	span := max(until.Sub(since), 0)
	step = max(step, parts(span, maxBuckets), 1)
	return &Buckets{since.UTC(), until.UTC(), step, make([]sum, parts(span, step))}
}

// parts is how many parts of that length a span has, the last of which may be
// shorter. Both may be as long as they can be.
func parts(span, length time.Duration) time.Duration {
	n := span / length
	if span%length > 0 {
		n++
	}
	return n
}

// Add adds a round to the buckets of its time. One that is in several, or in part
// outside, is divided as if all of it had passed evenly.
func (b *Buckets) Add(r *Round) {
	if r.Length <= 0 || !r.Start.Before(b.until) {
		return
	}
	from := max(r.Start.Sub(b.since), 0)
	until := min(r.Start.Add(r.Length).Sub(b.since), b.until.Sub(b.since))
	offset := b.since.Sub(r.Start) // from the round's time to that of the buckets
	for i := from / b.step; from < until; i++ {
		next := i*b.step + min(b.step, until-i*b.step)
		b.sums[i].add(r, share{uint64(from + offset), uint64(next + offset), uint64(r.Length)})
		from = next
	}
}

// divides says whether what is between two times is in several buckets, or in part
// outside.
func (b *Buckets) divides(start, end time.Time) bool {
	return start.Before(b.since) || end.After(b.until) || start.Sub(b.since)/b.step != (end.Sub(b.since)-1)/b.step
}

// Rounds returns one for each bucket, the oldest first. In one without traffic
// nothing was counted if Counted is 0.
func (b *Buckets) Rounds() []Round {
	all := make([]Round, len(b.sums))
	for i := range b.sums {
		all[i] = b.sums[i].round()
		all[i].Start = b.since.Add(time.Duration(i) * b.step)
		all[i].Length = min(b.step, b.until.Sub(all[i].Start))
	}
	return all
}

// Bucket adds up rounds by equal spans of time; see NewBuckets.
func Bucket(rounds []Round, since, until time.Time, step time.Duration) []Round {
	b := NewBuckets(since, until, step)
	for i := range rounds {
		b.Add(&rounds[i])
	}
	return b.Rounds()
}
