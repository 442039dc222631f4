package traffic

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// clock is when the tests' packets pass.
var clock = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// The ends of the tests' packets.
var (
	here  = netip.MustParseAddr("192.168.1.2")
	there = netip.MustParseAddr("203.0.113.7")
	here6 = netip.MustParseAddr("2001:db8::2")
	far6  = netip.MustParseAddr("2001:db8:1::7")
)

// ip is an IP packet around a body.
func ip(src, dst netip.Addr, proto uint8, body []byte) []byte {
	if src.Is4() {
		b := make([]byte, 20, 20+len(body))
		b[0], b[8], b[9] = 0x45, 64, proto
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(body)))
		copy(b[12:], src.AsSlice())
		copy(b[16:], dst.AsSlice())
		return append(b, body...)
	}
	b := make([]byte, 40, 40+len(body))
	b[0], b[6], b[7] = 0x60, proto, 64
	binary.BigEndian.PutUint16(b[4:], uint16(len(body)))
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	return append(b, body...)
}

// udp is a datagram.
func udp(sport, dport uint16, payload []byte) []byte {
	b := make([]byte, 8, 8+len(payload))
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(payload)))
	return append(b, payload...)
}

// The flags of segments.
const (
	syn = 2
	ack = 16
)

// tcp is a segment.
func tcp(sport, dport uint16, seq uint32, flags byte, payload []byte) []byte {
	b := make([]byte, 20, 20+len(payload))
	binary.BigEndian.PutUint16(b, sport)
	binary.BigEndian.PutUint16(b[2:], dport)
	binary.BigEndian.PutUint32(b[4:], seq)
	b[12], b[13] = 5<<4, flags
	return append(b, payload...)
}

// seen is what a recorder sees of an IP packet.
func seen(d Direction, data []byte) *Packet {
	p := &Packet{At: clock, Interface: 2, Direction: d, EtherType: etherTypeIPv4, Length: 14 + len(data), Data: data[:min(len(data), SnapLen)]}
	if data[0]>>4 == 6 {
		p.EtherType = etherTypeIPv6
	}
	return p
}

func sent(src, dst netip.Addr, proto uint8, body []byte) *Packet {
	return seen(Out, ip(src, dst, proto, body))
}

func got(src, dst netip.Addr, proto uint8, body []byte) *Packet {
	return seen(In, ip(src, dst, proto, body))
}

func named(index int) string { return map[int]string{2: "eth0", 3: "wlan0"}[index] }

// TestTally: what is counted where, by whom, and that a cut begins anew.
func TestTally(t *testing.T) {
	printer := netip.MustParseAddr("192.168.1.9")
	printer6 := netip.MustParseAddr("fe80::9")
	nas := netip.MustParseAddr("192.168.1.10")
	noise := make([]byte, 72) // 114 bytes on the wire
	tally := NewTally(named)
	for _, p := range []*Packet{
		sent(here, there, protoUDP, udp(5000, 6000, noise)),
		got(there, here, protoUDP, udp(6000, 5000, noise)),
		got(there, here, protoUDP, udp(6000, 5000, noise)),
		got(printer, here, protoUDP, udp(6000, 5000, noise)),
		got(printer6, here6, protoICMPv6, noise),
		sent(here, nas, protoICMP, noise),
		sent(here, netip.MustParseAddr("192.168.1.255"), protoUDP, udp(1, 2, noise)),
		sent(here, broadcast, protoUDP, udp(1, 2, noise)),
		sent(here, netip.MustParseAddr("239.1.2.3"), protoUDP, udp(1, 2, noise)),
		got(netip.IPv4Unspecified(), here, protoUDP, udp(1, 2, noise)),
		{At: clock, Interface: 3, Direction: In, EtherType: etherTypeARP, Length: 60, Data: make([]byte, 28)},
		{At: clock, Interface: 7, Direction: Out, EtherType: 0x88cc, Length: 100, Data: make([]byte, 50)},
	} {
		tally.Add(p)
	}
	names := map[netip.Addr]string{
		printer: "printer", printer6: "printer", nas: "nas",
		netip.MustParseAddr("192.168.1.255"): "",
	}
	want := Round{
		Counts: map[Key]Count{
			{"eth0", UDP, Out}:  {4, 456},
			{"eth0", UDP, In}:   {4, 456},
			{"eth0", ICMP, In}:  {1, 126},
			{"eth0", ICMP, Out}: {1, 106},
			{"wlan0", ARP, In}:  {1, 60},
			{"if7", Other, Out}: {1, 100},
		},
		Hosts: []Talker{{Addr: there, In: Count{2, 228}, Out: Count{1, 114}}},
		Devices: []Talker{
			{Device: "printer", In: Count{2, 240}},
			{Device: "nas", Out: Count{1, 106}},
		},
	}
	opts := cmp.Options{cmpopts.EquateComparable(netip.Addr{})}
	if diff := cmp.Diff(want, tally.Cut(names, 10), opts); diff != "" {
		t.Errorf("the round (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Round{}, tally.Cut(names, 10), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("the round after (-want +got):\n%s", diff)
	}
}

// TestTallyTop: the busiest come first, and no more than asked for.
func TestTallyTop(t *testing.T) {
	tally := NewTally(named)
	for i := range 100 {
		for range i + 1 {
			tally.Add(got(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), here, protoICMP, nil))
		}
	}
	r := tally.Cut(nil, 3)
	var order []uint64
	for _, h := range r.Hosts {
		order = append(order, h.In.Packets)
	}
	if diff := cmp.Diff([]uint64{100, 99, 98}, order); diff != "" {
		t.Errorf("packets of the busiest (-want +got):\n%s", diff)
	}
}

// TestTalkersInAFlood: a flood of made-up addresses neither grows the table nor
// hides who is busy, and nobody's count is too high.
func TestTalkersInAFlood(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	talkers := newTalkers()
	var made [16]byte
	for i := range 1_000_000 {
		binary.BigEndian.PutUint64(made[8:], random.Uint64())
		talkers.add(netip.AddrFrom16(made), In, 60)
		if i%100 == 0 { // from the first packet on, ten hosts with a tenth of the packets each
			talkers.add(netip.AddrFrom4([4]byte{10, 0, 0, byte(i / 100 % 10)}), Out, 600)
		}
	}
	hosts, _ := talkers.cut(nil, 20)
	for i, h := range hosts {
		switch n := h.Out.Bytes; {
		case i < 10 && (!h.Addr.Is4() || n < 550_000 || n > 600_000):
			t.Errorf("number %d is %v with %d bytes, want one of the ten with a little less than 600000", i, h.Addr, n)
		case i >= 10 && h.In.Bytes > 600:
			t.Errorf("%v, made up, with %d bytes", h.Addr, h.In.Bytes)
		}
	}
}

// TestTallySums: whatever passes is counted once, and who is at the other end never
// has more than was counted.
func TestTallySums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tally := NewTally(named)
		var want, sum [directions]Count
		for range rapid.IntRange(0, 50).Draw(t, "packets") {
			p := Packet{
				At:        clock.Add(time.Duration(rapid.Int64().Draw(t, "after"))),
				Interface: rapid.IntRange(0, 3).Draw(t, "interface"),
				Direction: Direction(rapid.IntRange(0, 1).Draw(t, "direction")),
				EtherType: rapid.SampledFrom([]uint16{etherTypeARP, etherTypeIPv4, etherTypeIPv6, 0x88cc}).Draw(t, "type"),
				Length:    rapid.IntRange(14, 65535).Draw(t, "length"),
				Data:      rapid.SliceOfN(rapid.Byte(), 0, SnapLen).Draw(t, "data"),
			}
			if rapid.Bool().Draw(t, "well made") {
				p.EtherType = etherTypeIPv4
				proto := rapid.SampledFrom([]uint8{protoTCP, protoUDP, protoICMP}).Draw(t, "proto")
				p.Data = ip(there, here, proto, p.Data)
			}
			tally.Add(&p)
			want[p.Direction].Add(Count{1, uint64(p.Length)})
		}
		r := tally.Cut(nil, 100)
		for k, c := range r.Counts {
			sum[k.Direction].Add(c)
		}
		if sum != want {
			t.Errorf("counted %v, want %v", sum, want)
		}
		var talked [directions]Count
		for _, h := range r.Hosts {
			talked[In].Add(h.In)
			talked[Out].Add(h.Out)
		}
		for d := range talked {
			if talked[d].Packets > sum[d].Packets || talked[d].Bytes > sum[d].Bytes {
				t.Errorf("hosts have %v, of %v", talked, sum)
			}
		}
	})
}
