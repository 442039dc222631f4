package ndpwatch

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"porchlight/capture"
	"porchlight/presence"
)

func FuzzDecode(f *testing.F) {
	for _, raw := range [][]byte{dad(f, local), advertisement(f), windows(f), tagged(windows(f), 7)} {
		f.Add(raw)
	}
	for _, test := range hostile(f) {
		f.Add(test.raw)
	}
	for _, raw := range adversaries(f, 1400) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if frame, err := capture.Parse(heardAt, "eth0", raw); err == nil {
			checkDecode(t, frame)
		}
	})
}

// FuzzICMP puts the right checksum on a message of ICMPv6, which chance hardly
// ever does.
func FuzzICMP(f *testing.F) {
	for _, raw := range [][]byte{dad(f, local), advertisement(f)} {
		f.Add(raw[20] == 0, raw[21], raw[22:38], raw[38:54], raw[54:])
	}
	f.Add(true, byte(1), local.AsSlice(), mldv2.AsSlice(), make([]byte, 28))
	f.Fuzz(func(t *testing.T, alert bool, hops byte, src, dst, message []byte) {
		if len(src) != 16 || len(dst) != 16 || len(message) < 4 || len(message) > 2000 {
			return
		}
		message = append([]byte{}, message...)
		message[2], message[3] = 0, 0
		binary.BigEndian.PutUint16(message[2:], checksum(
			netip.AddrFrom16([16]byte(src)), netip.AddrFrom16([16]byte(dst)), protocolICMPv6, message))
		packet := []byte{0x60, 0, 0, 0, 0, 0, protocolICMPv6, hops}
		packet = append(append(packet, src...), dst...)
		if alert {
			packet[6] = protocolHopByHop
			packet = append(packet, protocolICMPv6, 0, 5, 2, 0, 0, 1, 0)
		}
		packet = append(packet, message...)
		binary.BigEndian.PutUint16(packet[4:], uint16(len(packet)-ipv6HeaderLen))
		checkDecode(t, capture.Frame{
			At: heardAt, Interface: "eth0", Dst: router, Src: phone, EtherType: capture.EtherTypeIPv6, Payload: packet,
		})
	})
}

// checkDecode decodes a frame and checks what must hold of every sighting.
func checkDecode(t *testing.T, frame capture.Frame) {
	if a, ok := Asked(frame); ok && !a.Is6() {
		t.Errorf("asked for %v", a)
	}
	s, ok, err := Decode(frame)
	switch {
	case !ok || err != nil:
		if ok || s != (presence.Sighting{}) {
			t.Fatalf("ok %t with %+v and error %v", ok, s, err)
		}
		return
	case s.MAC != frame.Src || !s.MAC.Station():
		t.Errorf("MAC %v of a frame from %v", s.MAC, frame.Src)
	case s.Addr.IsValid() && (!s.Addr.Is6() || s.Addr.Is4In6() || s.Addr.IsMulticast() || s.Addr.IsUnspecified() || s.Addr.Zone() != ""):
		t.Errorf("address %v is not a station's", s.Addr)
	}
	if s.Peer.IsValid() && (s.Kind != presence.NDPRouterAdvertisement || !s.Peer.IsLinkLocalUnicast()) {
		t.Errorf("the router %v, named by %v", s.Peer, s.Kind)
	}
	if s.DHCP == nil {
		return
	}
	if !s.Addr.IsLinkLocalUnicast() {
		t.Errorf("DHCPv6 of %v, who may be behind a router", s.Addr)
	}
	for text, limit := range map[string]int{
		s.DHCP.HostName:    presence.MaxName,
		s.DHCP.VendorClass: maxVendorClass,
		s.DHCP.ClientID:    2 * maxClientID,
		s.DHCP.Fingerprint: 6 * maxRequested,
	} {
		if text != presence.CleanText(text, limit) {
			t.Errorf("%q is not clean or longer than %d", text, limit)
		}
	}
	if strings.Trim(s.DHCP.Fingerprint, "0123456789,") != "" {
		t.Errorf("fingerprint %q", s.DHCP.Fingerprint)
	}
}

// adversaries are frames of about n bytes that are as much work as can be.
func adversaries(t testing.TB, n int) map[string][]byte {
	repeated := func(option []byte) []byte {
		return frame{src: local, dst: servers}.udp(t, 547, message6(1, []byte(strings.Repeat(string(option), n/len(option)))))
	}
	// A chain of pointers, each to the one before: 8 KB of these cost other
	// decoders seconds.
	pointers := "\x01a\xc0\x00"
	for i := range 60 {
		pointers += "\xc0" + string([]byte{byte(2 * i)})
	}
	return map[string][]byte{
		"empty options":       repeated(option6(0)),
		"empty names":         repeated(fqdn("\x00")),
		"compressed names":    repeated(fqdn(pointers)),
		"names that vanish":   repeated(fqdn("\x3f" + strings.Repeat("\x01", 63))),
		"vendors that vanish": repeated(option6(16, append([]byte{0, 0, 0, 0, 0, 200}, strings.Repeat("\xff", 200)...)...)),
		"one long option":     repeated(option6(39, make([]byte, n-4)...)),
		"options of neighbour discovery": frame{src: local, dst: routerLL}.icmp(t, 135, 0, with(0, routerLL),
			[]byte(strings.Repeat("\x0e\x01\x00\x00\x00\x00\x00\x00", n/8))),
		"records of a listener": frame{src: local, dst: mldv2, hops: 1, alert: true}.icmp(t, 143, 0, make([]byte, n)),
	}
}

// TestLinear decodes the worst frames at two lengths: the time grows with the
// length, and no faster.
func TestLinear(t *testing.T) {
	const short, times = 3000, 8
	long := adversaries(t, short*times)
	for name, raw := range adversaries(t, short) {
		t.Run(name, func(t *testing.T) {
			a, b := fastest(t, raw), fastest(t, long[name])
			t.Logf("%d bytes in %v, %d in %v", len(raw), a, len(long[name]), b)
			// Quadratic would be 64 times, and the cost of the frame itself
			// makes it less than 8.
			if b > 3*times*max(a, 5*time.Microsecond) {
				t.Errorf("%d bytes took %v, %d took %v", len(raw), a, len(long[name]), b)
			}
		})
	}
}

// fastest is the least time that decoding raw takes, as others use the machine too.
func fastest(t *testing.T, raw []byte) time.Duration {
	f, best := parse(t, raw), time.Hour
	for range 200 {
		start := time.Now()
		if _, ok, err := Decode(f); !ok || err != nil {
			t.Fatalf("ok %t, error %v", ok, err)
		}
		best = min(best, time.Since(start))
	}
	return best
}

// TestNoWaste: neither what is heard all the time nor a flood of nonsense
// allocates.
func TestNoWaste(t *testing.T) {
	for name, raw := range map[string][]byte{
		"DAD": dad(t, local), "an answer": advertisement(t), "a wrong checksum": hostile(t)["wrong checksum"].raw,
	} {
		f := parse(t, raw)
		if n := testing.AllocsPerRun(100, func() { _, _, _ = Decode(f) }); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestSolicitedNode(t *testing.T) {
	for addr, want := range map[string]string{
		"fe80::d8a1:19ff:fe3c:5b07": "ff02::1:ff3c:5b07",
		"4037::01:800:200e:8c6c":    "ff02::1:ff0e:8c6c", // the example of RFC 4291
	} {
		if got := solicitedNode(netip.MustParseAddr(addr)); got != netip.MustParseAddr(want) {
			t.Errorf("%s: %v, want %s", addr, got, want)
		}
	}
}
