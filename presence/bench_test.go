package presence

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// BenchmarkRefused is the cost of a frame with a made-up MAC in a flood.
func BenchmarkRefused(b *testing.B) {
	sight := flood()
	b.ReportAllocs()
	for i := range b.N {
		sight(i)
	}
}

// flood returns what hands over the i-th frame of one.
func flood() (sight func(i int)) {
	e := New(Config{})
	for i := range 10000 {
		e.Sight(Sighting{At: t0, Interface: "eth0", MAC: madeUp(i), Kind: ARPRequest})
	}
	return func(i int) {
		e.Sight(Sighting{At: t0.Add(time.Duration(i) * 20 * time.Microsecond), Interface: "eth0", MAC: madeUp(i), Kind: ARPRequest})
	}
}

// BenchmarkSight is the cost of a frame of a device that is home.
func BenchmarkSight(b *testing.B) {
	for _, n := range []int{250, 10000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			sight := household(n)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				sight(i)
			}
		})
	}
}

// household returns what hands over the i-th frame of a home with n devices.
func household(n int) (sight func(i int)) {
	known := make([]Record, n)
	for i := range known {
		known[i] = sleeper(i)
	}
	e := New(Config{})
	e.Restore(t0, known)
	return func(i int) {
		s := sighting(i%n, ARPRequest)
		s.At = t0.Add(time.Duration(i) * 100 * time.Millisecond)
		e.Sight(s)
	}
}

// BenchmarkHour is an hour of a site with 10,000 devices: most always answer,
// some sleep, and some leave and come.
func BenchmarkHour(b *testing.B) {
	const n = 10000
	var known []Record
	for i := range n {
		switch {
		case i%4 == 0:
			known = append(known, sleeper(i))
		case i%4 == 1:
			known = append(known, responsive(i))
		default:
			known = append(known, anchor(i))
		}
	}
	r := newRig(b, Config{MaxTracked: 10000}, known...)
	chance := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		r.answers[mac(i)] = i%4 > 0
	}
	b.ResetTimer()
	for range b.N {
		for range 3600 {
			for range 20 {
				i := chance.IntN(n)
				switch {
				case i%4 == 0:
					r.hear(sighting(i, ARPRequest))
				case i%4 == 1:
					r.answers[mac(i)] = !r.answers[mac(i)]
				}
			}
			r.wait(time.Second)
			r.events, r.probes, r.changed = r.events[:0], r.probes[:0], r.changed[:0]
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/3600*100, "%core")
}

// TestCostOfAFrame keeps a flood from costing more than frames of devices that are
// known, and those from costing more where there are many devices. What is
// compared is measured in turns, and the best of each counts: the machine may be
// busy. A turn is short enough to be played without interruption.
func TestCostOfAFrame(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector is what would be measured")
	}
	const frames, turns = 1000, 100
	refused, few, many := flood(), household(250), household(10000)
	best := [3]time.Duration{never, never, never}
	next := 0
	for range turns {
		for i, sight := range []func(int){refused, few, many} {
			begin := time.Now()
			for n := range frames {
				sight(next + n)
			}
			best[i] = min(best[i], time.Since(begin))
		}
		next += frames
	}
	if best[0] > 2*best[1] {
		t.Errorf("%d refused frames took %s, as many of devices that are known %s", frames, best[0], best[1])
	}
	if best[2] > 10*best[1] {
		t.Errorf("%d frames took %s with 10,000 devices, and %s with 250", frames, best[2], best[1])
	}
	for name, sight := range map[string]func(int){"refused": refused, "with 250 devices": few, "with 10,000": many} {
		if n := testing.AllocsPerRun(10000, func() { next++; sight(next) }); n > 0 {
			t.Errorf("a frame %s allocates %.0f times", name, n)
		}
	}
}
