package capture

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"porchlight/capture/capturetest"
	"porchlight/presence"
)

// openRing opens a ring in the namespace of the wire.
func openRing(t *testing.T, w *capturetest.Wire, snap int) (r *Ring) {
	t.Helper()
	w.Do(func() {
		var err error
		if r, err = OpenRing(snap); err != nil {
			t.Error(err)
		}
	})
	if r == nil {
		t.FailNow()
	}
	t.Cleanup(r.Close)
	return r
}

// hear has the ring hear the interfaces of these names.
func hear(t *testing.T, w *capturetest.Wire, r *Ring, names ...string) {
	t.Helper()
	var indexes []int
	w.Do(func() {
		for _, name := range names {
			indexes = append(indexes, w.Link(name).Attrs().Index)
		}
	})
	if err := r.Hear(indexes); err != nil {
		t.Fatal(err)
	}
}

// rest stops the ring and returns what was heard until then.
func rest(t *testing.T, r *Ring) (all []Packet) {
	t.Helper()
	r.Stop()
	for {
		err := r.Wait()
		for r.Take(func(p *Packet) {
			c := *p
			c.Data = slices.Clone(p.Data)
			all = append(all, c)
		}) {
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func send(t *testing.T, fd int, frame []byte) {
	t.Helper()
	if err := unix.Send(fd, frame, 0); err != nil {
		t.Fatalf("sending: %v", err)
	}
}

// to is a frame to one station.
func to(dst presence.MAC, frame []byte) []byte {
	frame = slices.Clone(frame)
	copy(frame, dst[:])
	return frame
}

func TestRing(t *testing.T) {
	w := capturetest.NewWire(t)
	var near *netlink.LinkAttrs
	w.Do(func() { near = w.Link(capturetest.Near).Attrs() })
	own, _ := presence.MACFrom(near.HardwareAddr)
	nearFD, farFD := w.Socket(capturetest.Near, unix.ETH_P_ALL), w.Socket(capturetest.Far, unix.ETH_P_ALL)
	defer func() { _, _ = unix.Close(nearFD), unix.Close(farFD) }()
	r := openRing(t, w, 40)
	payload := make([]byte, 46)
	send(t, farFD, ethernet(EtherTypeARP, payload)) // nothing is heard yet
	hear(t, w, r, capturetest.Near)
	began := time.Now()

	payload[0] = 1
	jumbo := slices.Repeat([]byte{2}, 8900)
	send(t, farFD, ethernet(EtherTypeARP, payload))
	send(t, farFD, to(own, ethernet(EtherTypeIPv4, payload)))
	send(t, farFD, to(station, ethernet(EtherTypeIPv4, payload))) // for someone else
	send(t, farFD, ethernet(EtherTypeIPv6, payload, 0x8100, 10))
	send(t, farFD, ethernet(EtherTypeIPv6, payload, 0x88a8, 100, 0x8100, 10))
	send(t, farFD, to(own, ethernet(EtherTypeIPv4, jumbo)))
	send(t, farFD, ethernet(46, payload))
	send(t, nearFD, to(station, ethernet(EtherTypeIPv4, payload)))
	send(t, nearFD, ethernet(EtherTypeIPv4, payload, 0x8100, 10))

	cut := payload[:40]
	want := []Packet{
		{EtherType: EtherTypeARP, Length: 60, Data: cut},
		{EtherType: EtherTypeIPv4, Length: 60, Data: cut},
		{EtherType: EtherTypeIPv6, Length: 64, Data: cut},
		{EtherType: EtherTypeIPv6, Length: 68, Data: cut},
		{EtherType: EtherTypeIPv4, Length: 8914, Data: jumbo[:40]},
		{EtherType: 0, Length: 60, Data: cut},
		{Out: true, EtherType: EtherTypeIPv4, Length: 60, Data: cut},
		{Out: true, EtherType: EtherTypeIPv4, Length: 64, Data: cut},
	}
	for i := range want {
		want[i].Index = near.Index
	}
	got := rest(t, r)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Packet{}, "At")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, p := range got {
		if p.At.Before(began.Add(-time.Second)) || p.At.After(time.Now().Add(time.Second)) {
			t.Errorf("passed at %s, want about %s", p.At, began)
		}
	}
	if n := r.Dropped(); n != 0 {
		t.Errorf("dropped %d", n)
	}
}

// An interface is heard from when it is chosen until it is not.
func TestRingHear(t *testing.T) {
	w := capturetest.NewWire(t)
	farFD := w.Socket(capturetest.Far, unix.ETH_P_ALL)
	defer func() { _ = unix.Close(farFD) }()
	r := openRing(t, w, 64)
	for i, names := range [][]string{{}, {capturetest.Near}, {capturetest.Far, capturetest.Near}, {capturetest.Far}, {}} {
		hear(t, w, r, names...)
		send(t, farFD, ethernet(EtherTypeARP, []byte{byte(i)}))
	}
	var got []string
	names := map[bool]string{true: "far", false: "near"}
	for _, p := range rest(t, r) {
		got = append(got, names[p.Out]+string('0'+rune(p.Data[0])))
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"far2", "far3", "near1", "near2"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The filter fits the kernel for as many interfaces as it may have.
func TestRingHearMany(t *testing.T) {
	w := capturetest.NewWire(t)
	farFD := w.Socket(capturetest.Far, unix.ETH_P_ALL)
	defer func() { _ = unix.Close(farFD) }()
	r := openRing(t, w, 64)
	var near int
	w.Do(func() { near = w.Link(capturetest.Near).Attrs().Index })
	for _, behind := range []int{0, MaxHeard - 1, MaxHeard} { // the last is too many
		var indexes []int
		for i := range behind {
			indexes = append(indexes, 1000+i)
		}
		if err := r.Hear(append(indexes, near)); err != nil {
			t.Fatal(err)
		}
		send(t, farFD, ethernet(EtherTypeARP, nil))
	}
	if got := rest(t, r); len(got) != 2 {
		t.Errorf("heard %d, want 2", len(got))
	}
}

// What has no link header is read from its first byte.
func TestRingTunnel(t *testing.T) {
	w := capturetest.NewWire(t)
	var tunnel *netlink.Tuntap
	w.Do(func() {
		tunnel = &netlink.Tuntap{
			LinkAttrs: netlink.LinkAttrs{Name: "tun0"}, Mode: netlink.TUNTAP_MODE_TUN, Queues: 1,
			Flags: netlink.TUNTAP_NO_PI | netlink.TUNTAP_ONE_QUEUE,
		}
		if err := netlink.LinkAdd(tunnel); err != nil {
			tunnel = nil
			t.Logf("making a tunnel: %v", err)
			return
		}
		w.SetUp("tun0", true)
	})
	if tunnel == nil {
		t.Skip("there is no /dev/net/tun")
	}
	defer func() { _ = tunnel.Fds[0].Close() }()
	r := openRing(t, w, 128)
	hear(t, w, r, "tun0")
	packet := slices.Concat([]byte{0x45, 0, 0, 28}, make([]byte, 24))
	if _, err := tunnel.Fds[0].Write(packet); err != nil {
		t.Fatal(err)
	}
	got := rest(t, r)
	want := []Packet{{EtherType: EtherTypeIPv4, Length: 28, Data: packet}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Packet{}, "At", "Index")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What there is no room for is counted, and nothing else.
func TestRingDrops(t *testing.T) {
	w := capturetest.NewWire(t)
	farFD := w.Socket(capturetest.Far, unix.ETH_P_ALL)
	defer func() { _ = unix.Close(farFD) }()
	r := openRing(t, w, 128)
	hear(t, w, r, capturetest.Near)
	frame := ethernet(EtherTypeIPv4, make([]byte, 200))
	const sent = 40_000
	for range sent {
		for unix.Send(farFD, frame, 0) != nil { // the queue is full
			time.Sleep(time.Millisecond)
		}
	}
	got, dropped := uint64(len(rest(t, r))), r.Dropped()
	if got+dropped != sent || dropped == 0 || got < ringBlock*(ringBlocks-2)/256 {
		t.Errorf("took %d, dropped %d, sent %d", got, dropped, sent)
	}
	if n := r.Dropped(); n != 0 {
		t.Errorf("told of %d again", n)
	}
}

func TestRingWithoutRight(t *testing.T) {
	w := capturetest.NewWire(t)
	w.Do(func() {
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&hdr, &none[0]); err != nil {
			t.Errorf("dropping the capabilities: %v", err)
			return
		}
		if r, err := OpenRing(128); !errors.Is(err, os.ErrPermission) {
			t.Errorf("opened %v, error %v", r, err)
		}
	})
}

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
