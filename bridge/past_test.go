package bridge

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"porchlight/presence"
)

// archive is a Past beside a house, in whose protocol it writes.
type archive struct{ *house }

func (a archive) SaveLease(id presence.ID, s presence.Sighting) {
	a.note("lease %s %s by %s", id, s.Addr, s.Kind)
}
func (a archive) SaveOutage(o presence.OutageOver) { a.note("outage %s", o.Interface) }

// A lease is kept when the state that people wait for is out.
func TestLeasesAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &house{saved: map[presence.ID]presence.Record{}, sweeps: make(chan error)}
		b := New(Config{
			Engine: presence.New(presence.Config{}), Log: h, Publisher: h, LAN: h, Past: archive{h}, SweepInterval: 10 * time.Minute,
		})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx, nil) }()
		synctest.Wait()
		h.take()
		m, addr := presence.MAC{2, 0, 0x5e, 0x10, 0, 1}, netip.MustParseAddr("192.168.7.20")
		for _, kind := range []presence.Kind{presence.DHCPRequest, presence.DHCPAck, presence.ARPAnnouncement} {
			b.Sight(presence.Sighting{At: time.Now(), Interface: "eth0", MAC: m, Addr: addr, Kind: kind})
		}
		synctest.Wait()
		got := h.take()
		published := slices.Index(got, "publish 02005e100001 home")
		asked := slices.Index(got, "lease 02005e100001 192.168.7.20 by DHCP REQUEST")
		given := slices.Index(got, "lease 02005e100001 192.168.7.20 by DHCP ACK")
		if published < 0 || asked < published || given < asked || slices.ContainsFunc(got[given+1:], func(s string) bool { return s[:5] == "lease" }) {
			t.Errorf("%q", got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
