package scenario

import (
	"net/netip"
	"testing"

	"porchlight/lab"
	"porchlight/presence"
)

// A machine that was never there before answers for all 254 addresses of the
// network, those of the others and Porchlight's own among them. It is new
// itself, and what it does is told once; nobody else comes by it, and who leaves
// leaves.
func TestProxyForAll(t *testing.T) {
	t.Parallel()
	h := houseOn(t, lab.Options{Prefix: netip.MustParsePrefix("10.79.0.0/24")})
	h.withBroker("")
	phone, printer := h.lab.Client("phone"), h.lab.Client("printer")
	h.join(phone)
	h.join(printer)
	h.begin()
	h.finds(macOf(phone).ID(), macOf(printer).ID(), macOf(h.lab.Gateway()).ID())

	proxy := lab.MAC{0x00, 0x1b, 0x21, 0, 0, 0x99}
	pop := h.lab.Population(0, lab.Behaviour{})
	for a := netip.MustParseAddr("10.79.0.1"); a.As4()[3] < 255; a = a.Next() {
		_, err := pop.Add(lab.Identity{MAC: proxy, Addr: a}, lab.Behaviour{})
		h.lab.Must(err)
	}
	expect := func(mac presence.MAC, types ...presence.EventType) {
		t.Helper()
		for _, want := range types {
			if e, ok := h.sub.next(patience); !ok || e.Type != want || e.MAC != mac {
				t.Fatalf("told of %s of %s (%s), want %s of %s", e.Type, e.MAC, e.Why, want, mac)
			}
		}
	}
	h.sub.publish(topics.Scan(), "", false)
	expect(presence.MAC(proxy), presence.NewDevice, presence.Arrived, presence.ProxyFound)
	h.lab.Must(phone.Leave())
	expect(macOf(phone), presence.Left)
	h.sub.publish(topics.Scan(), "", false)
	if e, ok := h.sub.next(2 * realTimeout); ok {
		t.Errorf("told of %s of %s: %s", e.Type, e.MAC, e.Why)
	}
	for mac, want := range map[presence.MAC]presence.State{
		macOf(phone): presence.NotHome, macOf(printer): presence.Home, presence.MAC(proxy): presence.Home,
		macOf(h.lab.Gateway()): presence.Home,
	} {
		if got := presence.State(h.sub.get(topics.State(mac.ID()))); got != want {
			t.Errorf("%s is %q, want %q", mac, got, want)
		}
	}
}
