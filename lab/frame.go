package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

const (
	etherARP  = 0x0806
	etherIPv4 = 0x0800
	// minFrame is Ethernet's least length without the checksum; cards pad to it.
	minFrame = 60

	arpRequest = 1
	arpReply   = 2
)

// ARP is an ARP packet for IPv4 (RFC 826) with its Ethernet header.
type ARP struct {
	Dst, Src   MAC // of the Ethernet header
	Reply      bool
	SenderMAC  MAC
	SenderAddr netip.Addr // invalid: 0.0.0.0
	TargetMAC  MAC
	TargetAddr netip.Addr
}

// Announcement is an ARP announcement (RFC 5227, section 2.3).
func Announcement(mac MAC, a netip.Addr) ARP {
	return ARP{Dst: Broadcast, Src: mac, SenderMAC: mac, SenderAddr: a, TargetAddr: a}
}

// AddressProbe is an ARP probe (RFC 5227, section 2.1.1): may I use a?
func AddressProbe(mac MAC, a netip.Addr) ARP {
	return ARP{Dst: Broadcast, Src: mac, SenderMAC: mac, TargetAddr: a}
}

// Request asks everyone who has the target address.
func Request(mac MAC, sender, target netip.Addr) ARP {
	return ARP{Dst: Broadcast, Src: mac, SenderMAC: mac, SenderAddr: sender, TargetAddr: target}
}

// Frame returns the packet as it stands on the wire, 60 bytes long.
func (a ARP) Frame() []byte { return a.append(make([]byte, 0, minFrame)) }

func (a ARP) append(b []byte) []byte {
	op := byte(arpRequest)
	if a.Reply {
		op = arpReply
	}
	start := len(b)
	b = append(b, a.Dst[:]...)
	b = append(b, a.Src[:]...)
	b = append(b, etherARP>>8, etherARP&0xff, 0, 1, etherIPv4>>8, etherIPv4&0xff, 6, 4, 0, op)
	b = append(b, a.SenderMAC[:]...)
	b = append(b, four(a.SenderAddr)...)
	b = append(b, a.TargetMAC[:]...)
	b = append(b, four(a.TargetAddr)...)
	for len(b)-start < minFrame {
		b = append(b, 0)
	}
	return b
}

func four(a netip.Addr) []byte {
	if !a.Is4() {
		return []byte{0, 0, 0, 0}
	}
	b := a.As4()
	return b[:]
}

// parseARP reads an ARP packet for IPv4 from an Ethernet frame. ok is false
// for everything else.
func parseARP(b []byte) (a ARP, ok bool) {
	if len(b) < 42 || binary.BigEndian.Uint16(b[12:]) != etherARP ||
		binary.BigEndian.Uint64(b[14:])>>16 != 0x0001_0800_0604 {
		return ARP{}, false
	}
	op := binary.BigEndian.Uint16(b[20:])
	if op != arpRequest && op != arpReply {
		return ARP{}, false
	}
	a = ARP{
		Dst: MAC(b[0:6]), Src: MAC(b[6:12]), Reply: op == arpReply,
		SenderMAC: MAC(b[22:28]), TargetMAC: MAC(b[32:38]),
		TargetAddr: netip.AddrFrom4([4]byte(b[38:42])),
	}
	if s := netip.AddrFrom4([4]byte(b[28:32])); !s.IsUnspecified() {
		a.SenderAddr = s
	}
	return a, true
}

// DHCP is a client's DHCPv4 message with its Ethernet, IP and UDP headers.
type DHCP struct {
	Type        dhcpv4.MessageType
	MAC         MAC        // chaddr
	Src         MAC        // of the Ethernet header; zero: MAC
	Dst         MAC        // of the Ethernet header; zero: everyone
	From, To    netip.Addr // of the IP header; invalid: 0.0.0.0 and 255.255.255.255
	HostName    string     // option 12
	VendorClass string     // option 60
	Params      []byte     // option 55
	Requested   netip.Addr // option 50
	Server      netip.Addr // option 54
	ClientAddr  netip.Addr // ciaddr
	Options     []dhcpv4.Option
}

// Frame returns the message as it stands on the wire.
func (d DHCP) Frame() ([]byte, error) {
	m, err := dhcpv4.New(dhcpv4.WithMessageType(d.Type), dhcpv4.WithHwAddr(hw(d.MAC)))
	if err != nil {
		return nil, fmt.Errorf("building a DHCP %v: %w", d.Type, err)
	}
	if d.ClientAddr.IsValid() {
		m.ClientIPAddr = net.IP(d.ClientAddr.AsSlice())
	}
	if d.HostName != "" {
		m.UpdateOption(dhcpv4.OptHostName(d.HostName))
	}
	if d.VendorClass != "" {
		m.UpdateOption(dhcpv4.OptClassIdentifier(d.VendorClass))
	}
	if len(d.Params) > 0 {
		m.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionParameterRequestList, d.Params))
	}
	if d.Requested.IsValid() {
		m.UpdateOption(dhcpv4.OptRequestedIPAddress(d.Requested.AsSlice()))
	}
	if d.Server.IsValid() {
		m.UpdateOption(dhcpv4.OptServerIdentifier(d.Server.AsSlice()))
	}
	for _, o := range d.Options {
		m.UpdateOption(o)
	}
	src, dst := d.Src, d.Dst
	if src == (MAC{}) {
		src = d.MAC
	}
	if dst == (MAC{}) {
		dst = Broadcast
	}
	to := d.To
	if !to.IsValid() {
		to = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	return udpFrame(dst, src, d.From, to, 68, 67, m.ToBytes()), nil
}

const udpHeaders = 14 + 20 + 8

// udpFrame wraps payload in UDP (RFC 768), IPv4 (RFC 791) and Ethernet headers.
func udpFrame(dst, src MAC, from, to netip.Addr, sport, dport uint16, payload []byte) []byte {
	b := make([]byte, udpHeaders+len(payload))
	copy(b[0:], dst[:])
	copy(b[6:], src[:])
	binary.BigEndian.PutUint16(b[12:], etherIPv4)
	ip := b[14:34]
	ip[0], ip[8], ip[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(ip[2:], uint16(28+len(payload)))
	copy(ip[12:], four(from))
	copy(ip[16:], four(to))
	binary.BigEndian.PutUint16(ip[10:], checksum(0, ip))
	udp := b[34:]
	binary.BigEndian.PutUint16(udp[0:], sport)
	binary.BigEndian.PutUint16(udp[2:], dport)
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	copy(udp[8:], payload)
	sumUDP(b)
	return b
}

// sumUDP sets the UDP checksum of a frame that udpFrame has made.
func sumUDP(b []byte) {
	udp := b[34:]
	udp[6], udp[7] = 0, 0
	pseudo := uint32(17 + len(udp))
	for i := 26; i < 34; i += 2 { // the IP addresses
		pseudo += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum := checksum(pseudo, udp)
	if sum == 0 {
		sum = 0xffff // 0 means none
	}
	binary.BigEndian.PutUint16(udp[6:], sum)
}

// checksum is the Internet checksum (RFC 1071) of b, begun with sum.
func checksum(sum uint32, b []byte) uint16 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
