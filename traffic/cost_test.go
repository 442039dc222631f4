package traffic

import (
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// mixture is traffic as a busy machine has it: 10,000 packets of 500 connections
// with 250 hosts, most of them TLS and QUIC.
func mixture() (all []*Packet) {
	data := make([]byte, 1448)
	for i := range 10_000 {
		port := uint16(20_000 + i%500)
		from := netip.AddrFrom4([4]byte{203, 0, 113, byte(i % 250)})
		p := got(from, here, protoTCP, tcp(443, port, uint32(i), ack, data))
		switch round := i / 500; {
		case round == 0:
			p = got(from, here, protoTCP, tcp(443, port, uint32(i), ack, serverHello))
		case round == 1:
			p = sent(here, from, protoUDP, udp(port, 443, initialV1))
		case round%5 == 0:
			p = sent(here, from, protoTCP, tcp(port, 443, uint32(i), ack, nil))
		case round%5 == 1:
			p = got(from, here, protoUDP, udp(443, port, short))
		case round%5 == 2:
			p = got(from, here, protoTCP, tcp(80, port, uint32(i), ack, data)) // looked at each time
		case round == 8:
			p = sent(here, from, protoUDP, udp(port, 53, query))
		case round == 9:
			p = got(from, here, protoUDP, udp(9999, port, short)) // the same
		}
		p.At = p.At.Add(time.Duration(i) * time.Microsecond)
		all = append(all, p)
	}
	return all
}

// adding counts the i-th of them.
func adding() func(i int) {
	packets := mixture()
	tally := NewTally(named)
	return func(i int) { tally.Add(packets[i%len(packets)]) }
}

// decoding is what a decoder of others does, without any recognition.
func decoding() func(i int) {
	packets := mixture()
	var (
		ip4     layers.IPv4
		tcp     layers.TCP
		udp     layers.UDP
		payload gopacket.Payload
		decoded []gopacket.LayerType
	)
	parser := gopacket.NewDecodingLayerParser(layers.LayerTypeIPv4, &ip4, &tcp, &udp, &payload)
	parser.IgnoreUnsupported = true
	return func(i int) { _ = parser.DecodeLayers(packets[i%len(packets)].Data, &decoded) }
}

func BenchmarkAdd(b *testing.B)    { benchmark(b, adding()) }
func BenchmarkDecode(b *testing.B) { benchmark(b, decoding()) }

func benchmark(b *testing.B, f func(i int)) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f(i)
	}
}

// BenchmarkCut is the end of a round with thousands of hosts.
func BenchmarkCut(b *testing.B) {
	tally := NewTally(named)
	for b.Loop() {
		b.StopTimer()
		for i := range 4000 {
			tally.Add(got(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), here, protoICMP, nil))
		}
		b.StartTimer()
		tally.Cut(nil, 10)
	}
}

// TestCost: a packet costs no memory, and hardly more time than a decoder takes
// that recognises nothing.
func TestCost(t *testing.T) {
	const n = 100_000
	add, decode := adding(), decoding()
	i := 0
	if n := testing.AllocsPerRun(n, func() { add(i); i++ }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
	if raced {
		return
	}
	// The least of some runs: others have the machine too.
	ours, theirs := time.Duration(1<<62), time.Duration(1<<62)
	for range 10 {
		ours, theirs = min(ours, timed(n, add)), min(theirs, timed(n, decode))
	}
	t.Logf("%v a packet, %v for decoding it with gopacket", ours/n, theirs/n)
	if ours > 4*theirs {
		t.Errorf("%d packets take %v, more than four times of %v", n, ours, theirs)
	}
}

// timed is how long n of them take.
func timed(n int, f func(i int)) time.Duration {
	start := time.Now()
	for i := range n {
		f(i)
	}
	return time.Since(start)
}
