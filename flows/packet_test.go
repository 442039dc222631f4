package flows

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"porchlight/capture"
)

func be(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

func cat(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// ip4 is a packet with 4*len(options) bytes of options; place is that of a fragment.
func ip4(protocol byte, from, to string, place int, options int, body []byte) []byte {
	head := 20 + 4*options
	b := cat([]byte{0x40 | byte(head/4), 0}, be(head+len(body)), be(7), be(place), []byte{64, protocol, 0, 0})
	return cat(b, netip.MustParseAddr(from).AsSlice(), netip.MustParseAddr(to).AsSlice(), make([]byte, 4*options), body)
}

func ip6(next byte, from, to string, body []byte) []byte {
	b := cat([]byte{0x60, 0, 0, 0}, be(len(body)), []byte{next, 64})
	return cat(b, netip.MustParseAddr(from).AsSlice(), netip.MustParseAddr(to).AsSlice(), body)
}

func udpBody(from, to int, payload string) []byte {
	return cat(be(from), be(to), be(8+len(payload)), be(0), []byte(payload))
}

func tcpBody(from, to int, flags byte) []byte {
	return cat(be(from), be(to), make([]byte, 8), []byte{0x50, flags}, make([]byte, 6))
}

func TestDecode(t *testing.T) {
	const a4, b4, a6, b6 = "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"
	end := netip.MustParseAddrPort
	host := func(a string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(a), 0) }
	ext := func(next byte, units int) []byte {
		return append([]byte{next, byte(units)}, make([]byte, 6+8*units)...)
	}
	frag := func(next byte, place int) []byte { return cat([]byte{next, 0}, be(place), []byte{0, 0, 0, 9}) }
	arpOf := func(from, to string) []byte {
		return cat([]byte("\x00\x01\x08\x00\x06\x04\x00\x01"), make([]byte, 6), netip.MustParseAddr(from).AsSlice(), make([]byte, 6), netip.MustParseAddr(to).AsSlice())
	}
	pppoe := func(kind int, b []byte) []byte { return cat([]byte{0x11, 0, 0, 1}, be(2+len(b)), be(kind), b) }
	tests := map[string]struct {
		etherType uint16
		payload   []byte
		want      packet
		err       error
	}{
		"TCP":                        {capture.EtherTypeIPv4, ip4(6, a4, b4, 0, 0, tcpBody(1000, 80, syn)), packet{protocol: tcp, from: end("192.0.2.1:1000"), to: end("192.0.2.2:80"), flags: syn}, nil},
		"TCP with options of IP":     {capture.EtherTypeIPv4, ip4(6, a4, b4, 0, 10, tcpBody(1000, 80, rst|ack)), packet{protocol: tcp, from: end("192.0.2.1:1000"), to: end("192.0.2.2:80"), flags: rst | ack}, nil},
		"UDP with padding":           {capture.EtherTypeIPv4, append(ip4(17, a4, b4, 0, 0, udpBody(53, 2, "x")), 0, 0, 0), packet{protocol: udp, from: end("192.0.2.1:53"), to: end("192.0.2.2:2"), payload: []byte("x")}, nil},
		"UDP over IPv6":              {capture.EtherTypeIPv6, ip6(17, a6, b6, udpBody(1, 2, "x")), packet{protocol: udp, from: end("[2001:db8::1]:1"), to: end("[2001:db8::2]:2"), payload: []byte("x")}, nil},
		"extension headers":          {capture.EtherTypeIPv6, ip6(0, a6, b6, cat(ext(60, 0), ext(43, 2), ext(6, 0), tcpBody(1, 2, ack))), packet{protocol: tcp, from: end("[2001:db8::1]:1"), to: end("[2001:db8::2]:2"), flags: ack}, nil},
		"an authentication header":   {capture.EtherTypeIPv6, ip6(51, a6, b6, cat([]byte{17, 1}, make([]byte, 10), udpBody(1, 2, "x"))), packet{protocol: udp, from: end("[2001:db8::1]:1"), to: end("[2001:db8::2]:2"), payload: []byte("x")}, nil},
		"no ports are captured":      {capture.EtherTypeIPv4, ip4(6, a4, b4, 0, 0, []byte{0, 1, 0}), packet{}, errShort},
		"no flags are captured":      {capture.EtherTypeIPv4, ip4(6, a4, b4, 0, 0, []byte{0, 1, 0, 2}), packet{protocol: tcp, from: end("192.0.2.1:1"), to: end("192.0.2.2:2")}, nil},
		"a first fragment":           {capture.EtherTypeIPv4, ip4(17, a4, b4, 0x2000, 0, udpBody(1, 2, "")), packet{protocol: udp, from: end("192.0.2.1:1"), to: end("192.0.2.2:2"), fragment: fragment{netip.MustParseAddr(a4), netip.MustParseAddr(b4), udp, 7}}, nil},
		"a later fragment":           {capture.EtherTypeIPv4, ip4(17, a4, b4, 100, 0, []byte("no ports")), packet{protocol: udp, from: host(a4), to: host(b4), fragment: fragment{netip.MustParseAddr(a4), netip.MustParseAddr(b4), udp, 7}, later: true}, nil},
		"a later fragment of IPv6":   {capture.EtherTypeIPv6, ip6(44, a6, b6, cat(frag(17, 80), []byte("no ports"))), packet{protocol: udp, from: host(a6), to: host(b6), fragment: fragment{netip.MustParseAddr(a6), netip.MustParseAddr(b6), udp, 9}, later: true}, nil},
		"a first fragment of IPv6":   {capture.EtherTypeIPv6, ip6(44, a6, b6, cat(frag(17, 1), udpBody(1, 2, ""))), packet{protocol: udp, from: end("[2001:db8::1]:1"), to: end("[2001:db8::2]:2"), fragment: fragment{netip.MustParseAddr(a6), netip.MustParseAddr(b6), udp, 9}}, nil},
		"too many headers":           {capture.EtherTypeIPv6, ip6(60, a6, b6, []byte(strings.Repeat(string(ext(60, 0)), 9))), packet{}, errHeaders},
		"a header beyond the end":    {capture.EtherTypeIPv6, ip6(60, a6, b6, []byte{6, 200, 0, 0, 0, 0, 0, 0}), packet{}, errShort},
		"a length of 0":              {capture.EtherTypeIPv4, cat([]byte{0x45, 0, 0, 0}, ip4(6, a4, b4, 0, 0, tcpBody(1, 2, syn))[4:]), packet{protocol: tcp, from: end("192.0.2.1:1"), to: end("192.0.2.2:2"), flags: syn}, nil},
		"a short header":             {capture.EtherTypeIPv4, cat([]byte{0x44}, ip4(6, a4, b4, 0, 0, tcpBody(1, 2, syn))[1:]), packet{}, errShort},
		"another version":            {capture.EtherTypeIPv4, ip6(6, a6, b6, tcpBody(1, 2, syn)), packet{}, errVersion},
		"another version of IPv6":    {capture.EtherTypeIPv6, cat([]byte{0x45}, make([]byte, 60)), packet{}, errVersion},
		"ICMP":                       {capture.EtherTypeIPv4, ip4(1, a4, b4, 0, 0, []byte{8, 0}), packet{protocol: icmp, from: host(a4), to: host(b4)}, nil},
		"a neighbour's solicitation": {capture.EtherTypeIPv6, ip6(58, a6, b6, []byte{135, 0}), packet{protocol: ndp, from: host(a6), to: host(b6)}, nil},
		"a listener's report":        {capture.EtherTypeIPv6, ip6(0, a6, b6, cat(ext(58, 0), []byte{143, 0})), packet{protocol: mld, from: host(a6), to: host(b6)}, nil},
		"ARP":                        {capture.EtherTypeARP, arpOf(a4, b4), packet{protocol: arp, from: host(a4), to: host(b4)}, nil},
		"ARP of something else":      {capture.EtherTypeARP, []byte("\x00\x06"), packet{protocol: arp}, nil},
		"LLDP":                       {0x88cc, nil, packet{protocol: frames + 0x88cc}, nil},
		"PPPoE":                      {etherTypePPPoE, pppoe(pppIPv6, ip6(17, a6, b6, udpBody(1, 2, "x"))), packet{protocol: udp, from: end("[2001:db8::1]:1"), to: end("[2001:db8::2]:2"), payload: []byte("x")}, nil},
		"PPPoE, its own":             {etherTypePPPoE, pppoe(0xc021, nil), packet{protocol: frames + etherTypePPPoE}, nil},
		"PPPoE, short":               {etherTypePPPoE, []byte{0x11}, packet{}, errShort},
	}
	for name, test := range tests {
		got, err := decode(capture.Frame{EtherType: test.etherType, Payload: test.payload})
		if !errors.Is(err, test.err) {
			t.Errorf("%s: error %v, want %v", name, err, test.err)
		}
		diff := cmp.Diff(test.want, got, cmp.AllowUnexported(packet{}, fragment{}), cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{}), cmpopts.EquateEmpty())
		if err == nil && diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for p, want := range map[protocol]string{udp: "udp", 99: "ip 99", parts + tcp: "tcp fragments", frames + 0x88cc: "ethertype 0x88cc", frames + 0x0802: "ethertype 0x0802"} {
		if p.String() != want {
			t.Errorf("%q, want %q", p, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(uint16(capture.EtherTypeIPv4), ip4(17, "192.0.2.1", "192.0.2.2", 0, 1, udpBody(53, 2, "x")))
	f.Add(uint16(capture.EtherTypeIPv6), ip6(0, "2001:db8::1", "2001:db8::2", cat([]byte{44, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 1, 0, 0, 0, 9}, tcpBody(1, 2, syn))))
	f.Add(uint16(capture.EtherTypeARP), []byte("\x00\x01\x08\x00\x06\x04"))
	f.Add(uint16(etherTypePPPoE), []byte{0x11, 0, 0, 1, 0, 2, 0, 0x21, 0x45})
	f.Fuzz(func(t *testing.T, etherType uint16, payload []byte) {
		frame := capture.Frame{EtherType: etherType, Payload: payload}
		p, err := decode(frame)
		if err != nil {
			return
		}
		if ports := p.from.Port() != 0 || p.to.Port() != 0; ports && p.protocol != tcp && p.protocol != udp {
			t.Errorf("%s with ports", p.protocol)
		}
		table, n := newTable(2), names{}
		for range 2 {
			q := p
			table.add(&q, &frame, len(payload))
			n.answer(&q)
		}
		for addr, name := range n {
			if !addr.IsValid() || name == "" || len(name) > maxName {
				t.Errorf("%s is called %q", addr, name)
			}
		}
		for _, flow := range table.sorted() {
			if flow.Packets() != 2 || flow.Protocol == "" {
				t.Errorf("%+v", flow)
			}
		}
	})
}
