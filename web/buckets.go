package web

import (
	"context"
	"slices"
	"sync"
	"time"

	"porchlight/traffic"
)

const (
	// trafficTime is how long reading traffic may take: a week in detail is 10,000
	// rounds, half a second on a PC.
	trafficTime = 15 * time.Second
	// settledFor is how long a time must be over for what passed in it to be kept:
	// a round is stored when it ends.
	settledFor = 2 * time.Hour
	// settledKept is after how long it is read again all the same.
	settledKept = time.Hour
)

// buckets keeps what the pages show of the traffic, as that is read again and
// again, and only the last of it changes.
type buckets struct {
	source Traffic

	mu   sync.Mutex
	kept map[time.Duration]settled // by the step; of times that ended when they were asked for
}

// settled is what passed in times that are over, one after the other.
type settled struct {
	read   time.Time
	rounds []traffic.Round // nobody changes them
}

// between returns what passed between two times by equal spans of time.
func (b *buckets) between(ctx context.Context, from, to time.Time, step time.Duration, now time.Time) ([]traffic.Round, error) {
	if to.Before(now) {
		return b.source.Buckets(ctx, from, to, step)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	have := b.kept[step].from(from, step, now)
	read := b.kept[step].read
	if len(have) == 0 {
		read = now
	}
	fresh, err := b.source.Buckets(ctx, from.Add(time.Duration(len(have))*step), to, step)
	if err != nil {
		return nil, err
	}
	all := slices.Concat(have, fresh)
	n := 0
	for n < len(all) && all[n].Start.Add(all[n].Length+settledFor).Before(now) {
		n++
	}
	if b.kept == nil {
		b.kept = map[time.Duration]settled{}
	}
	b.kept[step] = settled{read, all[:n:n]}
	return all, nil
}

// from returns what is kept of the time from from on.
func (s settled) from(from time.Time, step time.Duration, now time.Time) []traffic.Round {
	if len(s.rounds) == 0 || now.Sub(s.read).Abs() > settledKept {
		return nil
	}
	after := from.Sub(s.rounds[0].Start)
	if after < 0 || after%step != 0 || int(after/step) >= len(s.rounds) {
		return nil
	}
	return s.rounds[after/step:]
}
