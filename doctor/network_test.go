package doctor

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
)

func prefix(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }

func mac(s string) presence.MAC {
	m, err := presence.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

// card is an Ethernet card that works.
func card(name, address string, change ...func(*link)) link {
	l := link{name: name, kind: "device", encap: "ether", up: true, carrier: true, mac: mac("00:11:22:33:44:55"), answersForAll: true}
	if address != "" {
		l.prefixes = prefix(address)
	}
	for _, f := range change {
		f(&l)
	}
	return l
}

var loopback = link{name: "lo", kind: "device", encap: "loopback", up: true, carrier: true, prefixes: prefix("127.0.0.1/8")}

func via(link, gateway string) []route {
	return []route{{link: link, gateway: netip.MustParseAddr(gateway)}}
}

func TestInterfaces(t *testing.T) {
	tunnel := link{name: "wg0", kind: "wireguard", encap: "none", up: true, carrier: true, noARP: true, prefixes: prefix("10.8.0.2/24")}
	eth0 := card("eth0", "192.168.1.5/24")
	home := via("eth0", "192.168.1.1")
	for _, test := range []struct {
		name  string
		net   network
		set   []string
		swept bool
		want  []string // level and how the text begins
	}{
		{
			"as it should be",
			network{links: []link{loopback, eth0}, routes: home},
			nil, false,
			[]string{"ok eth0 is up, with 192.168.1.5/24."},
		},
		{
			"no default route",
			network{links: []link{loopback, eth0}},
			nil, false,
			[]string{"fail No interface is set, and there is no default route"},
		},
		{
			"the default route is a tunnel",
			network{links: []link{eth0, tunnel}, routes: via("wg0", "10.8.0.1")},
			nil, false,
			[]string{"fail wg0 is not an Ethernet interface (wireguard)"},
		},
		{
			"not there",
			network{links: []link{loopback, eth0}, routes: home},
			[]string{"enp3s0"},
			false,
			[]string{"fail There is no interface enp3s0."},
		},
		{
			"loopback",
			network{links: []link{loopback, eth0}},
			[]string{"lo"},
			false,
			[]string{"fail lo is the loopback interface"},
		},
		{
			"a tap without ARP",
			network{links: []link{card("tap0", "10.0.0.2/24", func(l *link) { l.kind, l.noARP = "tun", true })}},
			[]string{"tap0"},
			false,
			[]string{"fail tap0 does not use ARP (tun)"},
		},
		{
			"down",
			network{links: []link{card("eth0", "", func(l *link) { l.up, l.carrier = false, false })}},
			[]string{"eth0"},
			false,
			[]string{"fail eth0 is down."},
		},
		{
			"no cable",
			network{links: []link{card("eth0", "", func(l *link) { l.carrier = false })}},
			[]string{"eth0"},
			false,
			[]string{"fail eth0 has no carrier"},
		},
		{
			"one of two",
			network{links: []link{eth0}, routes: home},
			[]string{"eth0", "eth1"},
			false,
			[]string{"ok eth0 is up", "fail There is no interface eth1."},
		},
		{
			"no address",
			network{links: []link{card("eth0", "")}},
			[]string{"eth0"},
			false,
			[]string{"warn eth0 has no IPv4 address: devices are asked from 0.0.0.0, which a few do not answer, and nothing is swept."},
		},
		{
			"no address, but networks",
			network{links: []link{card("eth0", "")}},
			[]string{"eth0"},
			true,
			[]string{"warn eth0 has no IPv4 address: devices are asked from 0.0.0.0, which a few do not answer."},
		},
		{
			"a port of a bridge",
			network{links: []link{card("eth0", "", func(l *link) { l.master = "vmbr0" })}},
			[]string{"eth0"},
			false,
			[]string{"warn eth0 is a port of vmbr0."},
		},
		{
			"huge",
			network{links: []link{card("eth0", "10.1.2.3/8")}},
			[]string{"eth0"},
			false,
			[]string{"warn eth0 has 10.1.2.3/8, a network of more than 65,536 addresses"},
		},
		{
			"huge, but told what to sweep",
			network{links: []link{card("eth0", "10.1.2.3/8")}},
			[]string{"eth0"},
			true,
			[]string{"ok eth0 is up"},
		},
		{
			"Wi-Fi",
			network{links: []link{card("wlan0", "192.168.1.6/24", func(l *link) { l.wireless = true })}},
			[]string{"wlan0"},
			false,
			[]string{"warn wlan0 is Wi-Fi"},
		},
		{
			"cable and Wi-Fi on one subnet",
			network{links: []link{eth0, card("wlan0", "192.168.1.6/24")}, routes: home},
			nil, false,
			[]string{"ok eth0 is up", "warn eth0 and wlan0 are both on 192.168.1.0/24"},
		},
		{
			"cable and Wi-Fi on one subnet, and each answers for itself only",
			network{links: []link{card("eth0", "192.168.1.5/24", strict), card("wlan0", "192.168.1.6/24", strict)}, routes: home},
			nil, false,
			[]string{"ok eth0 is up"},
		},
		{
			"two subnets",
			network{links: []link{eth0, card("eth1", "192.168.2.6/24")}, routes: home},
			[]string{"eth0", "eth1"},
			false,
			[]string{"ok eth0 is up", "ok eth1 is up"},
		},
		{
			"others that share",
			network{links: []link{eth0, card("a", "10.0.0.1/24"), card("b", "10.0.0.2/24")}, routes: home},
			nil, false,
			[]string{"ok eth0 is up"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := test.net.check(test.set, test.swept)
			if len(found) != len(test.want) {
				t.Fatalf("got %+v, want %q", found, test.want)
			}
			for i, f := range found {
				if got := string(f.Level) + " " + f.Text; !strings.HasPrefix(got, test.want[i]) {
					t.Errorf("got %q, want %q", got, test.want[i])
				}
				if (f.Remedy == "") != (f.Level == OK) || f.Check != "interface" {
					t.Errorf("check %q, level %s with remedy %q", f.Check, f.Level, f.Remedy)
				}
			}
		})
	}
}

func TestCandidates(t *testing.T) {
	n := network{links: []link{
		loopback, card("eth0", "", func(l *link) { l.master = "br0" }), card("br0", "192.168.1.2/24"),
		card("ifb0", "", func(l *link) { l.noARP = true }), card("wlan0", ""),
	}}
	if got := n.candidates(); got != "br0, wlan0" {
		t.Errorf("got %q", got)
	}
	if got := (network{}).candidates(); !strings.Contains(got, "none is here") {
		t.Errorf("without any: %q", got)
	}
}

func TestAskable(t *testing.T) {
	n := network{routes: via("eth0", "192.168.1.1")}
	for _, a := range []string{"192.168.1.1", "192.168.1.2", "192.168.1.3", "192.168.1.4", "192.168.1.5", "192.168.1.6", "192.168.1.7", "192.168.1.8", "192.168.1.9"} {
		n.neighbours = append(n.neighbours, neighbour{link: "eth0", addr: netip.MustParseAddr(a)}, neighbour{link: "eth1", addr: netip.MustParseAddr("10.0.0.1")})
	}
	got := n.askable("eth0")
	if len(got) != 8 || got[0].String() != "192.168.1.1" || got[7].String() != "192.168.1.8" {
		t.Errorf("eth0: %v", got)
	}
	if diff := cmp.Diff("[10.0.0.1]", fmtAddrs(n.askable("eth1"))); diff != "" {
		t.Error(diff)
	}
}

func fmtAddrs(a []netip.Addr) string { return "[" + joinAddrs(a) + "]" }

func TestIPv6(t *testing.T) {
	n := network{links: []link{
		card("eth0", "192.168.1.5/24"),
		card("eth1", "", func(l *link) { l.linkLocal = netip.MustParseAddr("fe80::1") }),
	}}
	if f := n.checkIPv6("eth0"); f.Level != Warn || !strings.Contains(f.Remedy, "eth0/disable_ipv6=0") {
		t.Errorf("without an address: %+v", f)
	}
	if f := n.checkIPv6("eth1"); f.Level != OK {
		t.Errorf("with an address: %+v", f)
	}
}

// strict answers ARP for its own address only.
func strict(l *link) { l.answersForAll = false }

func TestFlux(t *testing.T) {
	down := func(l *link) { l.carrier = false }
	for _, test := range []struct {
		name    string
		links   []link
		crossed [][2]string
		want    []string // how they begin
	}{
		{"two subnets", []link{card("eth0", "10.0.0.2/24"), card("eth1", "10.0.1.2/24")}, nil, nil},
		{
			"one subnet",
			[]link{card("eth0", "10.0.0.2/24"), card("eth1", "10.0.0.3/16")},
			nil,
			[]string{"eth0 and eth1 are both on 10.0.0.0/24: "},
		},
		{"one subnet, and well set", []link{card("eth0", "10.0.0.2/24", strict), card("eth1", "10.0.0.3/24", strict)}, nil, nil},
		{
			"one of them well set",
			[]link{card("eth0", "10.0.0.2/24", strict), card("eth1", "10.0.0.3/24")},
			nil,
			[]string{"eth0 and eth1 are both on 10.0.0.0/24: "},
		},
		{"one of them without a cable", []link{card("eth0", "10.0.0.2/24"), card("eth1", "10.0.0.3/24", down)}, nil, nil},
		{
			"one segment with two subnets",
			[]link{card("eth0", "10.0.0.2/24"), card("eth1", "10.0.1.2/24"), card("eth2", "10.0.2.2/24")},
			[][2]string{{"eth2", "eth0"}},
			[]string{"eth0 and eth2 hear each other"},
		},
		{"heard by one that is not there any more", []link{card("eth0", "10.0.0.2/24")}, [][2]string{{"eth0", "eth9"}}, nil},
		{"one that is not listened on", []link{card("eth0", "10.0.0.2/24"), card("wlan0", "10.0.0.3/24")}, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := network{links: test.links}.fluxAmong([]string{"eth0", "eth1", "eth2"}, test.crossed)
			if len(got) != len(test.want) {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			for i := range got {
				if !strings.HasPrefix(got[i], test.want[i]) || !strings.Contains(got[i], "arp_ignore=1") {
					t.Errorf("got %q, want %q", got[i], test.want[i])
				}
			}
		})
	}
}
