package traffic

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"porchlight/lab"
	"porchlight/lab/labtest"
)

// mixed are frames of many flows, of all sizes, from one station to another.
func mixed(from, to lab.MAC) (frames [][]byte, bytes int) {
	for i := range 256 {
		size := []int{60, 60, 590, 1514}[i%4]
		src := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
		f := datagram(src.String(), "192.0.2.1", uint16(2000+i), size-42)
		if i%2 == 0 {
			f = segment(src.String(), "192.0.2.1", uint16(2000+i), size-54)
		}
		copy(f, to[:])
		copy(f[6:], from[:])
		frames = append(frames, f)
		bytes += size
	}
	return frames, bytes
}

// Under load each packet is counted, or told as dropped.
func TestRecorderLoad(t *testing.T) {
	const rate, period = 20_000, time.Second
	l := labtest.StartWith(t, lab.Options{NoGateway: true})
	sender, host := l.Observer("wan0"), l.Observer("lan0")
	rounds := make(chan Round, 1)
	r := NewRecorder(Config{Round: time.Hour, Save: func(_ context.Context, r Round) error { rounds <- r; return nil }})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- host.Do(func() error { return r.Run(ctx) }) }()
	(&recording{t: t, Recorder: r}).ready()

	frames, bytes := mixed(sender.MAC(), host.MAC())
	streaming, cancel := context.WithTimeout(ctx, period)
	defer cancel()
	before := labtest.CPU(t)
	report, err := sender.Stream(streaming, rate, frames)
	l.Must(err)
	used := labtest.CPU(t) - before - report.CPU
	stop()
	l.Must(<-ended)
	round := <-rounds
	var got Count
	for k, c := range round.Counts {
		if k.Interface != "lan0" || k.Direction != In {
			t.Errorf("counted %v of %+v", c, k)
		}
		got.Add(c)
	}
	t.Logf("%.0f packets a second: counted %d, dropped %d, %.1f %% of a core", report.Rate(), got.Packets, round.Dropped, 100*used.Seconds()/report.Elapsed.Seconds())
	t.Logf("the sender took %.1f %% of a core", 100*report.CPU.Seconds()/report.Elapsed.Seconds())
	if got.Packets+round.Dropped != uint64(report.Sent) {
		t.Errorf("counted %d and dropped %d of %d packets", got.Packets, round.Dropped, report.Sent)
	}
	if want := uint64(report.Sent) * uint64(bytes) / uint64(len(frames)); round.Dropped == 0 && (got.Bytes < want-1e6 || got.Bytes > want+1e6) {
		t.Errorf("counted %d bytes, want about %d", got.Bytes, want)
	}
	if report.Sent < rate/2 {
		t.Errorf("sent only %d packets", report.Sent)
	}
}
