package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"porchlight/presence"
	"porchlight/presence/household"
)

const (
	learning = 7 * 24 * time.Hour
	dropper  = 15 // the place in the household of the phone that drops the Wi-Fi
)

// truth plays the household with the truth known, and the common ways to
// decide beside it. The worst of several seeds counts.
func truth(ctx context.Context, b *bench) (rows []row, err error) {
	seeds := pick(b, 1, 5)
	for _, world := range []struct {
		name string
		ipv6 bool
	}{{"", false}, {", IPv6 only", true}} {
		var ours []household.Score
		for i := range seeds {
			b.say("truth%s: household %d of %d", world.name, i+1, seeds)
			play := household.Home(b.seed + uint64(i))
			play.IPv6 = world.ipv6
			ours = append(ours, household.Run(play, presence.New(presence.Config{})).Score(learning))
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
		rows = append(rows, truthRows("truth"+world.name, ours)...)
	}
	for _, other := range []struct {
		name string
		household.Fixed
	}{
		{"180 s, asked every 12 s", household.Fixed{Window: 180 * time.Second, Ask: 12 * time.Second}},
		{"10 min, asked every minute", household.Fixed{Window: 10 * time.Minute, Ask: time.Minute}},
		{"45 min, asked every minute", household.Fixed{Window: 45 * time.Minute, Ask: time.Minute}},
	} {
		decider := other.Fixed
		rows = append(rows, row{
			what:     "truth, beside it: a fixed window of " + other.name,
			measured: summary(household.Run(household.Home(b.seed), &decider).Score(learning)),
		})
	}
	falsely, windows := troubles(b, seeds)
	return append(rows, row{
		what:     fmt.Sprintf("truth, %d reboots of the access point (3 min) and blind observers (30 min)", windows),
		measured: fmt.Sprintf("%d false aways", falsely), bound: "none", verdict: judge(falsely == 0),
	}), nil
}

// summary writes a score in one line.
func summary(s household.Score) string {
	q := func(c household.Class, q float64) time.Duration { return quantile(s.Delays[c], q) }
	return fmt.Sprintf("%.2f false aways per device and week; responsive known in %s / %s (95 %%); sleepers within %.2f sleeps; drops Wi-Fi: %.2f a week, within %s; %.0f probes per device and day",
		s.PerWeek, presence.Words(q(household.Responsive, 0.5)), presence.Words(q(household.Responsive, 0.95)), s.OverSleep,
		s.ByDevice[dropper], presence.Words(q(household.Dropper, 1)), s.Probes)
}

// truthRows judges the worst of the scores by each bound.
func truthRows(name string, scores []household.Score) []row {
	what := fmt.Sprintf("%s, the worst of %d households: ", name, len(scores))
	worst := func(f func(household.Score) float64) float64 {
		var all []float64
		for _, s := range scores {
			all = append(all, f(s))
		}
		return slices.Max(all)
	}
	delay := func(c household.Class, q float64) float64 {
		return worst(func(s household.Score) float64 { return quantile(s.Delays[c], q).Seconds() })
	}
	number := func(name, unit string, v, bound float64) row {
		return row{what + name, fmt.Sprintf("%.4g%s", v, unit), fmt.Sprintf("%g%s", bound, unit), judge(v <= bound)}
	}
	return []row{
		number("false aways per device and week", "", worst(func(s household.Score) float64 { return s.PerWeek }), 0.25),
		number("responsive, departure known, median", " s", delay(household.Responsive, 0.5), 45),
		number("responsive, departure known, 95th percentile", " s", delay(household.Responsive, 0.95), 90),
		number("sleepers, longest, in their own longest sleep", " ×", worst(func(s household.Score) float64 { return s.OverSleep }), 1.5),
		number("drops the Wi-Fi, false aways a week", "", worst(func(s household.Score) float64 { return s.ByDevice[dropper] }), 1),
		number("drops the Wi-Fi, departure known, longest", " s", delay(household.Dropper, 1), time.Hour.Seconds()),
		number("probes per device and day", "", worst(func(s household.Score) float64 { return s.Probes }), 3000),
	}
}

const day = 24 * time.Hour

// troubles plays households with outages and blind observers. It returns the
// false aways that began in them or in the half hour after them, beyond those
// of the same household without trouble, and how many troubles there were.
func troubles(b *bench, seeds int) (falsely, windows int) {
	for i := range seeds {
		plain := household.Home(b.seed + uint64(i))
		troubled := plain
		for d := 8; d < plain.Days; d++ {
			at := time.Duration(d)*day + time.Duration(d*5%24)*time.Hour + time.Duration(d*7%60)*time.Minute
			if d%4 == 0 {
				troubled.Blind = append(troubled.Blind, household.Span{From: at, To: at + 30*time.Minute})
			} else {
				troubled.Outages = append(troubled.Outages, household.Span{From: at, To: at + 3*time.Minute})
			}
		}
		spans := slices.Concat(troubled.Blind, troubled.Outages)
		windows += len(spans)
		b.say("truth: household %d of %d with outages", i+1, seeds)
		with := falseAways(household.Run(troubled, presence.New(presence.Config{})), spans)
		without := falseAways(household.Run(plain, presence.New(presence.Config{})), spans)
		falsely += max(with-without, 0)
	}
	return falsely, windows
}

// falseAways counts those that began in the spans or in the half hour after.
func falseAways(r *household.Result, spans []household.Span) (n int) {
	for _, l := range r.Lines {
		at := l.At.Sub(household.Start)
		near := func(s household.Span) bool { return at >= s.From && at < s.To+30*time.Minute }
		if l.Event == presence.Left && l.There && slices.ContainsFunc(spans, near) {
			n++
		}
	}
	return n
}
