package arpwatch

import (
	"context"
	"time"
)

// pacer spaces frames evenly, and never lets more than its share of the rate
// go in any window of 100 ms: a burst overloads small devices, which then
// answer its first few frames only. A sender that was held up catches up at
// twice the pace at most. What it lost beyond its allowed debt stays lost.
type pacer struct {
	interval time.Duration
	gap      time.Duration // between two frames at least
	debt     time.Duration // how far behind the frames may be and still catch up

	slot   time.Time   // when the next frame is due
	window []time.Time // when the latest frames had gone, a ring as long as a window's share
	next   int         // in window
	last   time.Time
	timer  *time.Timer
}

const (
	window = 100 * time.Millisecond

	// A timer of the Go runtime does not wake a thread sooner than that. At a
	// faster pace the frames that are due at a wake-up go together.
	timerStep = time.Millisecond
)

// newPacer makes a pacer for rate frames per second, at least 1.
func newPacer(rate int, now time.Time) *pacer {
	p := &pacer{
		interval: time.Second / time.Duration(rate),
		debt:     window,
		slot:     now,
		window:   make([]time.Time, (rate+9)/10),
	}
	p.gap = p.interval / 2
	if p.gap < timerStep {
		p.gap, p.debt = 0, 5*timerStep
	}
	return p
}

// due is the earliest time for the next frame.
func (p *pacer) due() time.Time {
	t := p.slot
	if soonest := p.last.Add(p.gap); t.Before(soonest) {
		t = soonest
	}
	if full := p.window[p.next].Add(window); t.Before(full) {
		t = full
	}
	return t
}

// wait waits until the next frame may go, or ctx ends.
func (p *pacer) wait(ctx context.Context) error {
	return p.until(ctx, p.due())
}

// sent notes that a frame had gone by now.
func (p *pacer) sent(now time.Time) {
	p.last = now
	p.window[p.next] = now
	p.next = (p.next + 1) % len(p.window)
	p.slot = p.slot.Add(p.interval)
	if oldest := now.Add(-p.debt); p.slot.Before(oldest) {
		p.slot = oldest
	}
}

// until waits for t, or until ctx ends.
func (p *pacer) until(ctx context.Context, t time.Time) error {
	d := time.Until(t)
	if d <= 0 {
		return ctx.Err()
	}
	if p.timer == nil {
		p.timer = time.NewTimer(d)
	} else {
		p.timer.Reset(d)
	}
	select {
	case <-ctx.Done():
		p.timer.Stop()
		return ctx.Err()
	case <-p.timer.C:
		return nil
	}
}
