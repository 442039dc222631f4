package main

import (
	"context"
	"fmt"
	"time"

	"porchlight/presence"
	"porchlight/presence/household"
)

// nudge plays the household with its sleepers nudged, and without. The worst of
// several seeds counts.
func nudge(ctx context.Context, b *bench) (rows []row, err error) {
	seeds := pick(b, 1, 5)
	const limit = 4 * time.Minute
	for _, with := range []bool{false, true} {
		name := "without the nudge"
		if with {
			name = "with it"
		}
		var worst sleepers
		for i := range seeds {
			b.say("nudge: household %d of %d, %s", i+1, seeds, name)
			play := household.Home(b.seed + uint64(i))
			var cfg presence.Config
			if with {
				cfg.Declared = play.Nudge()
			}
			worst = worst.orWorse(sleepersOf(household.Run(play, presence.New(cfg))))
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		r := row{what: fmt.Sprintf("deep sleepers, %s, the worst of %d households", name, seeds), measured: worst.String()}
		if with {
			r.bound = "half of them within " + presence.Words(limit) + ", 0.25 false aways"
			r.verdict = judge(worst.median <= limit && worst.falsely <= 0.25)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// sleepers is how the phones and watches that sleep fared.
type sleepers struct {
	median, longest time.Duration // until a departure was known
	falsely         float64       // false aways per device and week
	packets, nudges float64       // sent to each a day; the second are among the first
}

func (s sleepers) String() string {
	return fmt.Sprintf("departure known in %s (median), %s (longest); %.2f false aways per device and week; %.0f packets sent to each a day, %.0f of them to wake it",
		presence.Words(s.median), presence.Words(s.longest), s.falsely, s.packets, s.nudges)
}

func sleepersOf(r *household.Result) (s sleepers) {
	score := r.Score(learning)
	delays := score.Delays[household.Sleeper]
	s.median, s.longest = quantile(delays, 0.5), quantile(delays, 1)
	days, n := 0, 0
	for i, h := range r.Devices {
		if h.Class == household.Sleeper {
			days, n = days+r.Days, n+1
			s.falsely += score.ByDevice[i]
			s.packets += float64(r.Probes[i] + r.Nudges[i])
			s.nudges += float64(r.Nudges[i])
		}
	}
	s.falsely /= float64(n)
	s.packets /= float64(days)
	s.nudges /= float64(days)
	return s
}

// orWorse takes the worse of each figure.
func (s sleepers) orWorse(o sleepers) sleepers {
	return sleepers{
		max(s.median, o.median), max(s.longest, o.longest), max(s.falsely, o.falsely),
		max(s.packets, o.packets), max(s.nudges, o.nudges),
	}
}
