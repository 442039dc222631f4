package traffic

import "time"

// SnapLen is how many bytes of a packet are looked at, from the network header on:
// the headers of IPv6 and TCP with options, and the first bytes behind them.
const SnapLen = 128

// Packet is the beginning of one that passed.
type Packet struct {
	At        time.Time
	Interface int // its index
	Direction Direction
	EtherType uint16 // of what Data is (IEEE 802 numbers), behind VLAN tags
	Length    int    // bytes on the wire, with the link's header
	Data      []byte // from the network header on, SnapLen at most
}
