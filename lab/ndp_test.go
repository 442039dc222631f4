package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"porchlight/lab"
	"porchlight/lab/labtest"
)

// The kernel, an implementation that others wrote, finds the devices of a
// population by IPv6, and asks again by unicast.
func TestPopulationIPv6(t *testing.T) {
	l := labtest.StartWith(t, lab.Options{NoGateway: true, IPv6: true})
	ctx := inTime(t)
	pop := l.Population(0, lab.Behaviour{})
	devices, err := pop.AddMany(2, netip.MustParseAddr("fe80::1:1"), lab.Behaviour{})
	l.Must(err)
	devices[1].Sleep()
	obs := l.Observer("lan0")
	awaitLinkLocal(t, ctx, obs.Host)
	pop.Record(true)
	for _, d := range devices {
		conn, err := obs.Dial(ctx, "udp6", fmt.Sprintf("[%s%%lan0]:9", d.Addr))
		l.Must(err)
		_, _ = conn.Write([]byte("hello")) // discarded; the kernel asks for the MAC
		l.Must(conn.Close())
	}
	awake, asleep := devices[0], devices[1]
	says(t, ctx, obs.Host, "fe80::1:1 dev lan0 lladdr "+net.HardwareAddr(awake.MAC[:]).String()+" REACHABLE", "-6", "neigh")
	says(t, ctx, obs.Host, "fe80::1:2 dev lan0 FAILED", "-6", "neigh")
	if awake.Requests() < 1 || asleep.Requests() != 3 { // it asks again after a second
		t.Errorf("heard %d and %d questions, want 1 or more, and 3", awake.Requests(), asleep.Requests())
	}
	for _, r := range pop.Requests() {
		if r.Device == awake && (r.From != obs.MAC() || r.To != lab.MAC{0x33, 0x33, 0xff, 0, 0, 1} && r.To != lab.MAC{0x33, 0x33, 0xff, 1, 0, 1}) {
			t.Errorf("%+v", r)
		}
	}
}

// A kernel believes what the population says: an address that somebody has is
// not used.
func TestDuplicateAddress(t *testing.T) {
	l := labtest.StartWith(t, lab.Options{NoGateway: true, IPv6: true})
	ctx := inTime(t)
	pop := l.Population(0, lab.Behaviour{})
	taken := netip.MustParseAddr("2001:db8::7")
	_, err := pop.Add(lab.Identity{Addr: taken}, lab.Behaviour{})
	l.Must(err)
	obs := l.Observer("lan0")
	out, err := obs.Command(ctx, "ip", "addr", "add", taken.String()+"/64", "dev", "lan0").CombinedOutput()
	if err != nil {
		t.Fatalf("ip addr: %v: %s", err, out)
	}
	says(t, ctx, obs.Host, "dadfailed", "-6", "addr", "show", "dev", "lan0")
}

func TestIPv6Only(t *testing.T) {
	l := labtest.StartWith(t, lab.Options{NoGateway: true, IPv6: true})
	ctx := inTime(t)
	c := l.Client("sensor", lab.IPv6Only)
	var seen []netip.Addr
	for range 2 {
		l.Must(c.Join(ctx))
		a, err := c.LinkLocal()
		l.Must(err)
		seen = append(seen, a)
		l.Must(c.Leave())
		if a, err := c.LinkLocal(); err != nil || a.IsValid() {
			t.Errorf("still has %v, %v", a, err)
		}
	}
	if !seen[0].IsLinkLocalUnicast() || seen[0] != seen[1] || c.Addr().IsValid() {
		t.Errorf("addresses %v and %v", seen, c.Addr())
	}
}

func awaitLinkLocal(t *testing.T, ctx context.Context, h *lab.Host) {
	t.Helper()
	eventually(t, ctx, func() error {
		a, err := h.LinkLocal()
		if err == nil && !a.IsValid() {
			err = errors.New("no link-local address")
		}
		return err
	})
}

// says waits until the ip command prints a text.
func says(t *testing.T, ctx context.Context, h *lab.Host, text string, args ...string) {
	t.Helper()
	eventually(t, ctx, func() error {
		out, err := h.Command(ctx, "ip", args...).CombinedOutput()
		if err == nil && !strings.Contains(string(out), text) {
			err = fmt.Errorf("ip %v does not say %q: %s", args, text, out)
		}
		return err
	})
}
