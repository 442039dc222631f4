package dhcpwatch

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"porchlight/capture"
	"porchlight/presence"
)

var compare = cmp.Options{cmpopts.EquateComparable(netip.Addr{}, presence.MAC{})}

// The frames were captured from busybox udhcpc 1.35 and dnsmasq 2.90: the
// first client names itself by option 12, the second by option 81 only.
func TestDecodeRealFrames(t *testing.T) {
	tv := presence.MAC{0x3c, 0x22, 0xfb, 0x00, 0x00, 0x02}
	given, router := netip.MustParseAddr("10.99.0.45"), netip.MustParseAddr("10.99.0.1")
	named := func(host, class string) *presence.DHCP {
		return &presence.DHCP{
			HostName: host, VendorClass: class, ClientID: "013c22fb000002",
			Fingerprint: "1,3,6,12,15,28,42",
		}
	}
	want := []presence.Sighting{
		{MAC: tv, Kind: presence.DHCPDiscover, DHCP: named("livingroom", "udhcp 1.35.0")},
		{MAC: tv, Kind: presence.DHCPOffer, Unicast: true, Addr: given, Via: gateway, Peer: router, DHCP: &presence.DHCP{}},
		{MAC: tv, Kind: presence.DHCPRequest, Addr: given, Peer: router, DHCP: named("livingroom", "udhcp 1.35.0")},
		{MAC: tv, Kind: presence.DHCPAck, Unicast: true, Addr: given, Via: gateway, Peer: router, DHCP: &presence.DHCP{HostName: "livingroom"}},
		{MAC: tv, Kind: presence.DHCPDiscover, DHCP: named("tv", "android-dhcp-14")},
		{MAC: tv, Kind: presence.DHCPOffer, Unicast: true, Addr: given, Via: gateway, Peer: router, DHCP: &presence.DHCP{HostName: "tv"}},
		{MAC: tv, Kind: presence.DHCPRequest, Addr: given, Peer: router, DHCP: named("tv", "android-dhcp-14")},
		{MAC: tv, Kind: presence.DHCPAck, Unicast: true, Addr: given, Via: gateway, Peer: router, DHCP: &presence.DHCP{HostName: "tv"}},
	}
	var got []presence.Sighting
	for _, raw := range recorded(t, "testdata/udhcpc-dnsmasq.pcap") {
		s, ok, err := Decode(parse(t, raw))
		if !ok || err != nil {
			t.Fatalf("frame %d: ok %v, error %v", len(got)+1, ok, err)
		}
		got = append(got, s)
	}
	for i := range want {
		want[i].At, want[i].Interface = heardAt, "eth0"
	}
	if diff := cmp.Diff(want, got, compare); diff != "" {
		t.Errorf("sightings (-want +got):\n%s", diff)
	}
}

func TestDecode(t *testing.T) {
	renewing := bootp{op: 1, chaddr: phone, ciaddr: net.IPv4(192, 168, 1, 57)}
	answering := bootp{op: 2, chaddr: phone, yiaddr: net.IPv4(192, 168, 1, 57)}
	asking := typed(dhcpv4.MessageTypeDiscover)
	addr := netip.MustParseAddr
	phoneID := "01daa119000007"

	tests := map[string]struct {
		raw  []byte
		want presence.Sighting
	}{
		"Android": {devices["Android"], presence.Sighting{
			Kind: presence.DHCPRequest, Addr: addr("192.168.1.57"),
			DHCP: &presence.DHCP{
				HostName: "Pixel-8", VendorClass: "android-dhcp-14", ClientID: phoneID,
				Fingerprint: "1,3,6,15,26,28,51,58,59,43,114,108",
			},
		}},
		"iOS": {devices["iOS"], presence.Sighting{
			Kind: presence.DHCPRequest, Addr: addr("192.168.1.58"),
			DHCP: &presence.DHCP{
				HostName: "Annas-iPhone", ClientID: phoneID,
				Fingerprint: "1,121,3,6,15,108,114,119,252",
			},
		}},
		"Windows": {devices["Windows"], presence.Sighting{
			Kind: presence.DHCPDiscover, Addr: addr("192.168.1.59"),
			DHCP: &presence.DHCP{
				HostName: "DESKTOP-7QK2", VendorClass: "MSFT 5.0", ClientID: phoneID,
				Fingerprint: "1,3,6,15,31,33,43,44,46,47,119,121,249,252",
			},
		}},
		"renewal by unicast, the address in ciaddr": {
			ethernet(gateway, phone, capture.EtherTypeIPv4, udp(68, 67, renewing.message(typed(dhcpv4.MessageTypeRequest)))),
			presence.Sighting{Kind: presence.DHCPRequest, Unicast: true, Addr: addr("192.168.1.57"), DHCP: &presence.DHCP{}},
		},
		"inform": {
			fromClient(renewing.message(typed(dhcpv4.MessageTypeInform))),
			presence.Sighting{Kind: presence.DHCPInform, Addr: addr("192.168.1.57"), DHCP: &presence.DHCP{}},
		},
		"release": {
			ethernet(gateway, phone, capture.EtherTypeIPv4, udp(68, 67, renewing.message(typed(dhcpv4.MessageTypeRelease)))),
			presence.Sighting{Kind: presence.DHCPRelease, Unicast: true, Addr: addr("192.168.1.57"), DHCP: &presence.DHCP{}},
		},
		"decline": {
			fromClient(client(typed(dhcpv4.MessageTypeDecline).with(dhcpv4.OptionRequestedIPAddress, 192, 168, 1, 57))),
			presence.Sighting{Kind: presence.DHCPDecline, Addr: addr("192.168.1.57"), DHCP: &presence.DHCP{}},
		},
		"offer": {
			fromServer(answering.message(typed(dhcpv4.MessageTypeOffer))),
			presence.Sighting{Kind: presence.DHCPOffer, Unicast: true, Via: gateway, Addr: addr("192.168.1.57"), DHCP: &presence.DHCP{}},
		},
		"offer of a server that says who it is": {
			fromServer(answering.message(typed(dhcpv4.MessageTypeOffer).with(dhcpv4.OptionServerIdentifier, 192, 168, 1, 1))),
			presence.Sighting{Kind: presence.DHCPOffer, Unicast: true, Via: gateway, Peer: addr("192.168.1.1"), Addr: addr("192.168.1.57"), DHCP: &presence.DHCP{}},
		},
		"offer of a server that claims to be everyone": {
			fromServer(answering.message(typed(dhcpv4.MessageTypeOffer).with(dhcpv4.OptionServerIdentifier, 255, 255, 255, 255))),
			presence.Sighting{Kind: presence.DHCPOffer, Unicast: true, Via: gateway, Addr: addr("192.168.1.57"), DHCP: &presence.DHCP{}},
		},
		"acknowledgement by broadcast, with a name; the server's own options are not the client's": {
			ethernet(broadcast, gateway, capture.EtherTypeIPv4, udp(67, 68, answering.message(typed(dhcpv4.MessageTypeAck).
				text(dhcpv4.OptionHostName, "pixel").text(dhcpv4.OptionClassIdentifier, "PXEClient")))),
			presence.Sighting{Kind: presence.DHCPAck, Via: gateway, Addr: addr("192.168.1.57"), DHCP: &presence.DHCP{HostName: "pixel"}},
		},
		"chaddr wins over the sender of the frame": {
			ethernet(broadcast, gateway, capture.EtherTypeIPv4, udp(68, 67, client(asking))),
			presence.Sighting{Via: gateway, Kind: presence.DHCPDiscover, DHCP: &presence.DHCP{}},
		},
		"handed on by a relay": {
			ethernet(phone, gateway, capture.EtherTypeIPv4, udp(67, 67, bootp{op: 1, chaddr: phone, giaddr: net.IPv4(10, 0, 0, 1)}.message(asking))),
			presence.Sighting{Via: gateway, Unicast: true, Relayed: true, Kind: presence.DHCPDiscover, DHCP: &presence.DHCP{}},
		},
		"VLAN": {
			tagged(fromClient(client(asking)), 30),
			presence.Sighting{Interface: "eth0.30", Kind: presence.DHCPDiscover, DHCP: &presence.DHCP{}},
		},
		"IPv4 options": {
			ethernet(broadcast, phone, capture.EtherTypeIPv4, withIPOptions(udp(68, 67, client(asking)))),
			presence.Sighting{Kind: presence.DHCPDiscover, DHCP: &presence.DHCP{}},
		},
		"padding after a short packet": {
			append(fromClient(client(asking)), make([]byte, 40)...),
			presence.Sighting{Kind: presence.DHCPDiscover, DHCP: &presence.DHCP{}},
		},
		"no End option": {
			fromClient(client(asking)[:headerLen+len(asking)]),
			presence.Sighting{Kind: presence.DHCPDiscover, DHCP: &presence.DHCP{}},
		},
		"a wish that is no station's address": {
			fromClient(client(asking.with(dhcpv4.OptionRequestedIPAddress, 255, 255, 255, 255))),
			presence.Sighting{Kind: presence.DHCPDiscover, DHCP: &presence.DHCP{}},
		},
		"a wish of the wrong length": {
			fromClient(client(asking.with(dhcpv4.OptionRequestedIPAddress, 1, 2, 3, 4, 5))),
			presence.Sighting{Kind: presence.DHCPDiscover, DHCP: &presence.DHCP{}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := test.want
			want.At, want.MAC = heardAt, phone
			if want.Interface == "" {
				want.Interface = "eth0"
			}
			got, ok, err := Decode(parse(t, test.raw))
			if !ok || err != nil {
				t.Fatalf("ok %v, error %v", ok, err)
			}
			if diff := cmp.Diff(want, got, compare); diff != "" {
				t.Errorf("sighting (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeIgnores(t *testing.T) {
	discover := client(typed(dhcpv4.MessageTypeDiscover))
	fragment := udp(68, 67, discover)
	binary.BigEndian.PutUint16(fragment[6:], 185)
	tcp := udp(68, 67, discover)
	tcp[9] = 6
	answer := bootp{op: 2, chaddr: phone}

	tests := map[string][]byte{
		"ARP":                    ethernet(broadcast, phone, capture.EtherTypeARP, make([]byte, 28)),
		"TCP":                    ethernet(broadcast, phone, capture.EtherTypeIPv4, tcp),
		"another port":           ethernet(broadcast, phone, capture.EtherTypeIPv4, udp(68, 53, discover)),
		"a later fragment":       ethernet(broadcast, phone, capture.EtherTypeIPv4, fragment),
		"NAK":                    fromServer(answer.message(typed(dhcpv4.MessageTypeNak))),
		"plain BOOTP":            fromClient(client(nil)),
		"a type of a later RFC":  fromClient(client(typed(13))),
		"a type of several byte": fromClient(client(options(nil).with(dhcpv4.OptionDHCPMessageType, 1, 1))),
	}
	for name, raw := range tests {
		t.Run(name, func(t *testing.T) {
			if s, ok, err := Decode(parse(t, raw)); ok || err != nil {
				t.Errorf("got %+v, ok %v, error %v; want nothing", s, ok, err)
			}
		})
	}
}

// hostile are frames that claim to be DHCP and are not.
func hostile() map[string][]byte {
	discover := typed(dhcpv4.MessageTypeDiscover)
	edit := func(message []byte, at int, value ...byte) []byte {
		copy(message[at:], value)
		return message
	}
	packet := func(at int, value ...byte) []byte {
		return ethernet(broadcast, phone, capture.EtherTypeIPv4, edit(udp(68, 67, client(discover)), at, value...))
	}
	return map[string][]byte{
		"no IPv4 header":            ethernet(broadcast, phone, capture.EtherTypeIPv4, nil),
		"IPv6 in an IPv4 frame":     packet(0, 0x65),
		"IPv4 header too short":     packet(0, 0x44),
		"IPv4 header past the end":  ethernet(broadcast, phone, capture.EtherTypeIPv4, edit(udp(68, 67, nil), 0, 0x4f)),
		"total length past the end": packet(2, 0xff, 0xff),
		"total length too short":    packet(2, 0, 10),
		"no UDP header":             packet(2, 0, 24),
		"UDP length past the end":   packet(24, 0xff, 0xff),
		"UDP length too short":      packet(24, 0, 7),
		"first fragment":            ethernet(broadcast, phone, capture.EtherTypeIPv4, edit(udp(68, 67, client(discover))[:200], 2, 0, 200)),
		"empty message":             fromClient(nil),
		"message without cookie":    fromClient(client(nil)[:headerLen-1]),
		"wrong cookie":              fromClient(edit(client(discover), 236, 1, 2, 3, 4)),
		"option past the end":       fromClient(append(client(nil)[:headerLen], 12, 200, 'a')),
		"not Ethernet":              fromClient(edit(client(discover), 1, 6)),
		"hardware address too long": fromClient(edit(client(discover), 2, 16)),
		"hardware address huge":     fromClient(edit(client(discover), 2, 255)),
		"no hardware address":       fromClient(bootp{op: 1}.message(discover)),
		"group hardware address":    fromClient(bootp{op: 1, chaddr: broadcast}.message(discover)),
		"a server's discover":       fromClient(bootp{op: 2, chaddr: phone}.message(discover)),
		"a client's offer":          fromClient(client(typed(dhcpv4.MessageTypeOffer))),
		"9,000 bytes":               fromClient(append(client(discover), make([]byte, 8700)...)),
		"9,000 bytes of options":    fromClient(client(manyOptions(8700))),
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, raw := range hostile() {
		t.Run(name, func(t *testing.T) {
			if s, ok, err := Decode(parse(t, raw)); ok || err == nil {
				t.Errorf("got %+v, ok %v, error %v; want an error", s, ok, err)
			}
		})
	}
}

func TestDecodeTruncated(t *testing.T) {
	for name, raw := range devices {
		for n := 14; n < len(raw); n++ {
			if s, ok, err := Decode(parse(t, raw[:n])); ok || err == nil {
				t.Errorf("%s, first %d of %d bytes: got %+v, ok %v, error %v; want an error", name, n, len(raw), s, ok, err)
			}
		}
	}
}

func TestDecodeBoundsAndCleans(t *testing.T) {
	long := strings.Repeat("x", 255)
	o := typed(dhcpv4.MessageTypeDiscover).
		text(dhcpv4.OptionHostName, "<b>a\x00\x1b[31m\xff\u202e b\r\n").
		text(dhcpv4.OptionClassIdentifier, long).
		text(dhcpv4.OptionClientIdentifier, long).
		text(dhcpv4.OptionParameterRequestList, long)
	s, ok, err := Decode(parse(t, fromClient(client(o))))
	if !ok || err != nil {
		t.Fatalf("ok %v, error %v", ok, err)
	}
	want := &presence.DHCP{
		HostName:    "<b>a [31m b", // escaping belongs to where it is shown
		VendorClass: strings.Repeat("x", 64),
		ClientID:    strings.Repeat("78", 32),
		Fingerprint: strings.TrimSuffix(strings.Repeat("120,", 64), ","),
	}
	if diff := cmp.Diff(want, s.DHCP); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
}

// A message of a stranger must not cost more than one of a device, whatever
// it holds: both are microseconds.
func BenchmarkDecode(b *testing.B) {
	frames := hostile()
	frames["a device"] = devices["Windows"]
	for _, name := range []string{"a device", "9,000 bytes of options", "option past the end", "wrong cookie", "no IPv4 header"} {
		f, err := capture.Parse(time.Now(), "eth0", frames[name])
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _, _ = Decode(f)
			}
		})
	}
	// The most that fits: hundreds of small options.
	f := parse(b, fromClient(client(append(typed(dhcpv4.MessageTypeDiscover), manyOptions(1200)...))))
	if _, ok, err := Decode(f); !ok {
		b.Fatal(err)
	}
	b.Run("hundreds of options", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _, _ = Decode(f)
		}
	})
}

// manyOptions fills n bytes with small options of no meaning here.
func manyOptions(n int) (o options) {
	for i := range n / 3 {
		o = append(o, byte(100+i%150), 1, 'x')
	}
	return o
}

// withIPOptions adds four bytes of IPv4 options to a packet.
func withIPOptions(packet []byte) []byte {
	p := append([]byte{}, packet[:ipv4HeaderLen]...)
	p = append(p, 1, 1, 1, 0)
	p = append(p, packet[ipv4HeaderLen:]...)
	p[0] = 0x46
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	return p
}
