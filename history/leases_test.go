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
		lease := func(a netip.Addr, said, host string) Lease {
			return Lease{Device: id, Addr: a, Last: time.Now().UTC(), Said: said, HostName: host}
		}
		s.SaveLease(lease(first, "DHCP REQUEST", "phone"))
		time.Sleep(30 * time.Minute)
		before := value[int](t, s, "SELECT count(*) FROM leases")
		s.SaveLease(lease(first, "DHCP ACK", "")) // too soon to be worth a write
		time.Sleep(time.Hour)
		s.SaveLease(lease(first, "DHCP ACK", ""))
		time.Sleep(time.Minute)
		s.SaveLease(lease(second, "DHCP ACK", "phone"))
		s.SaveLease(Lease{Device: id})
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
				s.SaveLease(Lease{
					Device: presence.ID("02005e100001"), Addr: netip.AddrFrom4([4]byte{10, byte(second), byte(i >> 8), byte(i)}),
					Last: time.Now().Add(time.Duration(i) * time.Millisecond), Said: "DHCP REQUEST",
				})
			}
			time.Sleep(2 * time.Second)
		}
		if n := value[int](t, s, "SELECT count(*) FROM leases"); n != maxLeases {
			t.Errorf("%d leases, want %d", n, maxLeases)
		}
	})
}
