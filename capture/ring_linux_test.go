package capture

import (
	"errors"
	"os"
	"slices"
	"testing"
	"time"

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

// ringAndFar opens a ring, and a socket on the far end of its wire.
func ringAndFar(t *testing.T, snap int) (w *capturetest.Wire, r *Ring, farFD int) {
	t.Helper()
	w = capturetest.NewWire(t)
	farFD = w.Socket(capturetest.Far, unix.ETH_P_ALL)
	t.Cleanup(func() { _ = unix.Close(farFD) })
	return w, openRing(t, w, snap), farFD
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

// rest waits until so much was heard, which the kernel hands over in its own
// time, stops the ring and returns what was heard until then.
func rest(t *testing.T, r *Ring, least int) (all []Packet) {
	t.Helper()
	enough := time.AfterFunc(time.Minute, r.Stop)
	defer enough.Stop()
	for {
		if len(all) >= least && enough.Stop() {
			r.Stop()
		}
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
	got := rest(t, r, len(want))
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
	w, r, farFD := ringAndFar(t, 64)
	for i, names := range [][]string{{}, {capturetest.Near}, {capturetest.Far, capturetest.Near}, {capturetest.Far}, {}} {
		hear(t, w, r, names...)
		send(t, farFD, ethernet(EtherTypeARP, []byte{byte(i)}))
	}
	var got []string
	names := map[bool]string{true: "far", false: "near"}
	for _, p := range rest(t, r, 4) {
		got = append(got, names[p.Out]+string('0'+rune(p.Data[0])))
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"far2", "far3", "near1", "near2"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The filter fits the kernel for as many interfaces as it may have.
func TestRingHearMany(t *testing.T) {
	w, r, farFD := ringAndFar(t, 64)
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
	if got := rest(t, r, 2); len(got) != 2 {
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
	got := rest(t, r, 1)
	want := []Packet{{EtherType: EtherTypeIPv4, Length: 28, Data: packet}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Packet{}, "At", "Index")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What there is no room for is counted, and nothing else. The kernel hands over
// a block before it is full when the machine is too busy to send.
func TestRingDrops(t *testing.T) {
	w, r, farFD := ringAndFar(t, 128)
	hear(t, w, r, capturetest.Near)
	frame := ethernet(EtherTypeIPv4, make([]byte, 200))
	const sent = 40_000
	for range sent {
		for unix.Send(farFD, frame, 0) != nil { // the queue is full
			time.Sleep(time.Millisecond)
		}
	}
	got, dropped := uint64(len(rest(t, r, 0))), r.Dropped()
	if got+dropped != sent || dropped == 0 || got < ringBlock*ringBlocks/2/256 {
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
