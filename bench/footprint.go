package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"porchlight/lab"
)

// load is one household to measure the footprint under.
type load struct {
	name      string
	devices   int
	prefix    string
	segments  int  // the devices are in that many; 0: in one
	embedded  bool // Porchlight's own broker instead of mosquitto
	settings  []string
	cpu       float64 // bound, percent of a core
	megabytes int     // bound
}

var loads = []load{
	{name: "250 devices, mosquitto", devices: 250, prefix: "10.77.0.0/23", cpu: 1, megabytes: 40},
	{name: "250 devices, embedded broker", devices: 250, prefix: "10.77.0.0/23", embedded: true, cpu: 1, megabytes: 40},
	{name: "1,000 devices in four segments", devices: 1000, prefix: "10.77.0.0/22", segments: 4, settings: []string{"MAX_TRACKED=1000", "AWAY_AFTER=45s"}, cpu: 3, megabytes: 60},
	{name: "1,000 devices in one segment", devices: 1000, prefix: "10.77.0.0/21", settings: []string{"MAX_TRACKED=1000"}, cpu: 3, megabytes: 60},
	{name: "10,000 devices, all of them entities", devices: 10_000, prefix: "10.77.0.0/16", settings: []string{"MAX_TRACKED=10000"}, cpu: 20, megabytes: 150},
	{name: "10,000 devices, 500 entities (default)", devices: 10_000, prefix: "10.77.0.0/16", cpu: 20, megabytes: 150},
}

// chatter is how often a device says something by itself, on average.
const chatter = time.Minute

// footprint measures what Porchlight uses while everyone is home, answers what
// it is asked, and says something by itself once a minute. Two loads are
// measured at a time; it is their own processor time that counts.
func footprint(ctx context.Context, b *bench) (rows []row, err error) {
	for some := range slices.Chunk(loads, 2) {
		got := make([]row, len(some))
		g, ctx := errgroup.WithContext(ctx)
		for i, f := range some {
			g.Go(func() (err error) {
				if got[i], err = b.footprintOf(ctx, f); err != nil {
					return fmt.Errorf("%s: %w", f.name, err)
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return rows, err
		}
		rows = append(rows, got...)
	}
	return rows, nil
}

func (b *bench) footprintOf(ctx context.Context, f load) (r row, err error) {
	period := pick(b, 3*time.Minute, 10*time.Minute)
	if b.long {
		period = time.Hour
	}
	l, err := raise(ctx, f.prefix, !f.embedded)
	if err != nil {
		return r, err
	}
	defer l.close()
	n := max(f.segments, 1)
	answers := lab.Behaviour{DelayMax: 20 * time.Millisecond}
	devices, err := l.pop.AddMany(f.devices/n, l.Static(16), answers)
	if err != nil {
		return r, err
	}
	settings := slices.Clone(f.settings)
	more, err := l.more(ctx, n-1, f.devices/n, answers)
	defer more.close()
	if err != nil {
		return r, err
	}
	chatting := slices.Concat(devices, more.devices)
	devices = append(devices, more.all()...)
	settings = append(settings, "INTERFACES="+more.interfaces)
	if f.embedded {
		l.address = "127.0.0.1:1883" // of the observer's namespace
	} else {
		settings = append(settings, "MQTT_URL="+l.broker.URL())
	}
	d, err := b.daemon("footprint "+f.name, l.obs.Host, settings...)
	if err != nil {
		return r, err
	}
	defer d.kill()
	if err := d.start(); err != nil {
		return r, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	b.say("footprint: %s: waiting until all are home", f.name)
	if err := l.settle(ctx, d, devices, f.embedded); err != nil {
		return r, err
	}
	chatted := make(chan struct{})
	go func() { defer close(chatted); chat(ctx, chatting, l.obs.Addr(), chatter) }()
	roamed := more.roam(ctx)
	defer func() { stop(); <-chatted }()
	if err := pause(ctx, 10*time.Second); err != nil {
		return r, err
	}
	b.say("footprint: %s: measuring for %s", f.name, period)
	before, err := usageOf(d.pid())
	if err != nil {
		return r, err
	}
	most := before.resident
	var now usage
	for time.Since(before.at) < period {
		if err := pause(ctx, time.Second); err != nil {
			return r, err
		}
		if now, err = usageOf(d.pid()); err != nil {
			return r, err
		}
		most = max(most, now.resident)
	}
	cpu := share(before, now)
	r = row{
		what:     "footprint, " + f.name + ", " + period.String(),
		measured: fmt.Sprintf("%.2f %% of a core, %s resident at most, %s of them the program file; %s while starting", cpu, mb(most), mb(now.program), mb(now.peak)),
		bound:    fmt.Sprintf("%g %% and %d MB", f.cpu, f.megabytes),
	}
	good := cpu < f.cpu && most < f.megabytes<<10
	if f.segments > 1 {
		stop()
		moves, err := roamed()
		if err != nil {
			return r, err
		}
		flickers, err := d.flickers(context.WithoutCancel(ctx))
		if err != nil {
			return r, err
		}
		r.measured += fmt.Sprintf("; %d moves between segments, %d devices taken for away", moves, flickers)
		r.bound += ", none away"
		good = good && moves > 0 && flickers == 0
	}
	r.verdict = judge(good)
	return r, nil
}

// settle has every device say that it is there until all of them are home.
func (l *lan) settle(ctx context.Context, d *daemon, devices []*lab.Device, embedded bool) error {
	if embedded {
		if err := pause(ctx, 2*time.Second); err != nil { // for the broker to listen
			return err
		}
	}
	const rate = 200 // more at once would be a flood
	for {
		err := lab.Pace(ctx, devices, rate, func(d *lab.Device) error { _, err := d.Announce(); return err })
		if err != nil {
			return err
		}
		home, err := d.home(ctx)
		if err != nil {
			return err
		}
		if home >= len(devices) {
			return nil
		}
	}
}
