package history

import (
	"net/netip"
	"testing"
	"time"

	"porchlight/presence"

	"github.com/google/go-cmp/cmp"
)

func TestLeases(t *testing.T) {
	running(t, nil, func(t *testing.T, s *Store) {
		id := arrivals(1)[0].ID
		first, second := netip.MustParseAddr("192.168.1.20"), netip.MustParseAddr("192.168.1.21")
		start := time.Now().UTC()
		lease := func(a netip.Addr, said presence.Kind, host string) {
			s.SaveLease(id, presence.Sighting{At: time.Now(), Addr: a, Kind: said, DHCP: &presence.DHCP{HostName: host}})
		}
		lease(first, presence.DHCPRequest, "phone")
		time.Sleep(30 * time.Minute)
		before := value[int](t, s, "SELECT count(*) FROM leases")
		lease(first, presence.DHCPAck, "") // too soon to be worth a write
		time.Sleep(time.Hour)
		lease(first, presence.DHCPAck, "")
		time.Sleep(time.Minute)
		lease(second, presence.DHCPAck, "phone")
		time.Sleep(time.Minute)
		got, err := s.Queries().Leases(always, id)
		want := []Lease{
			{id, second, start.Add(91 * time.Minute), start.Add(91 * time.Minute), "DHCP ACK", "phone"},
			{id, first, start, start.Add(90 * time.Minute), "DHCP ACK", "phone"},
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); err != nil || diff != "" || before != 1 {
			t.Errorf("%d at first, %v (-want +got):\n%s", before, err, diff)
		}
	})
}

// A device that asks for every address there is fills nothing.
func TestLeasesAreBounded(t *testing.T) {
	running(t, nil, func(t *testing.T, s *Store) {
		for second := range 5 {
			for i := range 4 * maxNewLeases {
				s.SaveLease("02005e100001", presence.Sighting{
					Addr: netip.AddrFrom4([4]byte{10, byte(second), byte(i >> 8), byte(i)}),
					At:   time.Now().Add(time.Duration(i) * time.Millisecond), Kind: presence.DHCPRequest,
				})
			}
			time.Sleep(2 * time.Second)
		}
		if n := value[int](t, s, "SELECT count(*) FROM leases"); n != maxLeases {
			t.Errorf("%d leases, want %d", n, maxLeases)
		}
	})
}
