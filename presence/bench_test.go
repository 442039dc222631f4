package presence

import (
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkRefused is the cost of a frame with a made-up MAC in a flood.
func BenchmarkRefused(b *testing.B) {
	e := New(Config{})
	for i := range 10000 {
		e.Sight(Sighting{At: t0, Interface: "eth0", MAC: madeUp(i), Kind: ARPRequest})
	}
	b.ReportAllocs()
	for i := range b.N {
		e.Sight(Sighting{At: t0.Add(time.Duration(i) * 20 * time.Microsecond), Interface: "eth0", MAC: madeUp(i), Kind: ARPRequest})
	}
}

// BenchmarkSight is the cost of a frame of a device that is home.
func BenchmarkSight(b *testing.B) {
	var known []Record
	for i := range 250 {
		known = append(known, sleeper(i))
	}
	e := New(Config{})
	e.Restore(t0, known)
	b.ReportAllocs()
	for i := range b.N {
		s := sighting(i%250, ARPRequest)
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

// TestRefusedIsCheap keeps a flood from costing more than its frames' arrival.
func TestRefusedIsCheap(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector is what would be measured")
	}
	r := testing.Benchmark(BenchmarkRefused)
	if ns := r.NsPerOp(); ns > 1000 {
		t.Errorf("%d ns per refused sighting, want at most 1000", ns)
	}
}
