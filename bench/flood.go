package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"porchlight/lab"
)

const (
	floodRate = 50_000
	floodAway = 10 * time.Second // AWAY_AFTER, so that departures can be foretold
	tolerance = time.Second
)

// move is a known device that comes or goes at a time.
type move struct {
	device *lab.Device
	after  time.Duration // from the start of the flood
	home   bool          // it comes
	at     time.Time     // just before its last or first frame
}

// flood lets known devices come and go while strangers shout.
func flood(ctx context.Context, b *bench) ([]row, error) {
	period := pick(b, 15*time.Second, 20*time.Second)
	l, err := raise(ctx, "10.77.0.0/24", true)
	if err != nil {
		return nil, err
	}
	defer l.close()
	const each = 40
	devices, err := l.pop.AddMany(3*each, l.Static(8), lab.Behaviour{})
	if err != nil {
		return nil, err
	}
	staying, leaving, coming := devices[:each], devices[each:2*each], devices[2*each:]
	d, err := b.daemon("flood", l.obs.Host, "MQTT_URL="+l.broker.URL(), "AWAY_AFTER="+floodAway.String())
	if err != nil {
		return nil, err
	}
	defer d.kill()
	if err := d.start(); err != nil {
		return nil, err
	}
	w, err := l.watch(ctx)
	if err != nil {
		return nil, err
	}
	defer w.close()
	b.say("flood: making the devices known")
	if err := w.ready(ctx, d, true); err != nil {
		return nil, err
	}
	announce := func(d *lab.Device) error { _, err := d.Announce(); return err }
	if err := lab.Pace(ctx, devices, 50, announce); err != nil {
		return nil, err
	}
	for _, c := range coming {
		c.Sleep()
	}
	err = w.until(ctx, 2*time.Minute, "the devices to be known", func(last map[string]string) bool {
		return count(last, "home") == 2*each && count(last, "not_home") == each
	})
	if err != nil {
		return nil, err
	}
	return b.shout(ctx, l, w, d, period, floodMoves(b, leaving, coming, period), staying)
}

// floodMoves plans who comes and goes when: early enough that the departures
// are due while the flood lasts.
func floodMoves(b *bench, leaving, coming []*lab.Device, period time.Duration) (moves []*move) {
	r := rand.New(rand.NewPCG(b.seed, 5))
	within := func(from, to time.Duration) time.Duration { return from + time.Duration(r.Int64N(int64(to-from))) }
	for _, d := range leaving {
		moves = append(moves, &move{device: d, after: within(100*time.Millisecond, period-floodAway)})
	}
	for _, d := range coming {
		moves = append(moves, &move{device: d, after: within(100*time.Millisecond, period), home: true})
	}
	slices.SortFunc(moves, func(x, y *move) int { return int(x.after - y.after) })
	return moves
}

func (b *bench) shout(ctx context.Context, l *lan, w *watch, d *daemon, period time.Duration, moves []*move, staying []*lab.Device) ([]row, error) {
	mark := w.mark()
	before, err := usageOf(d.pid())
	if err != nil {
		return nil, err
	}
	type result struct {
		report lab.FloodReport
		err    error
	}
	done := make(chan result, 1)
	go func() {
		r, err := l.Flood(ctx, lab.Flood{Rate: floodRate, Duration: period, DHCP: 0.3, Vendor: 0.5})
		done <- result{r, err}
	}()
	b.say("flood: %d frames a second for %s", floodRate, period)
	start := time.Now()
	for i, m := range moves {
		if err := pause(ctx, time.Until(start.Add(m.after))); err != nil {
			return nil, err
		}
		if m.home {
			m.device.Wake()
			m.at, err = join(i, m.device)
		} else {
			m.at, err = m.device.Announce()
			m.device.Sleep()
		}
		if err != nil {
			return nil, err
		}
	}
	f := <-done
	if f.err != nil {
		return nil, f.err
	}
	after, err := usageOf(d.pid())
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, floodAway+5*time.Second); err != nil {
		return nil, err
	}
	last, err := usageOf(d.pid())
	if err != nil {
		return nil, err
	}
	arrivals, departures := lateness(moves, w.since(mark))
	lost := 0
	for _, s := range staying {
		if w.values()[stateTopic(id(s))] != "home" {
			lost++
		}
	}
	for _, m := range w.since(mark) {
		if m.payload == "not_home" && slices.ContainsFunc(staying, func(d *lab.Device) bool { return stateTopic(id(d)) == m.topic }) {
			lost++
		}
	}
	entities := 0
	for topic := range w.values() {
		if isConfig(topic) {
			entities++
		}
	}
	const maxTracked = 500
	what := fmt.Sprintf("flood of %.0f frames/s for %s (%d %% of a core), ", f.report.Rate(), period, int(share(before, after)))
	return []row{
		late(what+"arrivals", arrivals),
		late(what+"departures", departures),
		{what + "devices that stay", fmt.Sprintf("%d of %d taken for away", lost, len(staying)), "none", judge(lost == 0)},
		{what + "memory", mb(last.peak) + " resident at most", "200 MB", judge(last.peak < 200<<10)},
		{what + "entities", fmt.Sprint(entities), fmt.Sprintf("%d (MAX_TRACKED)", maxTracked), judge(entities <= maxTracked && f.report.Rate() > 0.95*floodRate)},
	}, nil
}

// lateness returns how late each move was published; a negative time if never,
// or if it was published too early.
func lateness(moves []*move, messages []message) (arrivals, departures []time.Duration) {
	for _, m := range moves {
		want, due := "home", m.at
		if !m.home {
			want, due = "not_home", m.at.Add(floodAway)
		}
		late := time.Duration(-1)
		for _, msg := range messages {
			if msg.topic == stateTopic(id(m.device)) && msg.payload == want && !msg.retained && !msg.at.Before(m.at) {
				late = msg.at.Sub(due)
				break
			}
		}
		if m.home {
			arrivals = append(arrivals, late)
		} else {
			departures = append(departures, late)
		}
	}
	slices.Sort(arrivals)
	slices.Sort(departures)
	return arrivals, departures
}

func late(what string, sorted []time.Duration) row {
	never := 0
	for len(sorted) > 0 && sorted[0] < 0 {
		sorted = sorted[1:]
		never++
	}
	longest := quantile(sorted, 1)
	return row{
		what:     what,
		measured: fmt.Sprintf("%d of %d missed; late by %s at the median, %s at most", never, never+len(sorted), seconds(quantile(sorted, 0.5)), seconds(longest)),
		bound:    "none missed, none late by more than 1 s",
		verdict:  judge(never == 0 && longest <= tolerance),
	}
}
