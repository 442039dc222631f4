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

// sweepLoop sweeps at the start, at each interval and on demand, and ends the
// baseline after the first sweep that worked.
func (b *Bridge) sweepLoop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	baseline := true
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
		next := b.cfg.SweepInterval
		if err != nil {
			b.log.Warn("the sweep did not work; silent devices may stay unnoticed until they speak", "err", err)
		}
		if baseline {
			if err == nil || tries >= baselineTries && b.canHear(ctx) {
				baseline = false
				b.endBaseline()
			} else {
				next = min(sweepRetry, next)
			}
		}
		timer.Reset(next)
	}
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
