package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/mdlayher/socket"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// What the kernel shares with a Ring. A block is handed over when it is full, or
// retireAfter when it is not.
const (
	ringBlock   = 256 << 10
	ringBlocks  = 16
	ringSlot    = 2048                   // the longest packet; the kernel wants to know, and packs shorter ones
	retireAfter = 100 * time.Millisecond // or twice that: it looks that often
)

// linkRoom is how much of a frame a link's own header takes at most: Ethernet's,
// with two VLAN tags.
const linkRoom = headerLen + maxTags*tagLen

// Packet is the beginning of one that passed an interface.
type Packet struct {
	At        time.Time
	Index     int    // of the interface
	Out       bool   // this machine sent it
	EtherType uint16 // of what Data is, behind VLAN tags
	Length    int    // bytes, with the link's header and VLAN tags
	Data      []byte // from the network header on; valid until the handler returns
}

// Ring hears the beginnings of all packets that pass interfaces of this machine,
// whatever their link is, in both directions, from memory that it shares with
// the kernel (packet(7), TPACKET_V3). Frames to other stations are left out.
//
// What the kernel handles as one packet is one, be it several on the wire (GRO,
// GSO): as in tcpdump. Where few pass they come up to two tenths of a second late.
//
// One goroutine calls Wait and Take; the other methods may be called from any,
// but Close only when it has ended.
type Ring struct {
	sock   *socket.Conn
	raw    syscall.RawConn
	memory []byte
	snap   int // bytes of each packet, from the network header on
	next   int // the block that is filled next
}

// OpenRing opens a ring in the network namespace of the calling thread. It hears
// nothing until Hear, then snap bytes of each packet from the network header on.
// The error is os.ErrPermission when the right is missing, and names the remedy.
func OpenRing(snap int) (_ *Ring, err error) {
	sock, err := socket.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0, "packet", nil)
	if err != nil {
		return nil, permission(err)
	}
	r := &Ring{sock: sock, snap: snap}
	defer func() {
		if err != nil {
			r.Close()
		}
	}()
	if err := r.Hear(nil); err != nil {
		return nil, err
	}
	if err := sock.SetsockoptInt(unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return nil, fmt.Errorf("choosing the ring's version: %w", err)
	}
	if r.raw, err = sock.SyscallConn(); err != nil {
		return nil, err
	}
	if err := r.share(); err != nil {
		return nil, err
	}
	// All interfaces, those to come too: the filter selects.
	if err := sock.Bind(&unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL)}); err != nil {
		return nil, fmt.Errorf("binding to all interfaces: %w", err)
	}
	return r, nil
}

// share has the kernel make the ring, and maps it.
func (r *Ring) share() error {
	req := unix.TpacketReq3{
		Block_size: ringBlock, Block_nr: ringBlocks,
		Frame_size: ringSlot, Frame_nr: ringBlock / ringSlot * ringBlocks,
		Retire_blk_tov: uint32(retireAfter / time.Millisecond),
	}
	var errno error
	err := r.raw.Control(func(fd uintptr) {
		if errno = unix.SetsockoptTpacketReq3(int(fd), unix.SOL_PACKET, unix.PACKET_RX_RING, &req); errno != nil {
			errno = fmt.Errorf("making a ring of %d kB: %w", ringBlock*ringBlocks>>10, errno)
			return
		}
		r.memory, errno = unix.Mmap(int(fd), 0, ringBlock*ringBlocks, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if errno != nil {
			errno = fmt.Errorf("mapping the ring: %w", errno)
		}
	})
	return errors.Join(err, errno)
}

// MaxHeard is how many interfaces a Ring hears at most: what fits into a filter
// twice, as the new one is there before the old one goes (net.core.optmem_max).
const MaxHeard = 400

// Hear sets which interfaces are heard, by their indexes, from now on; of too many
// the first MaxHeard.
func (r *Ring) Hear(indexes []int) error {
	filter, err := passing(indexes, r.snap+linkRoom)
	if err != nil {
		return err
	}
	if err := r.sock.SetBPF(filter); err != nil {
		return fmt.Errorf("attaching the filter: %w", err)
	}
	return nil
}

// passing is a filter that lets the first bytes of frames through that pass
// these interfaces and are not for other stations.
func passing(indexes []int, snap int) ([]bpf.RawInstruction, error) {
	prog := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadExtension{Num: bpf.ExtInterfaceIndex},
	}
	for _, i := range indexes[:min(len(indexes), MaxHeard)] {
		prog = append(
			prog,
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(i), SkipTrue: 1},
			bpf.RetConstant{Val: uint32(snap)},
		)
	}
	raw, err := bpf.Assemble(append(prog, bpf.RetConstant{Val: 0}))
	if err != nil {
		return nil, fmt.Errorf("assembling the filter for %d interfaces: %w", len(indexes), err)
	}
	return raw, nil
}

// status is the word by which a block is handed to and fro.
func (r *Ring) status() *uint32 {
	return (*uint32)(unsafe.Pointer(&r.memory[r.next*ringBlock+blockStatus]))
}

func (r *Ring) full() bool { return atomic.LoadUint32(r.status())&unix.TP_STATUS_USER != 0 }

// Wait waits for packets. Its error is os.ErrDeadlineExceeded after Stop.
func (r *Ring) Wait() error {
	return r.raw.Read(func(uintptr) bool { return r.full() })
}

// Take hands over what waits, at most a block of it, and does not wait. It
// reports whether there was any.
func (r *Ring) Take(handle func(*Packet)) bool {
	if !r.full() {
		return false
	}
	packets(r.memory[r.next*ringBlock:][:ringBlock], r.snap, handle)
	atomic.StoreUint32(r.status(), unix.TP_STATUS_KERNEL)
	r.next = (r.next + 1) % ringBlocks
	return true
}

// Dropped returns for how many packets there was no room since the last call.
func (r *Ring) Dropped() uint64 {
	s, err := r.sock.GetsockoptTpacketStatsV3(unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return uint64(s.Drops)
}

// Stop hears no more, and ends Wait for good as soon as all that was heard can be
// taken: within a quarter of a second.
func (r *Ring) Stop() {
	_ = r.Hear(nil)
	_ = r.sock.SetReadDeadline(time.Now().Add(2*retireAfter + retireAfter/2))
}

// Close gives the memory back.
func (r *Ring) Close() {
	if r.memory != nil {
		_ = unix.Munmap(r.memory)
	}
	_ = r.sock.Close()
}

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
	if held > math.MaxInt32 || length > math.MaxInt32 || from+int(held) > len(b) {
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
