package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"porchlight/lab"
	"porchlight/presence"
)

// sweep measures the sweep in the background: whether it finds all that
// answer, and whether it ever asks faster than it was told to.
func (b *bench) sweep(ctx context.Context, r *rand.Rand) ([]row, error) {
	const rate = 1000
	prefix, hosts := pick(b, "10.77.0.0/20", "10.77.0.0/16"), pick(b, 100, 1000)
	l, err := raise(ctx, prefix, true)
	if err != nil {
		return nil, err
	}
	defer l.close()
	if err := l.spread(r, hosts, lab.Behaviour{}); err != nil {
		return nil, err
	}
	d, err := b.daemon("sweep", l.obs.Host, "MQTT_URL="+l.broker.URL(), fmt.Sprintf("SWEEP_RATE=%d/s", rate), "SWEEP_INTERVAL=1h", "MAX_TRACKED=2000")
	if err != nil {
		return nil, err
	}
	defer d.kill()
	l.pop.Record(true)
	if err := d.start(); err != nil {
		return nil, err
	}
	b.say("scan: a sweep of %s in the background at %d/s", prefix, rate)
	start := time.Now()
	for { // the first run's list is made when the first sweep has ended
		if err := pause(ctx, time.Second); err != nil {
			return nil, err
		}
		events, err := d.events(ctx)
		if err != nil {
			return nil, err
		}
		if len(events) > 0 && events[0].Type == presence.Baseline {
			break
		}
		if time.Since(start) > 10*time.Minute {
			return nil, fmt.Errorf("the sweep did not end in 10 min, porchlight said: %s", d.log())
		}
	}
	took := time.Since(start)
	l.pop.Record(false)
	found, err := d.home(ctx)
	if err != nil {
		return nil, err
	}
	frames, most := pace(l)
	mean := float64(frames) / took.Seconds()
	return []row{{
		what:     fmt.Sprintf("sweep of %s, %d hosts, at %d/s", prefix, hosts, rate),
		measured: fmt.Sprintf("found %d in %s, %d requests (%.0f/s), at most %d in any 100 ms", found, took.Round(time.Second), frames, mean, most),
		bound:    fmt.Sprintf("%d, at most %d in any 100 ms", hosts, rate/10),
		verdict:  judge(found == hosts && most <= rate/10),
	}}, nil
}

// pace returns how many broadcast requests the population heard, and the most
// in any 100 ms, by the kernel's timestamps.
func pace(l *lan) (frames, most int) {
	var times []time.Time
	for _, r := range l.pop.Requests() {
		if r.To == lab.Broadcast && r.From == l.obs.MAC() {
			times = append(times, r.At)
		}
	}
	return len(times), densest(times, 100*time.Millisecond)
}

// densest returns the most of the times, which are in order, within any span.
func densest(times []time.Time, span time.Duration) (most int) {
	first := 0
	for i, t := range times {
		for t.Sub(times[first]) >= span {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}
