package web

import (
	"math"
	"time"

	"porchlight/presence"
)

func sqrt(f float64) float64 { return math.Sqrt(max(f, 0)) }

// logScale maps a time to a place on the picture.
type logScale struct {
	from, to float64 // logarithms of seconds
	bin      float64 // the width of one bin
}

// newLogScale returns a scale that has room for the bins and the limit.
func newLogScale(bins []presence.SilenceBin, limit time.Duration) logScale {
	last := bins[len(bins)-1].UpTo
	s := logScale{from: math.Log(bins[0].UpTo.Seconds()), to: math.Log(max(last, limit).Seconds())}
	step := math.Ln2 / 4
	if len(bins) > 1 {
		step = math.Log(bins[1].UpTo.Seconds()) - s.from
	}
	s.from -= step
	s.to = max(s.to+step, s.from+8*step)
	s.bin = step / (s.to - s.from) * chartWidth
	return s
}

// of returns x of d, within the picture.
func (s logScale) of(d time.Duration) float64 {
	x := (math.Log(max(d, time.Millisecond).Seconds()) - s.from) / (s.to - s.from) * chartWidth
	return math.Round(10*min(max(x, 0), chartWidth)) / 10
}

// ticks are the round times that the scale shows.
func (s logScale) ticks() (ticks []tick) {
	for _, d := range []time.Duration{
		time.Second, 5 * time.Second, 15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute,
		time.Hour, 4 * time.Hour, 12 * time.Hour, 48 * time.Hour, 7 * 24 * time.Hour,
	} {
		at := math.Log(d.Seconds())
		if at > s.from && at < s.to {
			ticks = append(ticks, tick{s.of(d), presence.Words(d)})
		}
	}
	return ticks
}
