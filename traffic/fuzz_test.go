package traffic

import "testing"

// FuzzClassify: whatever strangers send, as the only packet and again in its flow,
// has a protocol, and costs no memory.
func FuzzClassify(f *testing.F) {
	for _, p := range []*Packet{
		ask(53, query), reply(53, answer), ask(5353, announce), say(53, 0, overTCP(query)),
		ask(443, initialV1), ask(443, initialV2), reply(443, refusal), reply(443, retryV1),
		say(443, 0, hello), hear(443, 0, record), hear(443, 0, record12(2000)), say(443, 0, certificate),
		fragmented(7, moreFragments, udp(53, 40000, answer)),
		extended(protoFragment, []byte{protoUDP, 0, 0, 1, 0, 0, 0, 9}, udp(40000, 53, query)),
		ethernet(etherTypeARP, make([]byte, 28)),
		sent(here, there, protoUDP, append([]byte{0x12, 0x12, 0x12, 0x35, 0, 0, 0, 0}, query...)), // a length that does not hold the header
	} {
		f.Add(p.Data, p.EtherType, p.Length)
	}
	c := classifier{newFlows()}
	h := new(head)
	f.Fuzz(func(t *testing.T, data []byte, etherType uint16, length int) {
		for _, d := range []Direction{In, Out, In} {
			p := &Packet{At: clock, Direction: d, EtherType: etherType, Length: length, Data: data[:min(len(data), SnapLen)]}
			got, other := c.classify(p, h)
			if got >= protocols {
				t.Errorf("protocol %d", got)
			}
			if got == Other && other.IsValid() && etherType != etherTypeIPv4 && etherType != etherTypeIPv6 {
				t.Errorf("%v is at the other end of no IP", other)
			}
			if len(h.body) > max(h.length, 0) && h.body != nil {
				t.Errorf("%d bytes are seen of %d", len(h.body), h.length)
			}
			if n := testing.AllocsPerRun(5, func() { _, _ = c.classify(p, h) }); n > 0 {
				t.Errorf("%v allocations", n)
			}
		}
	})
}
