package dhcpwatch

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"porchlight/capture"
	"porchlight/presence"
)

var (
	phone   = presence.MAC{0xda, 0xa1, 0x19, 0x00, 0x00, 0x07}
	gateway = presence.MAC{0x02, 0xaa, 0x00, 0x00, 0x00, 0x01}
	heardAt = time.Date(2026, 3, 1, 7, 30, 0, 123456789, time.UTC)
)

// options is what a client puts after the header, in its own order.
type options []byte

func (o options) with(code dhcpv4.OptionCode, value ...byte) options {
	o = append(o, code.Code(), byte(len(value)))
	return append(o, value...)
}

func (o options) text(code dhcpv4.OptionCode, value string) options {
	return o.with(code, []byte(value)...)
}

func typed(t dhcpv4.MessageType) options {
	return options(nil).with(dhcpv4.OptionDHCPMessageType, byte(t))
}

// bootp is the fixed part of a message.
type bootp struct {
	op             byte
	ciaddr, yiaddr net.IP
	giaddr         net.IP
	chaddr         presence.MAC
}

// message puts the parts together as they stand on the wire.
func (b bootp) message(o options) []byte {
	m := make([]byte, headerLen, headerLen+len(o)+1)
	m[0], m[1], m[2] = b.op, 1, 6
	copy(m[12:], b.ciaddr.To4())
	copy(m[16:], b.yiaddr.To4())
	copy(m[24:], b.giaddr.To4())
	copy(m[28:], b.chaddr[:])
	copy(m[236:], []byte{99, 130, 83, 99})
	return append(append(m, o...), dhcpv4.OptionEnd.Code())
}

// client is a message of the phone with the given options.
func client(o options) []byte { return bootp{op: 1, chaddr: phone}.message(o) }

// ethernet wraps payload in a frame.
func ethernet(dst, src presence.MAC, etherType uint16, payload []byte) []byte {
	f := append(append([]byte{}, dst[:]...), src[:]...)
	return append(binary.BigEndian.AppendUint16(f, etherType), payload...)
}

// tagged puts a VLAN tag into a frame.
func tagged(frame []byte, vlan uint16) []byte {
	f := append([]byte{}, frame[:12]...)
	f = binary.BigEndian.AppendUint16(f, 0x8100)
	f = binary.BigEndian.AppendUint16(f, vlan)
	return append(f, frame[12:]...)
}

// udp wraps payload in IPv4 and UDP. The header's checksum is right, as Linux
// bridges with netfilter drop others.
func udp(src, dst uint16, payload []byte) []byte {
	p := make([]byte, ipv4HeaderLen+udpHeaderLen, ipv4HeaderLen+udpHeaderLen+len(payload))
	p[0], p[8], p[9] = 0x45, 64, protocolUDP
	binary.BigEndian.PutUint16(p[2:], uint16(cap(p)))
	binary.BigEndian.PutUint16(p[20:], src)
	binary.BigEndian.PutUint16(p[22:], dst)
	binary.BigEndian.PutUint16(p[24:], uint16(udpHeaderLen+len(payload)))
	copy(p[16:], net.IPv4bcast.To4())
	var sum uint32
	for i := 0; i < ipv4HeaderLen; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum))
	return append(p, payload...)
}

// fromClient is the usual frame of a client: broadcast, from its own address.
func fromClient(message []byte) []byte {
	return ethernet(broadcast, phone, capture.EtherTypeIPv4, udp(clientPort, serverPort, message))
}

// fromServer is the usual frame of a server's answer to the phone.
func fromServer(message []byte) []byte {
	return ethernet(phone, gateway, capture.EtherTypeIPv4, udp(serverPort, clientPort, message))
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

// recorded reads the frames of a capture file in testdata.
func recorded(t testing.TB, path string) (frames [][]byte) {
	t.Helper()
	f, err := capture.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		r, err := f.Next()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, append([]byte{}, r.Raw...))
	}
}

// devices are first messages of several kinds of devices, with the options
// that their makers send.
var devices = map[string][]byte{
	"Android": fromClient(client(typed(dhcpv4.MessageTypeRequest).
		with(dhcpv4.OptionClientIdentifier, append([]byte{1}, phone[:]...)...).
		with(dhcpv4.OptionRequestedIPAddress, 192, 168, 1, 57).
		with(dhcpv4.OptionMaximumDHCPMessageSize, 0x05, 0xdc).
		text(dhcpv4.OptionClassIdentifier, "android-dhcp-14").
		text(dhcpv4.OptionHostName, "Pixel-8").
		with(dhcpv4.OptionParameterRequestList, 1, 3, 6, 15, 26, 28, 51, 58, 59, 43, 114, 108))),
	"iOS": fromClient(client(typed(dhcpv4.MessageTypeRequest).
		with(dhcpv4.OptionParameterRequestList, 1, 121, 3, 6, 15, 108, 114, 119, 252).
		with(dhcpv4.OptionMaximumDHCPMessageSize, 0x05, 0xdc).
		with(dhcpv4.OptionClientIdentifier, append([]byte{1}, phone[:]...)...).
		with(dhcpv4.OptionRequestedIPAddress, 192, 168, 1, 58).
		with(dhcpv4.OptionIPAddressLeaseTime, 0, 0x76, 0xa7, 0).
		text(dhcpv4.OptionHostName, "Annas-iPhone"))),
	"Windows": fromClient(client(typed(dhcpv4.MessageTypeDiscover).
		with(dhcpv4.OptionClientIdentifier, append([]byte{1}, phone[:]...)...).
		with(dhcpv4.OptionRequestedIPAddress, 192, 168, 1, 59).
		text(dhcpv4.OptionHostName, "DESKTOP-7QK2").
		text(dhcpv4.OptionFQDN, "\x00\x00\x00DESKTOP-7QK2.corp.example").
		text(dhcpv4.OptionClassIdentifier, "MSFT 5.0").
		with(dhcpv4.OptionParameterRequestList, 1, 3, 6, 15, 31, 33, 43, 44, 46, 47, 119, 121, 249, 252))),
}
