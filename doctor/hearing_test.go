package doctor

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"porchlight/presence"
)

// neighbourhood answers for one address, as a LAN would.
type neighbourhood struct {
	answers netip.Addr
	heard   chan presence.Sighting
	asked   int
	fails   error
}

func (n *neighbourhood) Run(ctx context.Context) error {
	if n.fails != nil {
		return n.fails
	}
	<-ctx.Done()
	return nil
}

func (n *neighbourhood) Probe(p presence.Probe) error {
	n.asked++
	if p.Addr == n.answers {
		n.heard <- presence.Sighting{MAC: mac("00:11:22:33:44:55"), Addr: p.Addr, Kind: presence.ARPReply}
	}
	return nil
}

func TestHearing(t *testing.T) {
	gateway, other := netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("192.168.1.9")
	for _, test := range []struct {
		name  string
		lan   neighbourhood
		addrs []netip.Addr
		level Level
		text  string
		took  time.Duration
		asked int
	}{
		{"the gateway answers", neighbourhood{answers: gateway}, []netip.Addr{gateway}, OK, "eth0 hears: ARP reply from 00:11:22:33:44:55.", 400 * time.Millisecond, 1},
		{"nobody answers", neighbourhood{answers: other}, []netip.Addr{gateway}, Warn, "Nobody answers on eth0; asked in 3 s: 192.168.1.1.", 3 * time.Second, 7},
		{"nobody to ask", neighbourhood{}, nil, Warn, "no neighbour is known", 3 * time.Second, 0},
		{"the socket fails", neighbourhood{fails: errors.New("no luck")}, []netip.Addr{gateway}, Fail, "no luck", 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.lan.heard = make(chan presence.Sighting, 1)
				start := time.Now()
				f := hearing(t.Context(), &test.lan, "eth0", test.addrs, test.lan.heard)
				if f.Level != test.level || !strings.Contains(f.Text, test.text) {
					t.Errorf("got %+v, want %s with %q", f, test.level, test.text)
				}
				if took := time.Since(start); took != test.took || test.lan.asked != test.asked {
					t.Errorf("took %v and asked %d times, want %v and %d", took, test.lan.asked, test.took, test.asked)
				}
			})
		})
	}
}

// inNetwork runs f in a network namespace of its own: eth0, 172.17.0.2/16, one
// end of a veth pair whose other end is a gateway elsewhere, 172.17.0.1.
func inNetwork(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make network namespaces")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		must := func(err error) {
			if err != nil {
				t.Error(err)
				runtime.Goexit()
			}
		}
		inside, err := netns.New()
		must(err)
		defer inside.Close()
		outside, err := netns.New()
		must(err)
		defer outside.Close()
		must(netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "gw0"}, PeerName: "eth0"}))
		up := func(name, address string) netlink.Link {
			l, err := netlink.LinkByName(name)
			must(err)
			a, err := netlink.ParseAddr(address)
			must(err)
			must(netlink.AddrAdd(l, a))
			must(netlink.LinkSetUp(l))
			return l
		}
		eth0, err := netlink.LinkByName("eth0")
		must(err)
		must(netlink.LinkSetNsFd(eth0, int(inside)))
		up("gw0", "172.17.0.1/16")
		must(netns.Set(inside))
		lo, err := netlink.LinkByName("lo")
		must(err)
		must(netlink.LinkSetUp(lo))
		l := up("eth0", "172.17.0.2/16")
		must(netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: netip.MustParseAddr("172.17.0.1").AsSlice()}))
		f()
	}()
	<-done
}

func TestNetworkNamespace(t *testing.T) {
	inNetwork(t, func() {
		n, err := readNetwork()
		if err != nil {
			t.Error(err)
			return
		}
		if got := n.chosen(nil); len(got) != 1 || got[0] != "eth0" {
			t.Errorf("the default route's interface: %v", got)
		}
		if l, _ := n.link("eth0"); l.kind != "veth" || !l.far || !l.up || len(l.prefixes) != 1 || l.prefixes[0].String() != "172.17.0.2/16" {
			t.Errorf("eth0 is read as %+v", l)
		}
		if bridged, _ := bridgedNetwork(place{runtime: "Docker"}, n); !bridged {
			t.Error("in a container, this would be Docker's network, and is not taken for it")
		}
		if why, bridged := Container(); bridged {
			t.Errorf("a namespace that is no container is taken for one: %s", why)
		}
		f := checkHearing(t.Context(), "eth0", n.askable("eth0"))
		if f.Level != OK || !strings.HasPrefix(f.Text, "eth0 hears: ARP") {
			t.Errorf("hearing: %+v", f)
		}
	})
}
