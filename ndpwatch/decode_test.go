package ndpwatch

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"porchlight/presence"
)

// TestDecode is about frames that say something.
func TestDecode(t *testing.T) {
	var none netip.Addr
	m := func(k presence.Kind, a netip.Addr) presence.Sighting { return presence.Sighting{Kind: k, Addr: a} }
	unicast := func(s presence.Sighting) presence.Sighting { s.Unicast = true; return s }
	of := func(mac presence.MAC, s presence.Sighting) presence.Sighting { s.MAC = mac; return s }
	offers := func(s presence.Sighting) presence.Sighting { s.Peer = s.Addr; return s }
	for name, test := range map[string]struct {
		raw  []byte
		want presence.Sighting
	}{
		"DAD of the link-local address": {dad(t, local), m(presence.NDPDad, local)},
		"DAD of a temporary address":    {dad(t, global), m(presence.NDPDad, global)},
		"DAD with a nonce (RFC 7527)": {
			frame{src: nobody, dst: group(local)}.icmp(t, 135, 0, with(0, local), []byte{14, 1, 1, 2, 3, 4, 5, 6}),
			m(presence.NDPDad, local),
		},
		"router solicitation": {
			frame{src: local, dst: routers}.icmp(t, 133, 0, with(0), says(1, phone)),
			m(presence.NDPRouterSolicitation, local),
		},
		"router solicitation before there is an address": {
			frame{src: nobody, dst: routers}.icmp(t, 133, 0, with(0)),
			m(presence.NDPRouterSolicitation, none),
		},
		"router advertisement": {
			frame{from: router, src: routerLL, dst: allNodes}.icmp(t, 134, 0, make([]byte, 12), says(1, router), []byte{5, 1, 0, 0, 0, 0, 5, 0xdc}),
			of(router, m(presence.NDPRouterAdvertisement, routerLL)),
		},
		"router advertisement of a default router": {
			frame{from: router, src: routerLL, dst: allNodes}.icmp(t, 134, 0, []byte{64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0}, says(1, router)),
			offers(of(router, m(presence.NDPRouterAdvertisement, routerLL))),
		},
		"solicitation": {
			frame{src: global, dst: group(routerLL)}.icmp(t, 135, 0, with(0, routerLL), says(1, phone)),
			m(presence.NDPSolicitation, global),
		},
		"solicitation by unicast, the cache is being checked": {
			frame{src: local, dst: routerLL}.icmp(t, 135, 0, with(0, routerLL)),
			unicast(m(presence.NDPSolicitation, local)),
		},
		"advertisement": {advertisement(t), unicast(m(presence.NDPAdvertisement, local))},
		"advertisement that nobody asked for": {
			frame{src: local, dst: allNodes}.icmp(t, 136, 0, with(flagOverride, global), says(2, phone)),
			m(presence.NDPAdvertisement, global),
		},
		"advertisement without a MAC": {
			frame{src: local, dst: routerLL}.icmp(t, 136, 0, with(flagAnswers, local)),
			unicast(m(presence.NDPAdvertisement, local)),
		},
		"a proxy that says whose address it is": {
			frame{from: router, src: routerLL, dst: allNodes}.icmp(t, 136, 0, with(0, local), says(2, phone)),
			of(router, m(presence.NDPAdvertisement, none)),
		},
		"a repeater": {
			frame{from: router, src: local, dst: group(routerLL)}.icmp(t, 135, 0, with(0, routerLL), says(1, phone)),
			of(router, m(presence.NDPSolicitation, none)),
		},
		"listener report, MLDv2, before there is an address": {
			frame{src: nobody, dst: mldv2, hops: 1, alert: true}.icmp(t, 143, 0, []byte{0, 0, 0, 1, 4, 0, 0, 0}, group(local).AsSlice()),
			m(presence.MLDReport, none),
		},
		"listener report, MLDv1": {
			frame{src: local, dst: group(local), hops: 1, alert: true}.icmp(t, 131, 0, with(0, group(local))),
			m(presence.MLDReport, local),
		},
		"listener done": {
			frame{src: local, dst: routers, hops: 1, alert: true}.icmp(t, 132, 0, with(0, group(local))),
			m(presence.MLDReport, local),
		},
		"padded": {append(dad(t, local), make([]byte, 20)...), m(presence.NDPDad, local)},
		"in a VLAN": {tagged(dad(t, local), 10), presence.Sighting{
			Kind: presence.NDPDad, Addr: local, Interface: "eth0.10",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			want := test.want
			want.At = heardAt
			if want.MAC == (presence.MAC{}) {
				want.MAC = phone
			}
			if want.Interface == "" {
				want.Interface = "eth0"
			}
			got, ok, err := Decode(parse(t, test.raw))
			if !ok || err != nil {
				t.Fatalf("ok %t, error %v", ok, err)
			}
			if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestIgnored is about frames that are well, and say nothing.
func TestIgnored(t *testing.T) {
	tcp := frame{src: local, dst: routerLL}.raw(t, 6, make([]byte, 20))
	arp := append(append([]byte{}, dad(t, local)[:12]...), 0x08, 0x06)
	for name, raw := range map[string][]byte{
		"ARP":                append(arp, make([]byte, 46)...),
		"TCP":                tcp,
		"echo request":       frame{src: local, dst: routerLL}.icmp(t, 128, 0, with(0)),
		"listener query":     frame{src: routerLL, dst: allNodes, hops: 1, alert: true}.icmp(t, 130, 0, make([]byte, 24)),
		"redirect":           frame{src: routerLL, dst: local}.icmp(t, 137, 0, make([]byte, 36)),
		"mDNS":               frame{src: local, dst: netip.MustParseAddr("ff02::fb")}.udp(t, 5353, make([]byte, 12)),
		"DHCPv6 of a server": frame{from: router, src: routerLL, dst: local}.udp(t, 546, message6(7)),
		"DHCPv6 of a relay":  frame{src: global, dst: routerLL}.udp(t, 547, message6(12, make([]byte, 34))),
		"DHCPv6 of tomorrow": frame{src: local, dst: servers}.udp(t, 547, message6(200)),
		"a fragment":         frame{src: local, dst: routerLL}.raw(t, 44, concat([]byte{58, 0, 0, 1, 0, 0, 0, 1}, dad(t, local)[54:])),
	} {
		if s, ok, err := Decode(parse(t, raw)); ok || err != nil || s != (presence.Sighting{}) {
			t.Errorf("%s: %+v, ok %t, error %v", name, s, ok, err)
		}
	}
}

// hostile are frames that claim to say something, and cannot be believed.
func hostile(t testing.TB) map[string]struct {
	raw  []byte
	want error
} {
	changed := func(raw []byte, at int, to byte) []byte {
		raw = append([]byte{}, raw...)
		raw[at] = to
		return raw
	}
	const ipAt, icmpAt = 14, 54
	dhcp := func(options ...byte) []byte {
		return frame{src: local, dst: servers}.udp(t, 547, message6(1, options))
	}
	return map[string]struct {
		raw  []byte
		want error
	}{
		"cut in the IPv6 header":        {dad(t, local)[:50], errHeader},
		"another version":               {changed(dad(t, local), ipAt, 0x45), errHeader},
		"length past the end":           {changed(dad(t, local), ipAt+5, 200), errHeader},
		"from a group":                  {frame{src: allNodes, dst: routerLL}.icmp(t, 135, 0, with(0, routerLL)), errSource},
		"from loopback":                 {frame{src: netip.IPv6Loopback(), dst: routerLL}.icmp(t, 135, 0, with(0, routerLL)), errSource},
		"from a mapped IPv4 address":    {frame{src: netip.MustParseAddr("::ffff:192.0.2.1"), dst: routerLL}.icmp(t, 135, 0, with(0, routerLL)), errSource},
		"from a group MAC":              {frame{from: presence.MAC{0x33, 0x33, 0, 0, 0, 1}, src: local, dst: routerLL}.icmp(t, 135, 0, with(0, routerLL)), errStation},
		"options past the end":          {frame{src: local, dst: mldv2, hops: 1}.raw(t, 0, []byte{58, 9, 5, 2, 0, 0, 1, 0}), errHeader},
		"options cut short":             {frame{src: local, dst: mldv2, hops: 1}.raw(t, 0, []byte{58, 0}), errHeader},
		"nothing but a header":          {frame{src: local, dst: routerLL}.raw(t, 58, nil), errICMP},
		"wrong checksum":                {changed(dad(t, local), icmpAt+2, 1), errChecksum},
		"a changed target":              {changed(dad(t, local), icmpAt+23, 99), errChecksum},
		"routed":                        {frame{src: global, dst: global, hops: 254}.icmp(t, 136, 0, with(flagAnswers, global)), errHopLimit},
		"another code":                  {frame{src: local, dst: routerLL}.icmp(t, 135, 1, with(0, routerLL)), errCode},
		"solicitation cut short":        {frame{src: local, dst: routerLL}.icmp(t, 135, 0, with(0)), errICMP},
		"advertisement cut short":       {frame{src: local, dst: routerLL}.icmp(t, 136, 0, make([]byte, 19)), errICMP},
		"option of length 0":            {frame{src: local, dst: routerLL}.icmp(t, 135, 0, with(0, routerLL), make([]byte, 8)), errOption},
		"option past the end":           {frame{src: local, dst: routerLL}.icmp(t, 135, 0, with(0, routerLL), []byte{1, 2, 0, 0, 0, 0, 0, 0}), errOption},
		"option of one byte":            {frame{src: local, dst: routerLL}.icmp(t, 135, 0, with(0, routerLL), []byte{1}), errOption},
		"a MAC of 14 bytes":             {frame{src: local, dst: routerLL}.icmp(t, 135, 0, with(0, routerLL), append([]byte{1, 2}, make([]byte, 14)...)), errOption},
		"target is a group":             {frame{src: local, dst: allNodes}.icmp(t, 136, 0, with(0, allNodes)), errTarget},
		"asks for a group":              {frame{src: local, dst: allNodes}.icmp(t, 135, 0, with(0, allNodes)), errTarget},
		"answer to everyone":            {frame{src: local, dst: allNodes}.icmp(t, 136, 0, with(flagAnswers, local)), errFlags},
		"answer of nobody":              {frame{src: nobody, dst: allNodes}.icmp(t, 136, 0, with(0, local)), errSource},
		"DAD to one station":            {frame{src: nobody, dst: local}.icmp(t, 135, 0, with(0, local)), errDAD},
		"DAD to everyone":               {frame{src: nobody, dst: allNodes}.icmp(t, 135, 0, with(0, local)), errDAD},
		"DAD with a MAC":                {frame{src: nobody, dst: group(local)}.icmp(t, 135, 0, with(0, local), says(1, phone)), errDAD},
		"nobody's MAC asks for routers": {frame{src: nobody, dst: routers}.icmp(t, 133, 0, with(0), says(1, phone)), errOption},
		"router without an address":     {frame{src: global, dst: allNodes}.icmp(t, 134, 0, make([]byte, 12)), errRouter},
		"routed listener report":        {frame{src: local, dst: mldv2, hops: 64, alert: true}.icmp(t, 143, 0, with(0)), errHopLimit},
		"listener without an alert":     {frame{src: local, dst: mldv2, hops: 1}.icmp(t, 143, 0, with(0)), errListener},
		"listener from elsewhere":       {frame{src: global, dst: mldv2, hops: 1, alert: true}.icmp(t, 143, 0, with(0)), errListener},
		"listener to one station":       {frame{src: local, dst: routerLL, hops: 1, alert: true}.icmp(t, 143, 0, with(0)), errListener},
		"listener cut short":            {frame{src: local, dst: mldv2, hops: 1, alert: true}.icmp(t, 143, 0, []byte{0}), errListener},
		"UDP cut short":                 {frame{src: local, dst: servers}.raw(t, 17, []byte{2, 0x22, 2, 0x23}), errUDP},
		"UDP length past the end":       {changed(dhcp(), icmpAt+5, 200), errUDP},
		"UDP length below its header":   {changed(dhcp(), icmpAt+5, 7), errUDP},
		"DHCPv6 cut short":              {frame{src: local, dst: servers}.udp(t, 547, []byte{1}), errDHCP},
		"DHCPv6 of nobody":              {frame{src: nobody, dst: servers}.udp(t, 547, message6(1, duid)), errSource},
		"DHCPv6 from behind a router":   {frame{from: router, src: global, dst: netip.MustParseAddr("2001:db8::2"), hops: 63}.udp(t, 547, message6(1, duid, fqdn("\x05phone"))), errFar},
		"DHCPv6 from a global address":  {frame{src: global, dst: servers}.udp(t, 547, message6(1, duid)), errFar},
		"DHCPv6 from a unique address":  {frame{src: netip.MustParseAddr("fd00::5b07"), dst: servers}.udp(t, 547, message6(3, duid)), errFar},
		"DHCPv6 option past the end":    {dhcp(0, 1, 0, 9, 1, 2), errDHCP},
		"DHCPv6 option cut short":       {dhcp(0, 1, 0), errDHCP},
	}
}

func TestHostile(t *testing.T) {
	for name, test := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			s, ok, err := Decode(parse(t, test.raw))
			if ok || !errors.Is(err, test.want) || s != (presence.Sighting{}) {
				t.Errorf("%+v, ok %t, error %v; want error %v", s, ok, err, test.want)
			}
		})
	}
}

// TestDHCP is about what a client says of itself.
func TestDHCP(t *testing.T) {
	for name, test := range map[string]struct {
		raw  []byte
		kind presence.Kind
		want presence.DHCP
	}{
		"Windows": {windows(t), presence.DHCPv6Solicit, presence.DHCP{
			HostName: "DESKTOP-7QK2", VendorClass: "MSFT 5.0",
			ClientID: "000100012bc0ffeedaa1193c5b07", Fingerprint: "17,23,24,39",
		}},
		"nothing but the type": {frame{src: local, dst: servers}.udp(t, 547, message6(11)), presence.DHCPv6Information, presence.DHCP{}},
		"a name that is not whole": {
			frame{src: local, dst: servers}.udp(t, 547, message6(3, duid, fqdn("\x05phone"))),
			presence.DHCPv6Request,
			presence.DHCP{HostName: "phone", ClientID: "00030001daa1193c5b07"},
		},
		"the first of two names": {
			frame{src: local, dst: servers}.udp(t, 547, message6(5, fqdn("\x03one\x00"), fqdn("\x03two\x00"))),
			presence.DHCPv6Renew,
			presence.DHCP{HostName: "one"},
		},
		"a compressed name":        {frame{src: local, dst: servers}.udp(t, 547, message6(6, fqdn("\xc0\x00"))), presence.DHCPv6Rebind, presence.DHCP{}},
		"a label past the end":     {frame{src: local, dst: servers}.udp(t, 547, message6(4, fqdn("\x09phone"))), presence.DHCPv6Confirm, presence.DHCP{}},
		"an empty name":            {frame{src: local, dst: servers}.udp(t, 547, message6(8, fqdn(""), fqdn("\x00"))), presence.DHCPv6Release, presence.DHCP{}},
		"a name to be cleaned":     {frame{src: local, dst: servers}.udp(t, 547, message6(9, fqdn("\x0d\x1b[31m\xffa\n b\u202e"))), presence.DHCPv6Decline, presence.DHCP{HostName: "[31m a b"}},
		"a vendor past the end":    {frame{src: local, dst: servers}.udp(t, 547, message6(1, option6(16, 0, 0, 1, 0x37, 0, 9, 'x'))), presence.DHCPv6Solicit, presence.DHCP{}},
		"a vendor without strings": {frame{src: local, dst: servers}.udp(t, 547, message6(1, option6(16, 0, 0, 1, 0x37))), presence.DHCPv6Solicit, presence.DHCP{}},
		"all of it too long": {
			frame{src: local, dst: servers}.udp(t, 547, message6(
				1,
				option6(1, []byte(strings.Repeat("x", 200))...),
				option6(16, append([]byte{0, 0, 0, 0, 1, 0x90}, strings.Repeat("v", 400)...)...),
				option6(6, []byte(strings.Repeat("\x00\x09", 100))...),
			)),
			presence.DHCPv6Solicit,
			presence.DHCP{
				ClientID: strings.Repeat("78", 32), VendorClass: strings.Repeat("v", 64),
				Fingerprint: strings.TrimSuffix(strings.Repeat("9,", 64), ","),
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, ok, err := Decode(parse(t, test.raw))
			if !ok || err != nil {
				t.Fatalf("ok %t, error %v", ok, err)
			}
			if s.Kind != test.kind || s.MAC != phone || s.Addr != local || s.Unicast {
				t.Errorf("%+v, want %v", s, test.kind)
			}
			if diff := cmp.Diff(test.want, *s.DHCP); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestDHCPOfOthers decodes what another implementation encodes.
func TestDHCPOfOthers(t *testing.T) {
	m, err := dhcpv6.NewSolicit(
		phone[:],
		dhcpv6.WithFQDN(0, "annas-phone.home.example"),
		dhcpv6.WithRequestedOptions(dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionFQDN),
		dhcpv6.WithOption(&dhcpv6.OptVendorClass{EnterpriseNumber: 311, Data: [][]byte{[]byte("MSFT 5.0"), []byte("more")}}),
	)
	if err != nil {
		t.Fatal(err)
	}
	s, ok, err := Decode(parse(t, frame{src: local, dst: servers, hops: 1}.udp(t, 547, m.ToBytes())))
	if !ok || err != nil || s.Kind != presence.DHCPv6Solicit {
		t.Fatalf("%+v, ok %t, error %v", s, ok, err)
	}
	id := m.Options.ClientID().ToBytes()
	// The library asks for DNS and search list by itself.
	want := presence.DHCP{HostName: "annas-phone", VendorClass: "MSFT 5.0", ClientID: hex.EncodeToString(id), Fingerprint: "23,24,39"}
	if diff := cmp.Diff(want, *s.DHCP); diff != "" {
		t.Error(diff)
	}
}
