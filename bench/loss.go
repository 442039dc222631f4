package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"porchlight/lab"
)

// loss kills the broker, Porchlight or the link at random while devices come
// and go. After each round every retained state must equal the truth; at the
// end every event of the log must have reached a subscriber with a persistent
// session, in order.
func loss(ctx context.Context, b *bench) ([]row, error) {
	rounds := pick(b, 10, 100)
	dir := filepath.Join(b.dir, "mosquitto")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// The broker keeps its sessions and retained messages over a kill.
	l, err := raise(ctx, "10.77.0.0/24", true, "persistence true", "persistence_location "+dir+"/",
		"autosave_on_changes true", "autosave_interval 1")
	if err != nil {
		return nil, err
	}
	defer l.close()
	if _, err := l.resident(); err != nil {
		return nil, err
	}
	devices, err := l.pop.AddMany(16, l.Static(8), lab.Behaviour{Asleep: true})
	if err != nil {
		return nil, err
	}
	d, err := b.daemon("loss", l.obs.Host, "MQTT_URL="+l.broker.URL(), "AWAY_AFTER=5s", "PROBE_INTERVAL=2s")
	if err != nil {
		return nil, err
	}
	defer d.kill()
	c := &chaos{b: b, l: l, d: d, rand: rand.New(rand.NewPCG(b.seed, 6)), present: map[string]bool{}, touched: map[string]time.Time{}, devices: devices}
	if err := c.begin(ctx); err != nil {
		return nil, err
	}
	defer c.mailbox.client.Disconnect(100)
	talk, stop := context.WithCancel(ctx)
	talking := make(chan struct{})
	go func() { defer close(talking); c.talk(talk) }()
	defer func() { stop(); <-talking }()
	for i := range rounds {
		if err := c.round(ctx, i+1, rounds); err != nil {
			return nil, fmt.Errorf("round %d: %w", i+1, err)
		}
	}
	return c.result(ctx, rounds)
}

// begin starts everything and waits until it is settled.
func (c *chaos) begin(ctx context.Context) (err error) {
	if c.mailbox, err = newMailbox(ctx, c.l); err != nil {
		return err
	}
	// The session itself must be on the disk before the first kill.
	if err := syscall.Kill(c.l.broker.PID(), syscall.SIGUSR1); err != nil {
		return err
	}
	w, err := c.l.watch(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	if err := c.d.start(); err != nil {
		return err
	}
	if err := w.ready(ctx, c.d, true); err != nil {
		return err
	}
	return pause(ctx, 2*time.Second)
}

// round does one thing wrong while devices come and go, and waits until the
// retained states are right again.
func (c *chaos) round(ctx context.Context, n, of int) error {
	fault := c.rand.IntN(4)
	names := [...]string{"the broker is killed", "porchlight is killed", "the cable is pulled", "the interface is taken down"}
	c.b.say("loss: round %d of %d: %s", n, of, names[fault])
	c.faults = append(c.faults, fmt.Sprintf("round %d: %s", n, names[fault]))
	moving, stop := context.WithCancel(ctx)
	moved := make(chan error, 1)
	go func() { moved <- c.move(moving) }()
	err := c.hurt(ctx, fault)
	if err == nil {
		err = pause(ctx, c.upTo(time.Second))
	}
	stop()
	if moveErr := <-moved; err == nil && ctx.Err() == nil {
		err = moveErr
	}
	if err != nil {
		return err
	}
	return c.compare(ctx)
}

func (c *chaos) upTo(d time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(c.rand.Int64N(int64(d)))
}

// hurt breaks one thing, and mends it after a while.
func (c *chaos) hurt(ctx context.Context, fault int) error {
	if err := pause(ctx, c.upTo(time.Second)); err != nil {
		return err
	}
	var mend func() error
	switch fault {
	case 0:
		c.l.broker.Kill()
		mend = func() error { return c.l.broker.Start(ctx) }
	case 1:
		c.d.kill()
		mend = c.d.start
	case 2:
		if err := c.l.obs.Unplug(); err != nil {
			return err
		}
		mend = func() error { return c.l.obs.Plug(ctx) }
	case 3:
		if err := c.l.obs.Down(); err != nil {
			return err
		}
		mend = func() error { return c.l.obs.Up(ctx) }
	}
	if err := pause(ctx, c.upTo(2*time.Second)); err != nil {
		return err
	}
	return mend()
}

// result compares the event log with what the mailbox got.
func (c *chaos) result(ctx context.Context, rounds int) ([]row, error) {
	if err := pause(ctx, 3*time.Second); err != nil { // for the last events
		return nil, err
	}
	if err := c.d.stop(); err != nil {
		return nil, err
	}
	events, err := c.d.events(ctx)
	if err != nil {
		return nil, err
	}
	faults, again := c.mailbox.check(events)
	for _, f := range faults {
		c.b.say("loss: %s", f)
	}
	what := fmt.Sprintf("loss, %d rounds", rounds)
	return []row{
		{what + ", retained states", fmt.Sprintf("%d rounds ended with a wrong state%s; states were right %s after the round at the median, %s at most",
			len(c.wrong), list(c.wrong), seconds(quantile(c.settled(), 0.5)), seconds(quantile(c.settled(), 1))), "none", judge(len(c.wrong) == 0)},
		{
			what + ", events", fmt.Sprintf("%d logged, %d missing, changed or out of order%s; %d delivered again", len(events), len(faults), list(faults), again),
			"each at least once, in order", judge(len(faults) == 0),
		},
		{what: what + ", present devices taken for away", measured: fmt.Sprint(c.falsely(events))},
	}, nil
}

// list shows the first few of what was wrong.
func list(wrong []string) string {
	if len(wrong) == 0 {
		return ""
	}
	return " (" + strings.Join(wrong[:min(3, len(wrong))], "; ") + ")"
}
