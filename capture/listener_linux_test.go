package capture

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"porchlight/capture/capturetest"
	"porchlight/presence"
)

type heard struct {
	Frame
	took time.Time
}

// bench is a Listener on the near end of a wire, and a socket on the far end.
type bench struct {
	*capturetest.Wire
	t      *testing.T
	l      *Listener
	far    int
	frames chan heard
	states chan presence.Sensing
}

func newBench(t *testing.T, filter []bpf.RawInstruction) *bench {
	b := listen(t, capturetest.NewWire(t), filter)
	b.far = b.Socket(capturetest.Far, unix.ETH_P_ALL)
	t.Cleanup(func() { _ = unix.Close(b.far) })
	return b
}

// listen runs a Listener on the near end.
func listen(t *testing.T, w *capturetest.Wire, filter []bpf.RawInstruction) *bench {
	b := &bench{
		Wire:   w,
		t:      t,
		frames: make(chan heard, 64),
		states: make(chan presence.Sensing, 64),
	}
	b.l = NewListener(Config{
		Interface: capturetest.Near,
		Filter:    filter,
		Handle: func(f Frame) {
			f.Payload = append([]byte(nil), f.Payload...)
			b.frames <- heard{f, time.Now()}
		},
		State: func(s presence.Sensing) { b.states <- s },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	b.Go(func() { done <- b.l.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return b
}

func (b *bench) send(frame []byte) {
	b.t.Helper()
	if err := unix.Send(b.far, frame, 0); err != nil {
		b.t.Fatalf("sending: %v", err)
	}
}

// reopenFar is for when the far end went down: its socket has an error to tell.
func (b *bench) reopenFar() {
	_ = unix.Close(b.far)
	b.far = b.Socket(capturetest.Far, unix.ETH_P_ALL)
}

func (b *bench) wantFrame() heard {
	b.t.Helper()
	select {
	case f := <-b.frames:
		return f
	case <-time.After(time.Minute):
		b.t.Fatal("no frame heard")
		return heard{}
	}
}

// wantState checks the next change of state.
func (b *bench) wantState(blind bool, why string) {
	b.t.Helper()
	select {
	case s := <-b.states:
		if s.Blind != blind || s.Why != why || s.Interface != capturetest.Near || s.At.IsZero() {
			b.t.Fatalf("state %+v, want blind=%t, %q", s, blind, why)
		}
	case <-time.After(time.Minute):
		b.t.Fatalf("no change of state, want blind=%t, %q", blind, why)
	}
}

func arpFilter(t *testing.T) []bpf.RawInstruction {
	t.Helper()
	f, err := Match(EtherTypeARP)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestListenerHears(t *testing.T) {
	b := newBench(t, arpFilter(t))
	b.wantState(false, "near hears")
	payload := make([]byte, 46)
	jumbo := make([]byte, 8900)
	tests := []struct {
		name    string
		raw     []byte
		ifname  string
		payload int
	}{
		{"untagged", ethernet(EtherTypeARP, payload), "near", 46},
		{"tagged", ethernet(EtherTypeARP, payload, 0x8100, 10), "near.10", 46},
		{"priority tag", ethernet(EtherTypeARP, payload, 0x8100, 5<<13), "near", 46},
		{"tagged twice", ethernet(EtherTypeARP, payload, 0x88a8, 100, 0x8100, 10), "near.100.10", 46},
		{"jumbo, cut to the snap length", ethernet(EtherTypeARP, jumbo), "near", Snap - headerLen},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b.t = t
			b.send(ethernet(0x88b5, payload)) // another protocol: not to be heard
			b.send(tt.raw)
			f := b.wantFrame()
			got := Frame{Interface: f.Interface, Dst: f.Dst, Src: f.Src, EtherType: f.EtherType}
			want := Frame{Interface: tt.ifname, Dst: broadcast, Src: station, EtherType: EtherTypeARP}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("frame (-want +got):\n%s", d)
			}
			if len(f.Payload) != tt.payload {
				t.Errorf("payload of %d bytes, want %d", len(f.Payload), tt.payload)
			}
		})
	}
}

func TestListenerTime(t *testing.T) {
	b := newBench(t, arpFilter(t))
	b.wantState(false, "near hears")
	sent := time.Now()
	b.send(ethernet(EtherTypeARP, make([]byte, 46)))
	f := b.wantFrame()
	if early := sent.Sub(f.At); early > 5*time.Millisecond {
		t.Errorf("stamped %v before it was sent", early)
	}
	if f.At.After(f.took) {
		t.Errorf("stamped %v after it was handed over", f.At.Sub(f.took))
	}
	// Round(0) strips the monotonic reading; without one nothing changes.
	if f.At == f.At.Round(0) {
		t.Error("the time has no monotonic reading")
	}
}

func TestListenerAllocatesNothing(t *testing.T) {
	const frames = 2000
	w := capturetest.NewWire(t)
	var count atomic.Int64
	all := make(chan struct{})
	ready := make(chan struct{}, 8)
	l := NewListener(Config{
		Interface: capturetest.Near,
		Filter:    arpFilter(t),
		Handle: func(Frame) {
			if count.Add(1) == frames {
				close(all)
			}
		},
		State: func(presence.Sensing) { ready <- struct{}{} },
	})
	far := w.Socket(capturetest.Far, unix.ETH_P_ALL)
	defer unix.Close(far)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	w.Go(func() { done <- l.Run(ctx) })
	<-ready

	raw := ethernet(EtherTypeARP, make([]byte, 46))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range frames {
		if err := unix.Send(far, raw, 0); err != nil {
			t.Fatal(err)
		}
	}
	<-all
	runtime.ReadMemStats(&after)
	if n := after.Mallocs - before.Mallocs; n > frames/10 {
		t.Errorf("%d allocations for %d frames", n, frames)
	}
	if s := l.Stats(); s.Frames != frames || s.Dropped != 0 {
		t.Errorf("stats %+v, want %d frames", s, frames)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestListenerIgnoresOwnFrames(t *testing.T) {
	b := newBench(t, arpFilter(t))
	b.wantState(false, "near hears")
	if err := b.l.Send(ethernet(EtherTypeARP, make([]byte, 46))); err != nil {
		t.Fatal(err)
	}
	b.send(ethernet(EtherTypeARP, []byte("from the other side, padded to some length....")))
	if f := b.wantFrame(); string(f.Payload[:4]) != "from" {
		t.Errorf("heard its own frame: %q", f.Payload)
	}
	buf := make([]byte, 2048)
	n, err := unix.Read(b.far, buf)
	for tries := 0; err == unix.EAGAIN && tries < 600; tries++ { // a tenth of a second each
		n, err = unix.Read(b.far, buf)
	}
	if err != nil || n != 60 {
		t.Errorf("the far end read %d bytes, %v; want the 60 that were sent", n, err)
	}
}

func TestListenerSurvivesNonsense(t *testing.T) {
	b := newBench(t, nil) // no filter: everything comes
	b.wantState(false, "near hears")
	nonsense := [][]byte{
		ethernet(0x0004, []byte{1, 2, 3, 4}), // a length, not an EtherType
		ethernet(EtherTypeARP, make([]byte, 46), 0x8100, 0xfff),
		ethernet(EtherTypeARP, make([]byte, 46), 0x88a8, 1, 0x88a8, 2, 0x88a8, 3),
	}
	for _, raw := range nonsense {
		b.send(raw)
	}
	b.send(ethernet(0x88b5, []byte("sound")))
	if f := b.wantFrame(); f.EtherType != 0x88b5 {
		t.Errorf("heard %#04x", f.EtherType)
	}
	// Frames change their order when two processors forward them.
	until(t, "all of them", func() bool { return b.l.Stats().Malformed >= uint64(len(nonsense)) })
	if s := b.l.Stats(); s.Malformed != uint64(len(nonsense)) || s.Frames != 1 {
		t.Errorf("stats %+v, want %d malformed, 1 frame", s, len(nonsense))
	}
}

func TestListenerLinkDownUp(t *testing.T) {
	b := newBench(t, arpFilter(t))
	b.wantState(false, "near hears")
	b.Do(func() { b.SetUp(capturetest.Near, false) })
	b.wantState(true, "near is down")
	if err := b.l.Send(ethernet(EtherTypeARP, nil)); !errors.Is(err, ErrBlind) {
		t.Errorf("Send while down: %v, want ErrBlind", err)
	}
	b.Do(func() { b.SetUp(capturetest.Near, true) })
	b.wantState(false, "near hears")
	b.Do(func() { b.SetUp(capturetest.Far, false) })
	b.wantState(true, "no carrier on near")
	b.Do(func() { b.SetUp(capturetest.Far, true) })
	b.wantState(false, "near hears")

	b.reopenFar()
	b.send(ethernet(EtherTypeARP, make([]byte, 46)))
	b.wantFrame()
	if n := b.l.Stats().Redials; n != 1 {
		t.Errorf("%d redials, want 1: for the end that was down", n)
	}
}

func TestListenerInterfaceRecreated(t *testing.T) {
	b := newBench(t, arpFilter(t))
	b.wantState(false, "near hears")
	before, _ := b.l.Link()
	b.Do(func() {
		if err := netlink.LinkDel(b.Link(capturetest.Near)); err != nil {
			t.Error(err)
		}
	})
	var s presence.Sensing
	for s.Why != "near does not exist" { // the veth may be seen without carrier, or down, on its way out
		s = <-b.states
		if !s.Blind {
			t.Fatalf("state %+v while the interface goes", s)
		}
	}
	if _, ok := b.l.Link(); ok {
		t.Error("Link knows an interface that does not exist")
	}
	b.Do(b.Connect)
	for s.Blind { // it is made before it is set up
		s = <-b.states
	}
	after, _ := b.l.Link()
	if after.Index == before.Index {
		t.Fatal("the interface came back with its old index: the test shows nothing")
	}
	b.reopenFar()
	b.send(ethernet(EtherTypeARP, make([]byte, 46)))
	b.wantFrame()
}

// TestListenerWaitsForInterface starts before there is one.
func TestListenerWaitsForInterface(t *testing.T) {
	w := capturetest.NewWire(t)
	w.Do(func() {
		if err := netlink.LinkDel(w.Link(capturetest.Near)); err != nil {
			t.Error(err)
		}
	})
	b := listen(t, w, nil)
	b.wantState(true, "near does not exist")
	if err := b.l.Send(ethernet(EtherTypeARP, nil)); !errors.Is(err, ErrBlind) {
		t.Errorf("Send: %v, want ErrBlind", err)
	}
	w.Do(w.Connect)
	for s := range b.states { // it is made before it is set up
		if !s.Blind {
			break
		}
	}
}

func TestRetryLater(t *testing.T) {
	var s session
	for _, want := range []time.Duration{
		100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond,
		1600 * time.Millisecond, 3200 * time.Millisecond, 5 * time.Second, 5 * time.Second,
	} {
		s.retryLater()
		if d := time.Until(s.retryAt); s.delay != want || d > want || d < want-time.Second {
			t.Errorf("waits %v, until in %v; want %v", s.delay, d, want)
		}
	}
	if s.retryNow(); !s.retryAt.IsZero() {
		t.Error("still waits")
	}
	if s.retryLater(); s.delay != minRetry {
		t.Errorf("waits %v after a fresh start", s.delay)
	}
}

func TestListenerFollowsAddresses(t *testing.T) {
	b := newBench(t, arpFilter(t))
	b.wantState(false, "near hears")
	has := func(n int) func() bool {
		return func() bool {
			l, _ := b.l.Link()
			return len(l.Prefixes) == n
		}
	}
	b.Do(func() { b.Address(capturetest.Near, "192.0.2.7/24", true) })
	until(t, "the address", has(1))
	if l, _ := b.l.Link(); l.Prefixes[0].String() != "192.0.2.7/24" {
		t.Errorf("prefixes %v", l.Prefixes)
	}
	b.Do(func() { b.Address(capturetest.Near, "192.0.2.7/24", false) })
	until(t, "the end of the address", has(0))
}

// TestListenerWithoutRight drops CAP_NET_RAW on a thread that ends with the test.
func TestListenerWithoutRight(t *testing.T) {
	w := capturetest.NewWire(t)
	w.Do(func() {
		runtime.LockOSThread()
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&hdr, &none[0]); err != nil {
			t.Errorf("dropping the capabilities: %v", err)
			return
		}
		for _, ifname := range []string{capturetest.Near, "missing"} {
			err := NewListener(Config{Interface: ifname, Handle: func(Frame) {}}).Run(t.Context())
			if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), "setcap cap_net_raw+ep") {
				t.Errorf("Run: %v, want a permission error with the remedy", err)
			}
		}
	})
}
