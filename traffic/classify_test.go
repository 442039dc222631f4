package traffic

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The beginnings of datagrams and segments.
var (
	// RFC 9001, appendix A: the client's Initial, the server's, a Retry.
	initialV1 = padded(1200, "c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11")
	answerV1  = unhex("cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc42158407dd074ee")
	retryV1   = unhex("ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba")
	// RFC 9369, appendix A.
	initialV2 = padded(1200, "d36b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485dd04")
	retryV2   = unhex("cf6b3343cf0008f067a5502a4262b5746f6b656ec8646ce8bfe33952d955543665dcc7b6")
	// Of a version that nobody has, and its refusal.
	initialGreased = padded(1200, "c01a2a3a4a088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11")
	refusal        = unhex("ba0000000000088394c8f03e5157088a1a2a4a000000016b3343cf")
	short          = padded(60, "4fe5b2")
	notFixed       = padded(60, "0fe5b2")

	query       = dnsMessage(0x0100, [4]uint16{1}, "\x05porch\x05house\x00\x00\x01\x00\x01")
	answer      = dnsMessage(0x8180, [4]uint16{1, 1}, "\x05porch\x05house\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x01\x02\x03")
	queryEDNS   = dnsMessage(0x0120, [4]uint16{1, 0, 0, 1}, "\x05porch\x05house\x00\x00\x41\x00\x01\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x00")
	nothing     = dnsMessage(0x8183, [4]uint16{1}, "\x05porch\x05house\x00\x00\x1c\x00\x01")
	malformed   = dnsMessage(0x8001, [4]uint16{}, "")
	update      = dnsMessage(0x2800, [4]uint16{1, 0, 1}, "\x05house\x00\x00\x06\x00\x01\x05porch\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x01\x02\x03")
	refused     = dnsMessage(0x8185, [4]uint16{0, 0, 0, 1}, "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00")
	keepSession = dnsMessage(0x3000, [4]uint16{}, "\x00\x01\x00\x08\x00\x00\x3a\x98\x00\x00\x3a\x98")
	announce    = dnsMessage(0x8400, [4]uint16{0, 1}, "\x05porch\x05local\x00\x00\x01\x80\x01\x00\x00\x00\x78\x00\x04\x0a\x01\x02\x03")
	browse      = dnsMessage(0, [4]uint16{2}, "\x05_http\x04_tcp\x05local\x00\x00\x0c\x00\x01\xc0\x12\x00\x0c\x00\x01")

	hello       = unhex("160301020001" + "0001fc" + "0303" + strings.Repeat("a7", 60))
	serverHello = unhex("160303007a02" + "000076" + "0303" + strings.Repeat("b7", 116))
	certificate = unhex("16030310000b" + "000ffc" + strings.Repeat("c7", 100)) // of 4096 bytes
	record      = record12(200)
	ending      = unhex("150303001a" + strings.Repeat("d7", 26))
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// padded is what the digits say, made n bytes long.
func padded(n int, s string) []byte { return append(unhex(s), make([]byte, n-len(s)/2)...) }

func dnsMessage(flags uint16, counts [4]uint16, rest string) []byte {
	b := []byte{0x12, 0x34}
	b = binary.BigEndian.AppendUint16(b, flags)
	for _, n := range counts {
		b = binary.BigEndian.AppendUint16(b, n)
	}
	return append(b, rest...)
}

// record12 is a record of TLS 1.2 or 1.3, with n bytes of data.
func record12(n int) []byte {
	b := binary.BigEndian.AppendUint16([]byte{tlsData, 3, 3}, uint16(n))
	return append(b, bytes.Repeat([]byte{0xe5}, n)...)
}

// overTCP is the message behind its length.
func overTCP(message []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
}

// step is a packet, and what it must be taken for.
type step struct {
	packet *Packet
	want   Protocol
}

func ask(port uint16, payload []byte) *Packet {
	return sent(here, there, protoUDP, udp(40000, port, payload))
}

func reply(port uint16, payload []byte) *Packet {
	return got(there, here, protoUDP, udp(port, 40000, payload))
}

// say and hear are segments of one connection, at places in its data.
func say(port uint16, at uint32, payload []byte) *Packet {
	return sent(here, there, protoTCP, tcp(40000, port, 1000+at, ack, payload))
}

func hear(port uint16, at uint32, payload []byte) *Packet {
	return got(there, here, protoTCP, tcp(port, 40000, 7000+at, ack, payload))
}

func after(d time.Duration, p *Packet) *Packet {
	p.At = p.At.Add(d)
	return p
}

func ethernet(etherType uint16, data []byte) *Packet {
	return &Packet{At: clock, EtherType: etherType, Length: 14 + len(data), Data: data}
}

// extended puts extension headers of IPv6 between the header and the body.
func extended(proto byte, headers, body []byte) *Packet {
	return seen(Out, ip(here6, far6, proto, append(slices.Clone(headers), body...)))
}

// fragmented is a fragment of a datagram of IPv4.
func fragmented(id, place uint16, body []byte) *Packet {
	b := ip(there, here, protoUDP, body)
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], place)
	return seen(In, b)
}

// optioned is a packet of IPv4 with the most options that there can be.
func optioned(proto byte, body []byte) *Packet {
	b := ip(here, there, proto, append(bytes.Repeat([]byte{1}, 40), body...))
	b[0] = 0x4f
	return seen(Out, b)
}

const moreFragments = 0x2000

func TestClassify(t *testing.T) {
	for name, steps := range map[string][]step{
		"arp":                  {{ethernet(etherTypeARP, make([]byte, 28)), ARP}},
		"others":               {{ethernet(0x88cc, make([]byte, 60)), Other}, {ethernet(0x888e, make([]byte, 60)), Other}},
		"icmp":                 {{sent(here, there, protoICMP, make([]byte, 8)), ICMP}, {sent(here6, far6, protoICMPv6, make([]byte, 8)), ICMP}},
		"icmp of the other ip": {{sent(here, there, protoICMPv6, make([]byte, 8)), Other}, {sent(here6, far6, protoICMP, make([]byte, 8)), Other}},
		"sctp, gre, esp":       {{sent(here, there, 132, make([]byte, 20)), Other}, {sent(here, there, 47, make([]byte, 20)), Other}, {sent(here6, far6, 50, make([]byte, 20)), Other}},
		"cut off headers":      {{sent(here, there, protoTCP, make([]byte, 4)), TCP}, {sent(here, there, protoUDP, make([]byte, 4)), UDP}, {ethernet(etherTypeIPv4, []byte{0x45}), Other}, {ethernet(etherTypeIPv6, []byte{0x60}), Other}, {ethernet(etherTypeIPv4, nil), Other}},
		"the wrong version":    {{ethernet(etherTypeIPv4, ip(here6, far6, protoUDP, udp(1, 2, nil))), Other}, {ethernet(etherTypeIPv6, ip(here, there, protoUDP, udp(1, 2, make([]byte, 40)))), Other}},

		"dns":                       {{ask(53, query), DNS}, {reply(53, answer), DNS}, {ask(53, queryEDNS), DNS}, {reply(53, nothing), DNS}},
		"dns of ipv6":               {{sent(here6, far6, protoUDP, udp(40000, 53, query)), DNS}},
		"dns on another port":       {{ask(5300, query), DNS}, {reply(5300, answer), DNS}, {ask(5300, queryEDNS), DNS}, {reply(5300, nothing), DNS}},
		"dns's rare messages":       {{ask(53, update), DNS}, {reply(53, malformed), DNS}, {ask(53, keepSession), DNS}},
		"rare ones elsewhere":       {{ask(5300, update), DNS}, {reply(5300, malformed), DNS}, {reply(5300, refused), DNS}, {ask(5300, keepSession), UDP}},
		"dns with ip options":       {{optioned(protoUDP, udp(40000, 53, query)), DNS}},
		"dns, a name cut off":       {{ask(5300, dnsMessage(0x0100, [4]uint16{1}, "\x3f"+strings.Repeat("a", 63)+"\x3f"+strings.Repeat("b", 63)+"\x00\x00\x01\x00\x01")), DNS}},
		"a name not to be read":     {{ask(5300, dnsMessage(0x0100, [4]uint16{1}, "\x05po\x00ch\x00\x00\x01\x00\x01")), UDP}, {ask(53, dnsMessage(0x0100, [4]uint16{1}, "\x05po\x00ch\x00\x00\x01\x00\x01")), DNS}},
		"more behind a query":       {{ask(5300, append(slices.Clone(query), 0)), UDP}},
		"too many records":          {{ask(53, dnsMessage(0x8180, [4]uint16{1, 900}, "\x05porch\x00\x00\x01\x00\x01")), UDP}},
		"no dns on dns's port":      {{ask(53, make([]byte, 40)), UDP}, {ask(53, []byte("hello")), UDP}},
		"netbios, llmnr":            {{ask(137, query), UDP}, {ask(5355, query), UDP}},
		"mdns":                      {{ask(5353, announce), MDNS}, {reply(5353, browse), MDNS}, {reply(5353, make([]byte, 40)), UDP}},
		"dhcp":                      {{sent(netip.IPv4Unspecified(), broadcast, protoUDP, udp(68, 67, padded(300, "01010600"))), DHCP}, {got(there, here, protoUDP, udp(67, 68, padded(300, "02010600"))), DHCP}},
		"none on dhcp's ports":      {{sent(here, there, protoUDP, udp(68, 67, padded(300, "09010600"))), UDP}, {sent(here, there, protoUDP, udp(68, 67, padded(30, "01010600"))), UDP}},
		"dhcpv6":                    {{sent(here6, far6, protoUDP, udp(546, 547, padded(60, "01"))), DHCP}, {got(far6, here6, protoUDP, udp(50000, 546, padded(60, "07"))), DHCP}, {got(far6, here6, protoUDP, udp(50000, 546, padded(60, "ff"))), UDP}},
		"dns over tcp":              {{say(53, 0, overTCP(query)), DNS}, {hear(53, 0, overTCP(answer)), DNS}, {hear(53, 60, make([]byte, 1000)), DNS}, {hear(53, 1060, nil), TCP}},
		"dns over tcp, elsewhere":   {{say(5300, 0, overTCP(query)), DNS}, {hear(5300, 0, overTCP(answer)), DNS}, {hear(5300, 60, make([]byte, 1000)), DNS}},
		"dns, its length alone":     {{say(53, 0, overTCP(query)[:2]), DNS}, {say(53, 2, query), DNS}},
		"dns, a byte of its length": {{say(53, 0, overTCP(query)[:1]), DNS}, {say(53, 1, overTCP(query)[1:]), DNS}, {hear(53, 0, overTCP(answer)), DNS}},
		"dns, in pieces":            {{say(53, 0, overTCP(query)[:9]), DNS}, {say(53, 9, overTCP(query)[9:]), DNS}, {say(54, 0, overTCP(query)[:9]), TCP}},
		"a word on dns's port":      {{say(53, 0, []byte("hello")), TCP}, {say(53, 5, []byte("Q")), TCP}},
		"two questions":             {{ask(53, browse), DNS}, {ask(5300, browse), UDP}},
		"no dns over tcp":           {{say(5300, 0, query), TCP}, {say(53, 0, []byte("GET / HTTP/1.1\r\nHost: porch\r\n\r\n")), TCP}},

		"quic":            {{ask(4567, initialV1), QUIC}, {reply(4567, answerV1), QUIC}, {ask(4567, short), QUIC}, {reply(4567, short), QUIC}, {reply(4567, nil), UDP}},
		"quic, version 2": {{ask(443, initialV2), QUIC}, {reply(443, retryV2), QUIC}, {reply(443, short), QUIC}},
		"quic, sent on":   {{ask(443, initialV1), QUIC}, {reply(443, retryV1), QUIC}},
		"quic, refused":   {{ask(443, initialGreased), QUIC}, {reply(443, refusal), QUIC}, {ask(443, initialV1), QUIC}},
		"others on quic's port": { // WireGuard, STUN, DTLS, RTP, OpenVPN, IPsec, RakNet, a game, VXLAN
			{ask(443, padded(148, "01000000a7b8c9da")), UDP},
			{reply(443, padded(1280, "04000000000100000000000000000000")), UDP},
			{ask(443, padded(20, "000100002112a442")), UDP},
			{reply(443, padded(1200, "16fefd0000000000000001")), UDP},
			{ask(443, padded(172, "8000000000000000a7b8c9da")), UDP},
			{ask(443, padded(42, "38a7b8c9da")), UDP},
			{reply(443, padded(1300, "c00000000000000100000000")), UDP},
			{ask(443, padded(1400, "8400000040")), UDP},
			{ask(443, padded(25, "ffffffff54536f75")), UDP},
			{ask(443, padded(1400, "0800000000010000ffffffffffff")), UDP},
		},
		"others on any port": { // BitTorrent's, NTP, SIP, SSDP, SNMP, TFTP
			{ask(6881, []byte("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe")), UDP},
			{ask(6881, padded(20, "4100a7b800010000")), UDP},
			{ask(123, padded(48, "e30006ec0001000000000000")), UDP},
			{ask(5060, []byte("OPTIONS sip:porch SIP/2.0\r\n")), UDP},
			{ask(1900, []byte("M-SEARCH * HTTP/1.1\r\n")), UDP},
			{ask(161, padded(43, "302902010104067075626c6963")), UDP},
			{reply(69, padded(516, "00038001")), UDP},
		},
		"quic's port alone":         {{ask(443, short), UDP}, {ask(443, padded(1250, "c5e5b2")), UDP}},
		"quic, an initial short":    {{ask(443, initialV1[:1199]), UDP}},
		"quic, a wrong version":     {{ask(443, padded(1200, "c000000002088394c8f03e5157080000449e")), UDP}},
		"quic, no fixed bit":        {{ask(443, initialV1), QUIC}, {ask(443, notFixed), UDP}, {reply(443, answerV1), QUIC}, {ask(443, notFixed), QUIC}},
		"quic, its ids too long":    {{ask(443, padded(1200, "c000000001158394c8f03e515708")), UDP}},
		"quic, silent for too long": {{ask(443, initialV1), QUIC}, {reply(443, answerV1), QUIC}, {after(10*time.Minute, ask(443, short)), QUIC}, {after(21*time.Minute, ask(443, notFixed)), UDP}},
		"quic, moved": {
			{ask(443, initialV1), QUIC},
			{sent(here, there, protoUDP, udp(40001, 443, short)), UDP}, // it may be no server
			{reply(443, answerV1), QUIC},
			{sent(here, there, protoUDP, udp(40001, 443, short)), QUIC},
			{sent(here, there, protoUDP, udp(40002, 444, short)), UDP},
			{sent(here, there, protoUDP, udp(40003, 443, notFixed)), UDP},
		},

		"tls": {
			{sent(here, there, protoTCP, tcp(40000, 8000, 999, syn, nil)), TCP},
			{got(there, here, protoTCP, tcp(8000, 40000, 6999, syn|ack, nil)), TCP},
			{say(8000, 0, hello), TLS},
			{hear(8000, 0, nil), TCP},
			{hear(8000, 0, serverHello), TLS},
			{hear(8000, 127, bytes.Repeat([]byte{7}, 1448)), TLS},
			{say(8000, 70, []byte{1}), TLS},
		},
		"tls's port alone":      {{say(443, 0, []byte("GET / HTTP/1.1\r\n")), TCP}},
		"tls after other words": {{hear(25, 0, []byte("220 ready\r\n")), TCP}, {say(25, 0, []byte("STARTTLS\r\n")), TCP}, {say(25, 10, hello), TLS}, {hear(25, 11, serverHello), TLS}},
		"tls, ended":            {{say(443, 0, hello), TLS}, {sent(here, there, protoTCP, tcp(40000, 443, 5, syn, nil)), TCP}, {say(443, 0, []byte("GET / HTTP/1.1\r\n")), TCP}},
		"tls, said with syn":    {{sent(here, there, protoTCP, tcp(40000, 443, 5, syn, hello)), TLS}},
		"tls in ipv6":           {{sent(here6, far6, protoTCP, tcp(40000, 443, 5, ack, hello)), TLS}},
		"tls from the midst":    {{hear(443, 0, record), TLS}, {hear(443, 205, []byte{1, 2, 3}), TLS}},
		"two records":           {{hear(443, 0, append(slices.Clone(ending), record12(1400)...)[:1000]), TLS}},
		"a long record from the midst": {
			{hear(443, 0, record12(2000)[:1448]), TCP}, // it may be by chance
			{hear(443, 1448, record12(2000)[1448:]), TCP},
			{say(443, 0, []byte("none")), TCP},
			{hear(443, 2005, record12(3000)[:1448]), TLS},
		},
		"something like a record": {
			{hear(443, 0, record12(2000)[:1448]), TCP},
			{hear(443, 1448, record12(2000)[1448:]), TCP},
			{hear(443, 2005, []byte("hello")), TCP},
			{hear(443, 2010, make([]byte, 1448)), TCP},
		},
		"no hello": {
			{say(443, 0, certificate), TCP},
			{say(444, 0, unhex("16030102000100000003"+"03"+strings.Repeat("a7", 60))), TCP},
			{say(445, 0, unhex("16030102000100"+"01fc"+"0203"+strings.Repeat("a7", 60))), TCP},
		},
		"tls, silent for a day": {{say(443, 0, hello), TLS}, {after(25*time.Hour, say(443, 70, []byte("what?"))), TCP}},

		"fragments": {
			{fragmented(7, moreFragments, udp(53, 40000, answer)), DNS},
			{fragmented(7, 185, make([]byte, 60)), DNS},
			{fragmented(8, 185, make([]byte, 60)), UDP},
			{after(time.Minute, fragmented(7, 185, make([]byte, 60))), UDP},
		},
		"extension headers": {
			{extended(protoHopByHop, []byte{protoUDP, 0, 1, 4, 0, 0, 0, 0}, udp(40000, 53, query)), DNS},
			{extended(protoDestination, []byte{protoAH, 0, 1, 4, 0, 0, 0, 0, protoTCP, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, tcp(1, 2, 3, ack, hello)), TLS},
			{extended(protoFragment, []byte{protoUDP, 0, 0, 1, 0, 0, 0, 9}, udp(40000, 53, query)), DNS},
			{extended(protoFragment, []byte{protoUDP, 0, 0, 8, 0, 0, 0, 9}, make([]byte, 60)), DNS},
			{extended(protoFragment, []byte{protoUDP, 0, 0, 8, 0, 0, 0, 8}, make([]byte, 60)), UDP},
			{extended(59, nil, nil), Other},
			{extended(protoRouting, bytes.Repeat([]byte{protoRouting, 0, 0, 0, 0, 0, 0, 0}, 11), nil), Other},
			{extended(protoDestination, []byte{protoUDP, 255, 1, 4, 0, 0, 0, 0}, make([]byte, 100)), UDP},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := classifier{newFlows()}
			var got, want []Protocol
			for _, s := range steps {
				p, _ := c.classify(s.packet, new(head))
				got, want = append(got, p), append(want, s.want)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("taken for (-want +got):\n%s", diff)
			}
		})
	}
}

// TestShortFrames: the padding of a short frame is no data.
func TestShortFrames(t *testing.T) {
	p := say(443, 0, nil)
	p.Data = append(p.Data, hello[:6]...)
	h := new(head)
	c := classifier{newFlows()}
	if got, _ := c.classify(p, h); got != TCP || len(h.body) != 0 {
		t.Errorf("a bare acknowledgement is taken for %v, with %d bytes", got, len(h.body))
	}
}

// TestUncut: what was not cut into segments yet has no length in its header.
func TestUncut(t *testing.T) {
	for _, p := range []*Packet{say(443, 0, hello), sent(here6, far6, protoTCP, tcp(1, 443, 0, ack, hello))} {
		copy(p.Data[map[uint16]int{etherTypeIPv4: 2, etherTypeIPv6: 4}[p.EtherType]:], []byte{0, 0})
		p.Length = 100_000
		c := classifier{newFlows()}
		if got, _ := c.classify(p, new(head)); got != TLS {
			t.Errorf("of type %x: taken for %v, want TLS", p.EtherType, got)
		}
	}
}

// TestTransferFromItsMidst: a download that was begun before there was counting is
// known to be TLS soon, wherever its records begin in the segments.
func TestTransferFromItsMidst(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	stream := make([]byte, 0, 3<<20)
	for len(stream) < 3<<20-1<<15 {
		r := record12(1<<14 + 17)
		for i := range r[tlsHeader:] {
			r[tlsHeader+i] = byte(random.Uint32())
		}
		stream = append(stream, r...)
	}
	worst := 0
	for range 20 {
		c := classifier{newFlows()}
		at := random.IntN(1 << 15)
		start := at
		for ; at+1448 < len(stream); at += 1448 {
			if got, _ := c.classify(hear(4433, uint32(at), stream[at:at+1448]), new(head)); got == TLS {
				break
			}
		}
		worst = max(worst, at-start)
	}
	t.Logf("known after %d bytes at most", worst)
	if worst > 2<<20 {
		t.Errorf("a download is known after %d bytes only", worst)
	}
}

// TestNoise: random bytes are taken for nothing, on whatever port.
func TestNoise(t *testing.T) {
	n := 2_000_000
	if testing.Short() || raced {
		n = 200_000
	}
	random := rand.New(rand.NewPCG(3, 4))
	c := classifier{newFlows()}
	counts := map[Protocol]int{}
	payload := make([]byte, 100)
	datagram := ask(53, payload)
	segment := say(443, 0, payload)
	ports := []uint16{53, 443, 853, 5300, 5353, 40000}
	for i := range n {
		for at := 0; at < len(payload); at += 4 {
			binary.BigEndian.PutUint32(payload[at:], random.Uint32())
		}
		p, body := datagram, datagram.Data[20:]
		if i%2 == 0 {
			p, body = segment, segment.Data[20:]
		}
		binary.BigEndian.PutUint32(p.Data[16:], random.Uint32()) // of another one each
		binary.BigEndian.PutUint16(body[2:], ports[i/2%len(ports)])
		copy(p.Data[len(p.Data)-len(payload):], payload)
		if i%2 == 1 {
			binary.BigEndian.PutUint16(p.Data[2:], 1300) // it goes on
			binary.BigEndian.PutUint16(body[4:], 1280)
		}
		got, _ := c.classify(p, new(head))
		counts[got]++
	}
	t.Logf("%d random payloads are taken for %v", n, counts)
	if diff := cmp.Diff(map[Protocol]int{TCP: n / 2, UDP: n / 2}, counts); diff != "" {
		t.Errorf("random payloads (-want +got):\n%s", diff)
	}
}
