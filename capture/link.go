package capture

import (
	"encoding/binary"
	"errors"

	"github.com/gopacket/gopacket/layers"

	"porchlight/presence"
)

// Link types of captures, beside those that package layers names
// (www.tcpdump.org/linktypes.html).
const (
	linkRawBSD     layers.LinkType = 12 // DLT_RAW as most systems number it
	linkRawOpenBSD layers.LinkType = 14
)

// errLink is what a frame is that cannot be read for its link type.
var errLink = errors.New("frame of a link type that cannot be read")

// readable reports whether Frame reads this link type.
func readable(t layers.LinkType) bool {
	switch t {
	case layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL, layers.LinkTypeLinuxSLL2, layers.LinkTypeNull, layers.LinkTypeLoop,
		layers.LinkTypeRaw, layers.LinkTypeIPv4, layers.LinkTypeIPv6, linkRawBSD, linkRawOpenBSD:
		return true
	}
	return false
}

// Frame cuts the record's frame: of Ethernet, of what Linux captures on "any"
// (cooked, versions 1 and 2), of BSD loopbacks, and of tunnels that have no
// header. Of Ethernet the error is Parse's.
func (r Record) Frame() (Frame, error) {
	f := Frame{At: r.At, Interface: r.Interface}
	switch r.Link {
	case layers.LinkTypeEthernet:
		return Parse(r.At, r.Interface, r.Raw)
	case layers.LinkTypeLinuxSLL:
		return f.cooked(r.Raw, 14, 16, 1)
	case layers.LinkTypeLinuxSLL2:
		return f.cooked(r.Raw, 0, 20, 10)
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		return f.loopback(r.Raw)
	case layers.LinkTypeRaw, layers.LinkTypeIPv4, layers.LinkTypeIPv6, linkRawBSD, linkRawOpenBSD:
		return f.bare(r.Raw)
	}
	return Frame{}, errLink
}

// Broadcast is the address of all stations (IEEE 802, 8.2.2), and toAll what
// cooked frames have for it.
var Broadcast = presence.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

const toAll = 1

// cooked reads a frame that has its protocol and its payload at these places
// (www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html and …_SLL2.html). What is
// no EtherType there is smaller than any. Of where it was sent to it says only
// whether that was to all.
func (f Frame) cooked(raw []byte, protocol, payload, kind int) (Frame, error) {
	if len(raw) < payload {
		return Frame{}, errShort
	}
	if raw[kind] == toAll {
		f.Dst = Broadcast
	}
	f.EtherType = binary.BigEndian.Uint16(raw[protocol:])
	if err := f.untag(vlanPath{}, 0, raw[payload:]); err != nil {
		return Frame{}, err
	}
	return f, nil
}

// loopback reads a frame with the number of an address family before it, in the
// byte order of whoever wrote it (LINKTYPE_NULL) or in the network's
// (LINKTYPE_LOOP). The numbers are small.
func (f Frame) loopback(raw []byte) (Frame, error) {
	if len(raw) < 4 {
		return Frame{}, errShort
	}
	family := binary.BigEndian.Uint32(raw)
	if family > 0xffff {
		family = binary.LittleEndian.Uint32(raw)
	}
	f.Payload = raw[4:]
	switch family {
	case 2:
		f.EtherType = EtherTypeIPv4
	case 10, 24, 28, 30: // Linux, NetBSD and OpenBSD, FreeBSD, macOS
		f.EtherType = EtherTypeIPv6
	default:
		return Frame{}, errLink
	}
	return f, nil
}

// bare reads a frame that begins with the IP header.
func (f Frame) bare(raw []byte) (Frame, error) {
	if len(raw) == 0 {
		return Frame{}, errShort
	}
	f.Payload = raw
	switch raw[0] >> 4 {
	case 4:
		f.EtherType = EtherTypeIPv4
	case 6:
		f.EtherType = EtherTypeIPv6
	default:
		return Frame{}, errLink
	}
	return f, nil
}
