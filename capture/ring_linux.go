package capture

import (
	"errors"
	"fmt"
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
