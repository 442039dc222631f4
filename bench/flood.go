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
	const each = 20
	devices, err := l.pop.AddMany(5*each, l.Static(8), lab.Behaviour{})
	if err != nil {
		return nil, err
	}
	staying, moving := devices[:each], devices[each:]
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
	for _, d := range moving[2*each:] {
		d.Sleep()
	}
	err = w.until(ctx, 2*time.Minute, "the devices to be known", func(last map[string]string) bool {
		return count(last, "home") == 3*each && count(last, "not_home") == 2*each
	})
	if err != nil {
		return nil, err
	}
	s := &storm{b: b, l: l, w: w, d: d, period: period, staying: staying}
	calm, err := s.blow(ctx, 0, s.moves(moving[:each], moving[2*each:3*each]))
	if err != nil {
		return nil, err
	}
	rows, err := s.blow(ctx, floodRate, s.moves(moving[each:2*each], moving[3*each:]))
	return append(rows, calm...), err
}

// storm is the LAN with its known devices, in calm and in flood.
type storm struct {
	b       *bench
	l       *lan
	w       *watch
	d       *daemon
	period  time.Duration
	staying []*lab.Device
}

// moves plans who comes and goes when: early enough that the departures are
// due while the flood lasts.
func (s *storm) moves(leaving, coming []*lab.Device) (moves []*move) {
	r := rand.New(rand.NewPCG(s.b.seed, 5))
	within := func(from, to time.Duration) time.Duration { return from + time.Duration(r.Int64N(int64(to-from))) }
	for _, d := range leaving {
		moves = append(moves, &move{device: d, after: within(100*time.Millisecond, s.period-floodAway)})
	}
	for _, d := range coming {
		moves = append(moves, &move{device: d, after: within(100*time.Millisecond, s.period), home: true})
	}
	slices.SortFunc(moves, func(x, y *move) int { return int(x.after - y.after) })
	return moves
}

// blow carries out the moves in a flood of this rate; 0 is calm.
func (s *storm) blow(ctx context.Context, rate int, moves []*move) ([]row, error) {
	s.b.say("flood: %d frames a second for %s", rate, s.period)
	mark := s.w.mark()
	before, err := usageOf(s.d.pid())
	if err != nil {
		return nil, err
	}
	report, err := s.shout(ctx, rate, moves)
	if err != nil {
		return nil, err
	}
	after, err := usageOf(s.d.pid())
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, floodAway+5*time.Second); err != nil {
		return nil, err
	}
	last, err := usageOf(s.d.pid())
	if err != nil {
		return nil, err
	}
	messages := s.w.since(mark)
	arrivals, departures := lateness(moves, messages)
	lost := s.lost(messages)
	what := fmt.Sprintf("flood of %.0f frames/s for %s, ", report.Rate(), s.period)
	if rate == 0 {
		what = "flood, the same without it, "
	}
	rows := []row{
		late(what+"arrivals", arrivals),
		late(what+"departures", departures),
		{what + "devices that stay", fmt.Sprintf("%d of %d taken for away", lost, len(s.staying)), "none", judge(lost == 0)},
	}
	if rate == 0 {
		for i := range rows {
			rows[i].bound, rows[i].verdict = "", reported
		}
		return rows, nil
	}
	entities := 0
	for topic := range s.w.values() {
		if isConfig(topic) {
			entities++
		}
	}
	const maxTracked = 500
	return append(rows,
		row{what + "memory", fmt.Sprintf("%s resident at most, %.0f %% of a core", mb(last.peak), share(before, after)), "200 MB", judge(last.peak < 200<<10)},
		row{what + "entities", fmt.Sprint(entities), fmt.Sprintf("%d (MAX_TRACKED)", maxTracked), judge(entities <= maxTracked)},
		row{what + "that many frames", fmt.Sprintf("%d", report.Sent), fmt.Sprintf("within 2 %% of %d/s", rate), judge(report.Rate() > 0.98*float64(rate))},
	), nil
}

// shout floods for the period while the moves are made.
func (s *storm) shout(ctx context.Context, rate int, moves []*move) (lab.FloodReport, error) {
	type result struct {
		report lab.FloodReport
		err    error
	}
	done := make(chan result, 1)
	go func() {
		if rate == 0 {
			done <- result{err: pause(ctx, s.period)}
			return
		}
		r, err := s.l.Flood(ctx, lab.Flood{Rate: rate, Duration: s.period, DHCP: 0.3, Vendor: 0.5})
		done <- result{r, err}
	}()
	start := time.Now()
	for i, m := range moves {
		err := pause(ctx, time.Until(start.Add(m.after)))
		if err == nil && m.home {
			m.device.Wake()
			m.at, err = join(i, m.device)
		} else if err == nil {
			m.at, err = m.device.Announce()
			m.device.Sleep()
		}
		if err != nil {
			return lab.FloodReport{}, err
		}
	}
	r := <-done
	return r.report, r.err
}

// lost counts how often a device that stays was said to be away.
func (s *storm) lost(messages []message) (n int) {
	for _, d := range s.staying {
		topic := stateTopic(id(d))
		if s.w.values()[topic] != "home" {
			n++
		}
		for _, m := range messages {
			if m.topic == topic && m.payload != "home" {
				n++
			}
		}
	}
	return n
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
