package main

import (
	"context"
	"fmt"
	"time"

	"porchlight/lab"
)

// restart starts Porchlight anew while everyone is home: once after an orderly
// end, once after a power cut. A tenth of the devices are asleep meanwhile, for
// longer in all than their timeout, but not for so long after the start.
func restart(ctx context.Context, b *bench) (rows []row, err error) {
	const devices = 250
	away := pick(b, 15*time.Second, 30*time.Second)
	l, err := raise(ctx, "10.77.0.0/23", true)
	if err != nil {
		return nil, err
	}
	defer l.close()
	all, err := l.pop.AddMany(devices, l.Static(16), lab.Behaviour{DelayMax: 20 * time.Millisecond})
	if err != nil {
		return nil, err
	}
	d, err := b.daemon("restart", l.obs.Host, "MQTT_URL="+l.broker.URL(), "AWAY_AFTER="+away.String())
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
	b.say("restart: waiting until %d devices are home", devices)
	if err := w.ready(ctx, d, true); err != nil {
		return nil, err
	}
	if err := lab.Pace(ctx, all, 100, func(d *lab.Device) error { _, err := d.Announce(); return err }); err != nil {
		return nil, err
	}
	err = w.until(ctx, time.Minute, "all to be home", func(last map[string]string) bool { return count(last, "home") == devices })
	if err != nil {
		return nil, err
	}
	for _, end := range []struct {
		name string
		do   func() error
	}{
		{"after SIGTERM", d.stop},
		{"after SIGKILL", func() error { d.kill(); return nil }},
	} {
		b.say("restart: %s", end.name)
		r, err := b.restartOnce(ctx, l, w, d, all, away, end.do)
		if err != nil {
			return rows, err
		}
		r.what = fmt.Sprintf("restart with %d devices home, %s", devices, end.name)
		rows = append(rows, r)
	}
	return rows, nil
}

func (b *bench) restartOnce(ctx context.Context, l *lan, w *watch, d *daemon, all []*lab.Device, away time.Duration, end func() error) (r row, err error) {
	if err := pause(ctx, 3*time.Second); err != nil { // for what is on its way
		return r, err
	}
	before, err := d.events(ctx)
	if err != nil {
		return r, err
	}
	sleepers := all[:len(all)/10]
	for _, s := range sleepers {
		if _, err := s.Announce(); err != nil {
			return r, err
		}
		s.Sleep()
	}
	if err := pause(ctx, away*6/10); err != nil {
		return r, err
	}
	mark := w.mark()
	if err := end(); err != nil {
		return r, err
	}
	stopped := time.Now()
	if err := d.start(); err != nil {
		return r, err
	}
	err = w.until(ctx, 30*time.Second, "porchlight to be back", func(map[string]string) bool {
		return w.said(mark, statusTopic, "online")
	})
	if err != nil {
		return r, fmt.Errorf("%w, it said: %s", err, d.log())
	}
	back := time.Since(stopped)
	if err := pause(ctx, away*6/10); err != nil {
		return r, err
	}
	for _, s := range sleepers {
		s.Wake()
	}
	if err := pause(ctx, 2*away); err != nil {
		return r, err
	}
	changes, events := 0, 0
	for _, m := range w.since(mark) {
		switch {
		case stateOf(m.topic) != "" && m.payload != "home":
			changes++
			b.say("restart: %s became %q", m.topic, m.payload)
		case m.topic == eventTopic:
			events++
			b.say("restart: event %s", m.payload)
		}
	}
	after, err := d.events(ctx)
	if err != nil {
		return r, err
	}
	logged := len(after) - len(before)
	return row{
		measured: fmt.Sprintf("%d states changed, %d events sent, %d logged; back after %s", changes, events, logged, seconds(back)),
		bound:    "none, none", verdict: judge(changes == 0 && events == 0 && logged == 0),
	}, nil
}
