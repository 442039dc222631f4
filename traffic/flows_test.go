package traffic

import (
	"net/netip"
	"testing"
	"time"
	"unsafe"
)

// TestFlowsInAFlood: a stranger's words with made-up senders do not make a
// connection forgotten that both ends were heard in, nor does the table grow.
func TestFlowsInAFlood(t *testing.T) {
	c := classifier{newFlows()}
	take := func(p *Packet) Protocol {
		got, _ := c.classify(p, new(head))
		return got
	}
	const known = 300
	connection := func(i int, d Direction) *Packet {
		port := uint16(20000 + i)
		if d == Out {
			return sent(here, there, protoUDP, udp(port, 443, initialV1))
		}
		return got(there, here, protoUDP, udp(443, port, answerV1))
	}
	for i := range known {
		take(connection(i, Out))
		take(connection(i, In))
	}
	for i := range 300_000 {
		from := netip.AddrFrom4([4]byte{byte(i >> 16), byte(i >> 8), byte(i), 9})
		p := after(time.Minute, got(from, here, protoUDP, udp(443, 443, initialV1)))
		if i%2 == 0 {
			p = after(time.Minute, got(from, here, protoTCP, tcp(1, 443, 1, ack, hello)))
		}
		take(p)
	}
	lost := 0
	for i := range known {
		// Of a known connection only, as of no server.
		if p := after(2*time.Minute, sent(here, there, protoUDP, udp(uint16(20000+i), 443, notFixed))); take(p) != QUIC {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d connections are forgotten", lost, known)
	}
	if size := unsafe.Sizeof(*c.flows); size > 2<<20 {
		t.Errorf("the table takes %d bytes", size)
	}
}

// TestFlowsForget: the longest silent makes room for another one, and a clock that
// was set back leaves nothing known for ever.
func TestFlowsForget(t *testing.T) {
	f := newFlows()
	const now = 1_000_000
	for i := range uint32(flowWays) {
		f.add(uint64(1+i)*flowSets, now+i, keepTCP, TLS, In).ways = 1<<In | 1<<Out
	}
	f.add(99*flowSets, now+10, keepTCP, DNS, In)
	for i := range uint32(flowWays) {
		if got, want := f.find(uint64(1+i)*flowSets, now+10) != nil, i > 0; got != want {
			t.Errorf("number %d is known: %v, want %v", i, got, want)
		}
	}
	if x := f.find(99*flowSets, now+10); x == nil || x.protocol != DNS {
		t.Errorf("the last one is %+v", x)
	}
	if f.find(99*flowSets, now-3600) == nil {
		t.Error("forgotten as the clock was set back an hour")
	}
	if f.find(99*flowSets, now-2*keepTCP) != nil {
		t.Error("one of the far future is known")
	}
	f.forget(99 * flowSets)
	if f.find(99*flowSets, now+10) != nil {
		t.Error("what was forgotten is known")
	}
}
