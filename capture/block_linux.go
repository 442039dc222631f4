package capture

import (
	"encoding/binary"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// Packet is the beginning of one that passed an interface.
type Packet struct {
	At        time.Time
	Index     int    // of the interface
	Out       bool   // this machine sent it
	EtherType uint16 // of what Data is, behind VLAN tags
	Length    int    // bytes, with the link's header and VLAN tags
	Data      []byte // from the network header on; valid until the handler returns
}

// linkRoom is how much of a frame a link's own header takes at most: Ethernet's,
// with two VLAN tags.
const linkRoom = headerLen + maxTags*tagLen

// Where the fields are that are read: struct tpacket_block_desc and, of a packet,
// struct tpacket3_hdr with the struct sockaddr_ll behind it (linux/if_packet.h).
const (
	blockStatus = 8
	blockCount  = 12
	blockFirst  = 16

	packetNext     = 0
	packetSeconds  = 4
	packetNanos    = 8
	packetSnap     = 12
	packetLength   = 16
	packetStatus   = 20
	packetLink     = 24 // where the link's header begins
	packetNetwork  = 26 // where the network header begins
	packetProtocol = 48 + 2
	packetIndex    = 48 + 4
	packetHardware = 48 + 8
	packetType     = 48 + 10
	packetHeader   = 48 + 20
)

// packets hands over the packets of a block. The kernel wrote the lengths, but a
// wrong one does no harm.
func packets(block []byte, snap int, handle func(*Packet)) {
	native := binary.NativeEndian
	at := uint64(native.Uint32(block[blockFirst:]))
	var p Packet
	for range native.Uint32(block[blockCount:]) {
		if at+packetHeader > uint64(len(block)) {
			return
		}
		b := block[at:]
		if read(b, snap, &p) {
			handle(&p)
		}
		step := native.Uint32(b[packetNext:])
		if step == 0 {
			return
		}
		at += uint64(step)
	}
}

// read reads the packet at the beginning of b, which is long enough for its
// header, and reports whether it is one that counts.
func read(b []byte, snap int, p *Packet) bool {
	native := binary.NativeEndian
	from, network := int(native.Uint16(b[packetLink:])), int(native.Uint16(b[packetNetwork:]))
	held, length := native.Uint32(b[packetSnap:]), native.Uint32(b[packetLength:])
	if from > len(b) || uint64(held) > uint64(len(b)-from) || length > math.MaxInt32 {
		return false
	}
	frame := b[from:][:held]
	switch b[packetType] {
	case unix.PACKET_OUTGOING:
		p.Out = true
	case unix.PACKET_HOST, unix.PACKET_BROADCAST, unix.PACKET_MULTICAST:
		p.Out = false
	default:
		return false
	}
	switch {
	case native.Uint16(b[packetHardware:]) == unix.ARPHRD_ETHER:
		p.EtherType, p.Data = behindTags(frame)
	case network < from || network > from+len(frame):
		return false
	default:
		p.EtherType, p.Data = binary.BigEndian.Uint16(b[packetProtocol:]), frame[network-from:]
	}
	p.Data = p.Data[:min(len(p.Data), snap)]
	p.Length = int(length)
	if native.Uint32(b[packetStatus:])&unix.TP_STATUS_VLAN_VALID != 0 {
		p.Length += tagLen // the outer tag, which the kernel took out
	}
	p.At = time.Unix(int64(native.Uint32(b[packetSeconds:])), int64(native.Uint32(b[packetNanos:])))
	p.Index = int(native.Uint32(b[packetIndex:]))
	return true
}

// behindTags returns what an Ethernet frame carries behind its VLAN tags. What
// is no Ethernet II has the EtherType 0.
func behindTags(frame []byte) (etherType uint16, data []byte) {
	for at := headerLen; at <= min(len(frame), linkRoom); at += tagLen {
		switch etherType = binary.BigEndian.Uint16(frame[at-2:]); {
		case etherType == etherTypeVLAN || etherType == etherTypeServiceVLAN:
		case etherType < minEtherType:
			return 0, frame[at:]
		default:
			return etherType, frame[at:]
		}
	}
	return 0, nil
}
