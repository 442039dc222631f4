package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"
	"unsafe"

	"github.com/mdlayher/socket"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// receiveBuffer holds a burst until the reader comes round.
	receiveBuffer = 8 << 20

	batchLen = 16   // frames per system call
	frameLen = 9216 // one jumbo frame; without Snap in the filter it may come whole

	// controlLen is room for a timestamp and the auxiliary data.
	controlLen = 128
)

// conn is an AF_PACKET socket bound to one interface. One goroutine reads;
// send and drops may be called from any.
type conn struct {
	sock    *socket.Conn
	raw     syscall.RawConn
	index   int
	members *os.File // is in the groups; nil: there are none

	msgs    [batchLen]mmsghdr
	iovs    [batchLen]unix.Iovec
	from    [batchLen]unix.RawSockaddrLinklayer
	control [batchLen][controlLen]byte
	frames  [batchLen][frameLen]byte

	// The one closure that reads, and what it reports, made once so that
	// reading allocates nothing.
	recv    func(fd uintptr) bool
	recvN   int
	recvErr error
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// dial opens a socket on the interface with this index. Everything is set
// before the bind: until then the socket hears nothing, so no frame passes
// without filter and timestamp. Every EtherType is bound because the kernel
// hands tagged frames to no other kind of socket; the filter selects.
func dial(index int, filter []bpf.RawInstruction, groups []netip.Addr) (_ *conn, err error) {
	sock, err := socket.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0, "packet", nil)
	if err != nil {
		return nil, permission(err)
	}
	defer func() {
		if err != nil {
			_ = sock.Close()
		}
	}()
	if len(filter) > 0 {
		if err := sock.SetBPF(filter); err != nil {
			return nil, fmt.Errorf("attaching the filter: %w", err)
		}
	}
	if err := sock.SetReadBuffer(receiveBuffer); err != nil {
		return nil, fmt.Errorf("setting the receive buffer: %w", err)
	}
	if err := sock.SetsockoptInt(unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return nil, fmt.Errorf("asking for timestamps: %w", err)
	}
	if err := sock.SetsockoptInt(unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return nil, fmt.Errorf("asking for VLAN tags: %w", err)
	}
	// Kernels before 4.20 do not know this one; read drops such frames then.
	_ = sock.SetsockoptInt(unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)

	var members *os.File
	if len(groups) > 0 {
		if err := hearGroups(sock, index); err != nil {
			return nil, fmt.Errorf("asking for all groups: %w", err)
		}
		members = join(index, groups)
		defer func() {
			if err != nil && members != nil {
				_ = members.Close()
			}
		}()
	}
	err = sock.Bind(&unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: index})
	if err != nil {
		return nil, fmt.Errorf("binding to interface index %d: %w", index, err)
	}
	raw, err := sock.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &conn{sock: sock, raw: raw, index: index, members: members}
	for i := range c.msgs {
		c.iovs[i].Base = &c.frames[i][0]
		c.iovs[i].SetLen(frameLen)
		h := &c.msgs[i].hdr
		h.Iov = &c.iovs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&c.from[i]))
		h.Control = &c.control[i][0]
	}
	c.recv = c.recvmmsg
	return c, nil
}

// Permission reports whether this process may open packet sockets. The error
// names the remedy, and is os.ErrPermission when the right is missing.
func Permission() error {
	sock, err := socket.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0, "packet", nil)
	if err != nil {
		return permission(err)
	}
	return sock.Close()
}

// permission adds the remedy to a refusal by the kernel.
func permission(err error) error {
	if !errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("opening a packet socket: %w", err)
	}
	program, exeErr := os.Executable()
	if exeErr != nil {
		program = "porchlight"
	}
	return fmt.Errorf("opening a packet socket: %w: it needs CAP_NET_RAW: run `setcap cap_net_raw+ep %s`, "+
		"or run as root, or in a container add `cap_add: [NET_RAW]`", err, program)
}

func networkOrder(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

// recvmmsg takes what is there, up to a batch, and reports whether the reader
// need not wait.
func (c *conn) recvmmsg(fd uintptr) bool {
	for i := range c.msgs {
		// The kernel overwrites the lengths with what it has used.
		c.msgs[i].hdr.Namelen = unix.SizeofSockaddrLinklayer
		c.msgs[i].hdr.SetControllen(controlLen)
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&c.msgs[0])), batchLen, unix.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
		c.recvN, c.recvErr = int(n), nil
	case unix.EAGAIN:
		return false
	case unix.EINTR:
		c.recvN, c.recvErr = 0, nil
	default:
		c.recvN, c.recvErr = 0, os.NewSyscallError("recvmmsg", errno)
	}
	return true
}

// read waits for frames and hands each to handle. Frames that this machine
// sent are left out. The bytes are valid until handle returns.
func (c *conn) read(handle func(at time.Time, outer tag, raw []byte)) error {
	if err := c.raw.Read(c.recv); err != nil {
		return err
	}
	if c.recvErr != nil {
		return c.recvErr
	}
	now := time.Now()
	for i := range c.recvN {
		if c.from[i].Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		m := &c.msgs[i]
		at, outer := readControl(c.control[i][:m.hdr.Controllen], now)
		handle(at, outer, c.frames[i][:m.len])
	}
	return nil
}

// readControl takes the receive time and a stripped VLAN tag out of the
// control messages of one frame.
func readControl(b []byte, now time.Time) (time.Time, tag) {
	at := now
	var outer tag
	for len(b) >= unix.SizeofCmsghdr {
		hdr, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			break
		}
		b = rest
		switch {
		case hdr.Level == unix.SOL_SOCKET && hdr.Type == unix.SCM_TIMESTAMPNS:
			if wall, ok := timespec(data); ok {
				at = monotonic(now, wall)
			}
		case hdr.Level == unix.SOL_PACKET && hdr.Type == unix.PACKET_AUXDATA:
			outer = auxTag(data)
		}
	}
	return at, outer
}

// timespec reads struct timespec, whose fields are as wide as the kernel's long.
func timespec(b []byte) (time.Time, bool) {
	switch len(b) {
	case 16:
		return time.Unix(int64(binary.NativeEndian.Uint64(b)), int64(binary.NativeEndian.Uint64(b[8:]))), true
	case 8:
		return time.Unix(int64(int32(binary.NativeEndian.Uint32(b))), int64(int32(binary.NativeEndian.Uint32(b[4:])))), true
	}
	return time.Time{}, false
}

// maxDelay bounds how long a frame can have waited in the socket's buffer.
const maxDelay = 2 * time.Second

// monotonic gives the kernel's wall time a monotonic reading: now less the
// time since. When the clock was stepped in between, the difference is
// nonsense and is clamped.
func monotonic(now, wall time.Time) time.Time {
	return now.Add(-min(max(now.Sub(wall), 0), maxDelay))
}

// auxTag reads struct tpacket_auxdata (packet(7)): status, len, snaplen as 32
// bits, mac, net, vlan_tci, vlan_tpid as 16 bits.
func auxTag(b []byte) tag {
	if len(b) < 20 || binary.NativeEndian.Uint32(b)&unix.TP_STATUS_VLAN_VALID == 0 {
		return tag{}
	}
	return tag{tci: binary.NativeEndian.Uint16(b[16:]), set: true}
}

// interrupt ends a read that waits, now and from now on.
func (c *conn) interrupt() { _ = c.sock.SetReadDeadline(time.Unix(1, 0)) }

func (c *conn) close() {
	_ = c.sock.Close()
	if c.members != nil {
		_ = c.members.Close()
	}
}

// send puts one frame on the wire without waiting: a full queue is an error.
func (c *conn) send(frame []byte) error {
	var errno error
	err := c.raw.Control(func(fd uintptr) {
		errno = unix.Send(int(fd), frame, unix.MSG_DONTWAIT)
	})
	if err != nil {
		return err
	}
	return os.NewSyscallError("send", errno)
}

// drops returns how many frames the kernel had no room for since the last call.
func (c *conn) drops() uint64 {
	s, err := c.sock.GetsockoptTpacketStats(unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return uint64(s.Drops)
}
