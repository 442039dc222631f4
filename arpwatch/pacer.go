package arpwatch

import (
	"context"
	"time"
)

// pacer spaces frames evenly, and never lets more than its share of the rate
// go in any window of 100 ms: a burst overloads small devices, which then
// answer its first few frames only. A sender that was held up catches up at
// twice the pace at most, and what it lost beyond one window stays lost.
type pacer struct {
	interval time.Duration
	slot     time.Time   // when the next frame is due
	window   []time.Time // when the latest frames had gone, a ring as long as a window's share
	next     int         // in window
	last     time.Time
	timer    *time.Timer
}

const window = 100 * time.Millisecond

// newPacer makes a pacer for rate frames per second, at least 1.
func newPacer(rate int, now time.Time) *pacer {
	return &pacer{
		interval: time.Second / time.Duration(rate),
		slot:     now,
		window:   make([]time.Time, (rate+9)/10),
	}
}

// due is the earliest time for the next frame.
func (p *pacer) due() time.Time {
	t := p.slot
	if catchUp := p.last.Add(p.interval / 2); t.Before(catchUp) {
		t = catchUp
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
	if debt := now.Add(-window); p.slot.Before(debt) {
		p.slot = debt
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
