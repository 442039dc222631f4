package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"porchlight/lab"
)

func TestTrafficVerdicts(t *testing.T) {
	heard := func(cpu time.Duration, heard, dropped uint64) *listener {
		return &listener{cpu: cpu, elapsed: 10 * time.Second, sender: time.Second, sent: 1000, heard: heard, dropped: dropped}
	}
	for name, c := range map[string]struct {
		always             *listener
		processor, counted verdict
	}{
		"all counted":                   {heard(time.Second, 1000, 0), kept, kept},
		"some said to be dropped":       {heard(time.Second, 900, 100), kept, kept},
		"and others dropped with them":  {heard(time.Second, 900, 103), kept, kept},
		"some lost without a word":      {heard(time.Second, 900, 99), kept, missed},
		"more counted than was sent":    {heard(time.Second, 1001, 0), kept, missed},
		"a third of a core for all":     {heard(3400*time.Millisecond, 1000, 0), missed, kept},
		"a little under what it may be": {heard(2900*time.Millisecond, 1000, 0), kept, kept},
	} {
		rows := verdicts(heard(0, 0, 0), heard(time.Second, 1000, 0), heard(0, 0, 0), c.always)
		if rows[0].verdict != c.processor || rows[1].verdict != c.counted {
			t.Errorf("%s: %q, %q; want %q, %q", name, rows[0].verdict, rows[1].verdict, c.processor, c.counted)
		}
	}
}

// The frames are what they are meant to be, so that no bridge drops any.
func TestFlows(t *testing.T) {
	from, to := lab.MAC{2, 0, 0, 0, 0, 1}, lab.MAC{2, 0, 0, 0, 0, 2}
	frames, err := flows(from, to, netip.MustParseAddr("10.77.0.8"))
	if err != nil || len(frames) != streamFlows {
		t.Fatalf("%d frames, %v", len(frames), err)
	}
	kinds := map[gopacket.LayerType]int{}
	for i, f := range frames {
		if want := []int{60, 60, 590, 1514}[i%4]; len(f) != want {
			t.Errorf("frame %d is %d bytes long, want %d", i, len(f), want)
		}
		p := gopacket.NewPacket(f, layers.LayerTypeEthernet, gopacket.Default)
		if p.ErrorLayer() != nil || p.TransportLayer() == nil {
			t.Fatalf("frame %d: %v", i, p)
		}
		if err, sum := p.NetworkLayer().(*layers.IPv4).VerifyChecksum(); err != nil || !sum.Valid {
			t.Fatalf("frame %d: checksum %+v, %v", i, sum, err)
		}
		kinds[p.TransportLayer().LayerType()]++
	}
	if kinds[layers.LayerTypeTCP] != streamFlows/2 || kinds[layers.LayerTypeUDP] != streamFlows/2 {
		t.Errorf("frames are of %v", kinds)
	}
}
