package arpwatch

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// TestPacer runs on a busy machine: a timer wakes up to a millisecond late, and
// once everything stops for a second.
func TestPacer(t *testing.T) {
	for _, rate := range []int{1, 7, 50, 500, 505, 2000, MaxRate} {
		synctest.Test(t, func(t *testing.T) {
			frames := max(2*rate, 200)
			p := newPacer(rate, time.Now())
			rng := rand.New(rand.NewPCG(uint64(rate), 0))
			start := time.Now()
			var times []time.Time
			for i := range frames {
				before := time.Now()
				if err := p.wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				if time.Now().After(before) { // it slept
					time.Sleep(time.Duration(rng.Int64N(int64(timerStep))))
				}
				if i == frames/2 {
					time.Sleep(time.Second)
				}
				times = append(times, time.Now())
				p.sent(time.Now())
			}
			interval := time.Second / time.Duration(rate)
			checkPace(t, times, rate)
			checkBursts(t, times, interval)
			ideal := interval * time.Duration(frames-1)
			if took := time.Since(start); took < ideal-window || took > ideal*102/100+time.Second+timerStep {
				t.Errorf("rate %d: %d frames took %v, want %v and the second", rate, frames, took, ideal)
			}
		})
	}
}

// checkBursts fails when more frames go together than fall due while a timer
// sleeps, and when slow frames come closer than half their interval.
func checkBursts(t *testing.T, times []time.Time, interval time.Duration) {
	t.Helper()
	burst := 1
	if interval < 2*timerStep {
		burst = int(6*timerStep/interval) + 1
	}
	for i := burst; i < len(times); i++ {
		d := times[i].Sub(times[i-burst])
		if d == 0 || burst == 1 && d < interval/2 {
			t.Fatalf("interval %v: frames %d to %d are %v apart", interval, i-burst, i, d)
		}
	}
}
