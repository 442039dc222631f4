package arpwatch

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

func TestPacer(t *testing.T) {
	for _, rate := range []int{1, 7, 50, 500, 505, MaxRate} {
		synctest.Test(t, func(t *testing.T) {
			const frames = 2000
			p := newPacer(rate, time.Now())
			rng := rand.New(rand.NewPCG(uint64(rate), 0))
			start := time.Now()
			var times []time.Time
			held := time.Duration(0)
			for i := range frames {
				if err := p.wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				// A busy machine: mostly a little late, once stopped for a second.
				late := time.Duration(rng.IntN(50)) * time.Microsecond
				if i == frames/2 {
					late = time.Second
				}
				held += late
				time.Sleep(late)
				times = append(times, time.Now())
				p.sent(time.Now())
			}
			checkPace(t, times, rate)
			for i := 1; i < frames; i++ {
				if d := times[i].Sub(times[i-1]); d < time.Second/time.Duration(rate)/2 {
					t.Fatalf("rate %d: frames %d and %d are only %v apart", rate, i-1, i, d)
				}
			}
			ideal := time.Second * (frames - 1) / time.Duration(rate)
			if took := time.Since(start); took < ideal-200*time.Millisecond || took > ideal+held {
				t.Errorf("rate %d: %d frames took %v, want %v", rate, frames, took, ideal)
			}
		})
	}
}
