package bridge

import (
	"context"
	"time"
)

const (
	// sweepRetry is how soon the first sweep is tried again when it failed.
	sweepRetry = 10 * time.Second
	// baselineTries is how often, before the first run's list is made without one.
	baselineTries = 6
)

// sweepLoop sweeps as soon as an interface hears, at each interval and on
// demand, and ends the baseline after the first sweep that worked.
func (b *Bridge) sweepLoop(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-b.hears:
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	baseline := true
	fault := ""
	for tries := 1; ; tries++ {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-b.scan:
		}
		err := b.cfg.LAN.Sweep(ctx)
		if ctx.Err() != nil {
			return
		}
		b.sweeps.Add(1)
		fault = b.tellSweep(err, fault)
		next := b.cfg.SweepInterval
		switch {
		case !baseline:
		case err == nil || tries >= baselineTries && b.canHear(ctx):
			baseline = false
			b.endBaseline()
		default:
			next = min(sweepRetry, next)
		}
		timer.Reset(next)
	}
}

// tellSweep logs that sweeps do not work, once, and that they do again. It
// returns the fault that it told of last.
func (b *Bridge) tellSweep(err error, told string) string {
	switch {
	case err == nil && told != "":
		b.log.Info("the sweep works again")
		return ""
	case err != nil && err.Error() != told:
		b.log.Warn("the sweep did not work; silent devices stay unnoticed until they speak", "err", err)
		return err.Error()
	}
	return told
}

// canHear reports whether any interface does.
func (b *Bridge) canHear(ctx context.Context) bool {
	_, sum, err := b.Snapshot(ctx)
	if err != nil {
		return false
	}
	for _, s := range sum.Sensing {
		if !s.Blind {
			return true
		}
	}
	return false
}

func (b *Bridge) endBaseline() {
	b.inbox.call(func() {
		if !b.cfg.Engine.Baselining() {
			return
		}
		b.take(b.cfg.Engine.EndBaseline(time.Now()))
		if b.cfg.BaselineDone != nil {
			b.cfg.BaselineDone()
		}
	})
}
