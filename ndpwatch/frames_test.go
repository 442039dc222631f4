package ndpwatch

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"porchlight/capture"
	"porchlight/presence"
)

var (
	heardAt  = time.Date(2026, 3, 1, 7, 30, 0, 123456789, time.UTC)
	phone    = presence.MAC{0xda, 0xa1, 0x19, 0x3c, 0x5b, 0x07}
	router   = presence.MAC{0x00, 0x17, 0x88, 0, 0, 1}
	self     = presence.MAC{0xb8, 0x27, 0xeb, 0, 0, 1}
	local    = netip.MustParseAddr("fe80::d8a1:19ff:fe3c:5b07") // the phone's
	global   = netip.MustParseAddr("2001:db8::5b07")
	routerLL = netip.MustParseAddr("fe80::1")
	nobody   = netip.IPv6Unspecified()
	allNodes = netip.MustParseAddr("ff02::1")
	routers  = netip.MustParseAddr("ff02::2")
	servers  = netip.MustParseAddr("ff02::1:2")
	mldv2    = netip.MustParseAddr("ff02::16")
)

// frame is an IPv6 packet on Ethernet as another implementation (gopacket)
// builds it.
type frame struct {
	to, from presence.MAC // zero: by the destination, and the phone
	src, dst netip.Addr
	hops     uint8 // 0: 255
	alert    bool  // with hop-by-hop options: a router alert
}

func (f frame) raw(t testing.TB, protocol layers.IPProtocol, payload []byte) []byte {
	t.Helper()
	if f.to == (presence.MAC{}) {
		f.to = router
		if b := f.dst.As16(); f.dst.IsMulticast() {
			f.to = presence.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
		}
	}
	if f.from == (presence.MAC{}) {
		f.from = phone
	}
	if f.hops == 0 {
		f.hops = 255
	}
	if f.alert {
		payload = append([]byte{byte(protocol), 0, 5, 2, 0, 0, 1, 0}, payload...) // RFC 2711, and padding
		protocol = layers.IPProtocolIPv6HopByHop
	}
	return serialize(
		t,
		&layers.Ethernet{SrcMAC: f.from[:], DstMAC: f.to[:], EthernetType: layers.EthernetTypeIPv6},
		&layers.IPv6{Version: 6, HopLimit: f.hops, NextHeader: protocol, SrcIP: ip(f.src), DstIP: ip(f.dst)},
		gopacket.Payload(payload),
	)
}

// icmp is f with an ICMPv6 message; body is what follows the checksum.
func (f frame) icmp(t testing.TB, kind, code uint8, body ...[]byte) []byte {
	t.Helper()
	l := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(kind, code)}
	if err := l.SetNetworkLayerForChecksum(&layers.IPv6{SrcIP: ip(f.src), DstIP: ip(f.dst)}); err != nil {
		t.Fatal(err)
	}
	return f.raw(t, layers.IPProtocolICMPv6, serialize(t, l, gopacket.Payload(concat(body...))))
}

// udp is f with a datagram.
func (f frame) udp(t testing.TB, port layers.UDPPort, payload []byte) []byte {
	t.Helper()
	l := &layers.UDP{SrcPort: 546, DstPort: port}
	if err := l.SetNetworkLayerForChecksum(&layers.IPv6{SrcIP: ip(f.src), DstIP: ip(f.dst)}); err != nil {
		t.Fatal(err)
	}
	return f.raw(t, layers.IPProtocolUDP, serialize(t, l, gopacket.Payload(payload)))
}

func serialize(t testing.TB, l ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, l...); err != nil {
		t.Fatal(err)
	}
	return append([]byte{}, buf.Bytes()...)
}

func ip(a netip.Addr) net.IP { return net.IP(a.AsSlice()) }

func concat(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// with is the fields of a message before its options: four bytes of flags and
// the like, and addresses.
func with(flags uint32, addrs ...netip.Addr) []byte {
	b := binary.BigEndian.AppendUint32(nil, flags)
	for _, a := range addrs {
		b = append(b, a.AsSlice()...)
	}
	return b
}

// says is the option that names a MAC.
func says(option byte, mac presence.MAC) []byte { return append([]byte{option, 1}, mac[:]...) }

const (
	flagRouter   = 0x80000000
	flagAnswers  = 0x40000000
	flagOverride = 0x20000000
)

// dad is the question of a station whether anybody has a.
func dad(t testing.TB, a netip.Addr) []byte {
	return frame{src: nobody, dst: group(a)}.icmp(t, 135, 0, with(0, a))
}

// group is a's solicited-node group, as RFC 4291 writes it.
func group(a netip.Addr) netip.Addr {
	b := a.As16()
	g := netip.MustParseAddr("ff02::1:ff00:0").As16()
	copy(g[13:], b[13:])
	return netip.AddrFrom16(g)
}

// advertisement is the phone's answer to the router.
func advertisement(t testing.TB) []byte {
	return frame{src: local, dst: routerLL}.icmp(t, 136, 0, with(flagAnswers|flagOverride, local), says(2, phone))
}

// message6 is a DHCPv6 message with options.
func message6(kind byte, options ...[]byte) []byte {
	return append([]byte{kind, 0xab, 0xcd, 0xef}, concat(options...)...)
}

func option6(code uint16, value ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

// duid is the phone's, with its MAC (DUID-LL).
var duid = option6(1, 0, 3, 0, 1, 0xda, 0xa1, 0x19, 0x3c, 0x5b, 0x07)

func fqdn(wire string) []byte { return option6(39, append([]byte{0}, wire...)...) }

// windows is the SOLICIT of a Windows machine.
func windows(t testing.TB) []byte {
	return frame{src: local, dst: servers, hops: 1}.udp(t, 547, message6(
		1,
		option6(8, 0, 0),
		option6(1, 0, 1, 0, 1, 0x2b, 0xc0, 0xff, 0xee, 0xda, 0xa1, 0x19, 0x3c, 0x5b, 0x07),
		option6(3, 0x0d, 0xda, 0xa1, 0x19, 0, 0, 0, 0, 0, 0, 0, 0),
		fqdn("\x0cDESKTOP-7QK2\x04corp\x07example\x00"),
		option6(16, append([]byte{0, 0, 1, 0x37, 0, 8}, "MSFT 5.0"...)...),
		option6(6, 0, 17, 0, 23, 0, 24, 0, 39),
	))
}

// parse cuts raw as a watcher on eth0 would.
func parse(t testing.TB, raw []byte) capture.Frame {
	t.Helper()
	f, err := capture.Parse(heardAt, "eth0", raw)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// tagged puts a VLAN tag into a frame.
func tagged(raw []byte, vlan uint16) []byte {
	f := append([]byte{}, raw[:12]...)
	f = binary.BigEndian.AppendUint16(f, 0x8100)
	f = binary.BigEndian.AppendUint16(f, vlan)
	return append(f, raw[12:]...)
}
