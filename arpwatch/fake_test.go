package arpwatch

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"

	"porchlight/capture"
	"porchlight/presence"
)

var self = presence.MAC{0xb8, 0x27, 0xeb, 0, 0, 1}

// fakeLAN is a wire with hosts on it, in the time of a synctest bubble.
type fakeLAN struct {
	t    *testing.T
	w    *Watcher
	link capture.Link

	// answer says how a host answers the nth question, counted from 1: after a
	// delay, or not at all.
	answer func(a netip.Addr, n int) (time.Duration, bool)

	mu    sync.Mutex
	err   error // of the next sends
	times []time.Time
	asked map[netip.Addr]int
	sent  []ethernet.Frame
}

func newFakeLAN(t *testing.T, prefixes ...string) *fakeLAN {
	l := &fakeLAN{t: t, link: capture.Link{Index: 2, MAC: self}, asked: map[netip.Addr]int{}}
	for _, p := range prefixes {
		l.link.Prefixes = append(l.link.Prefixes, netip.MustParsePrefix(p))
	}
	l.answer = func(netip.Addr, int) (time.Duration, bool) { return 0, false }
	l.w = newWatcher(Config{Interface: "eth0", Sight: func(presence.Sighting) {}})
	l.w.wire = l
	return l
}

func (l *fakeLAN) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (l *fakeLAN) Stats() capture.Stats          { return capture.Stats{} }
func (l *fakeLAN) Link() (capture.Link, bool)    { return l.link, l.link.Index != 0 }

func (l *fakeLAN) Send(raw []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	var f ethernet.Frame
	var p arp.Packet
	if err := f.UnmarshalBinary(raw); err != nil {
		l.t.Errorf("frame sent: %v", err)
	}
	if err := p.UnmarshalBinary(f.Payload); err != nil {
		l.t.Errorf("packet sent: %v", err)
	}
	if len(raw) < 60 {
		l.t.Errorf("a frame of %d bytes was sent, shorter than Ethernet's least", len(raw))
	}
	l.times = append(l.times, time.Now())
	l.sent = append(l.sent, f)
	l.asked[p.TargetIP]++
	if d, ok := l.answer(p.TargetIP, l.asked[p.TargetIP]); ok {
		time.AfterFunc(d, func() { l.hear(p.TargetIP, presence.ARPReply) })
	}
	return nil
}

// macOf is the MAC of the host at an address.
func macOf(a netip.Addr) presence.MAC {
	b := a.As4()
	return presence.MAC{0x02, 0x5e, b[0], b[1], b[2], b[3]}
}

// hear lets the host at an address send a frame.
func (l *fakeLAN) hear(a netip.Addr, kind presence.Kind) {
	l.hearOn("eth0", a, kind)
}

func (l *fakeLAN) hearOn(ifname string, a netip.Addr, kind presence.Kind) {
	mac := macOf(a)
	op, dst, sender, target := arp.OperationRequest, presence.MAC(ethernet.Broadcast), a, netip.MustParseAddr("192.0.2.254")
	switch kind {
	case presence.ARPReply:
		op, dst = arp.OperationReply, self
	case presence.ARPProbe:
		sender, target = netip.IPv4Unspecified(), a
	case presence.ARPAnnouncement:
		target = a
	}
	p, err := arp.NewPacket(op, mac[:], sender, dst[:], target)
	if err != nil {
		l.t.Error(err)
		return
	}
	payload, _ := p.MarshalBinary()
	l.w.hear(capture.Frame{
		At: time.Now(), Interface: ifname, Dst: dst, Src: mac,
		EtherType: capture.EtherTypeARP, Payload: payload,
	})
}

// hostsFrom makes a set of n addresses in a row.
func hostsFrom(first string, n int) map[netip.Addr]bool {
	set := map[netip.Addr]bool{}
	for a := netip.MustParseAddr(first); len(set) < n; a = a.Next() {
		set[a] = true
	}
	return set
}

// checkPace fails when a window of 100 ms has more frames than its share.
func checkPace(t *testing.T, times []time.Time, rate int) {
	t.Helper()
	share := (rate + 9) / 10
	for i := share; i < len(times); i++ {
		if d := times[i].Sub(times[i-share]); d < 100*time.Millisecond {
			t.Fatalf("frames %d to %d, %d of them, within %v: more than a rate of %d/s allows", i-share, i, share+1, d, rate)
		}
	}
}
