package capture

import (
	"encoding/binary"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ringBlockOf makes a block as the kernel does, of frames that came in.
func ringBlockOf(frames ...[]byte) []byte {
	native := binary.NativeEndian
	b := make([]byte, 48)
	native.PutUint32(b[blockStatus:], unix.TP_STATUS_USER)
	native.PutUint32(b[blockCount:], uint32(len(frames)))
	native.PutUint32(b[blockFirst:], uint32(len(b)))
	for i, f := range frames {
		h := make([]byte, 96)
		size := (len(h) + len(f) + 7) &^ 7
		if i < len(frames)-1 {
			native.PutUint32(h[packetNext:], uint32(size))
		}
		native.PutUint32(h[packetSnap:], uint32(len(f)))
		native.PutUint32(h[packetLength:], uint32(len(f)))
		native.PutUint16(h[packetLink:], uint16(len(h)))
		native.PutUint16(h[packetNetwork:], uint16(len(h)+headerLen))
		native.PutUint16(h[packetHardware:], unix.ARPHRD_ETHER)
		native.PutUint32(h[packetIndex:], uint32(i+1))
		b = slices.Concat(b, h, f, make([]byte, size-len(h)-len(f)))
	}
	return b
}

// The offsets are those of the kernel's structures.
func TestRingLayout(t *testing.T) {
	var d unix.TpacketBlockDesc
	var v1 unix.TpacketHdrV1
	var h unix.Tpacket3Hdr
	var a unix.RawSockaddrLinklayer
	for _, f := range []struct {
		name      string
		got, want uintptr
	}{
		{"block status", blockStatus, unsafe.Offsetof(d.Hdr) + unsafe.Offsetof(v1.Block_status)},
		{"block count", blockCount, unsafe.Offsetof(d.Hdr) + unsafe.Offsetof(v1.Num_pkts)},
		{"first packet", blockFirst, unsafe.Offsetof(d.Hdr) + unsafe.Offsetof(v1.Offset_to_first_pkt)},
		{"next", packetNext, unsafe.Offsetof(h.Next_offset)},
		{"seconds", packetSeconds, unsafe.Offsetof(h.Sec)},
		{"nanoseconds", packetNanos, unsafe.Offsetof(h.Nsec)},
		{"held", packetSnap, unsafe.Offsetof(h.Snaplen)},
		{"length", packetLength, unsafe.Offsetof(h.Len)},
		{"status", packetStatus, unsafe.Offsetof(h.Status)},
		{"link", packetLink, unsafe.Offsetof(h.Mac)},
		{"network", packetNetwork, unsafe.Offsetof(h.Net)},
		{"protocol", packetProtocol, unsafe.Sizeof(h) + unsafe.Offsetof(a.Protocol)},
		{"index", packetIndex, unsafe.Sizeof(h) + unsafe.Offsetof(a.Ifindex)},
		{"hardware", packetHardware, unsafe.Sizeof(h) + unsafe.Offsetof(a.Hatype)},
		{"type", packetType, unsafe.Sizeof(h) + unsafe.Offsetof(a.Pkttype)},
		{"header", packetHeader, unsafe.Sizeof(h) + unsafe.Sizeof(a)},
	} {
		if f.got != f.want {
			t.Errorf("%s at %d, want %d", f.name, f.got, f.want)
		}
	}
}

func TestPacketsAllocateNothing(t *testing.T) {
	b := ringBlockOf(ethernet(EtherTypeARP, make([]byte, 46)), ethernet(EtherTypeIPv4, make([]byte, 100), 0x8100, 10))
	seen := 0
	if n := testing.AllocsPerRun(100, func() { packets(b, 128, func(*Packet) { seen++ }) }); n > 1 || seen != 2*101 {
		t.Errorf("%.0f allocations for a block, %d packets seen", n, seen)
	}
}

// FuzzPackets: whatever a block says, nothing is read outside of it.
func FuzzPackets(f *testing.F) {
	f.Add(ringBlockOf(), 128)
	f.Add(ringBlockOf(ethernet(EtherTypeARP, make([]byte, 46)), ethernet(EtherTypeIPv4, make([]byte, 100), 0x8100, 10)), 40)
	f.Add(ringBlockOf(ethernet(10, nil), []byte{1, 2, 3}, nil), 0)
	endless := ringBlockOf(ethernet(EtherTypeARP, nil))
	binary.NativeEndian.PutUint32(endless[blockCount:], 1<<32-1)
	binary.NativeEndian.PutUint32(endless[blockFirst+32:], 1<<32-8)
	f.Add(endless, 128)
	f.Fuzz(func(t *testing.T, b []byte, snap int) {
		if len(b) < 48 || snap < 0 {
			return
		}
		packets(b, snap, func(p *Packet) {
			if len(p.Data) > snap || p.Length < 0 {
				t.Errorf("%+v with snap length %d", p, snap)
			}
			for i := range p.Data {
				_ = p.Data[i]
			}
		})
	})
}
