package arpwatch

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"porchlight/capture/capturetest"
	"porchlight/presence"
)

// realLAN is a Watcher on the near end of a wire, and hosts on the far end
// that answer ARP at once.
type realLAN struct {
	*capturetest.Wire
	t         *testing.T
	w         *Watcher
	far       int
	sightings chan presence.Sighting
	states    chan presence.Sensing

	mu       sync.Mutex
	live     map[netip.Addr]bool
	requests []time.Time // when the kernel of the far end had each
	senders  []netip.Addr
}

func newRealLAN(t *testing.T, live map[netip.Addr]bool, addrs ...string) *realLAN {
	l := &realLAN{
		Wire:      capturetest.NewWire(t),
		t:         t,
		live:      live,
		sightings: make(chan presence.Sighting, 4096),
		states:    make(chan presence.Sensing, 16),
	}
	l.Do(func() {
		for _, a := range addrs {
			l.Address(capturetest.Near, a, true)
		}
	})
	l.far = l.Socket(capturetest.Far, unix.ETH_P_ARP)
	if err := unix.SetsockoptInt(l.far, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		t.Fatal(err)
	}
	w, err := New(Config{
		Interface: capturetest.Near,
		Sight:     func(s presence.Sighting) { l.sightings <- s },
		Sense:     func(s presence.Sensing) { l.states <- s },
	})
	if err != nil {
		t.Fatal(err)
	}
	l.w = w
	ctx, cancel := context.WithCancel(t.Context())
	watched, answered := make(chan error, 1), make(chan struct{})
	l.Go(func() { watched <- w.Run(ctx) })
	go func() {
		defer close(answered)
		l.respond(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-watched; err != nil {
			t.Errorf("Run: %v", err)
		}
		<-answered
		_ = unix.Close(l.far)
	})
	if s := <-l.states; s.Blind {
		t.Fatalf("blind at the start: %s", s.Why)
	}
	return l
}

// respond plays the hosts.
func (l *realLAN) respond(ctx context.Context) {
	buf, oob := make([]byte, 2048), make([]byte, 128)
	for ctx.Err() == nil {
		n, oobn, _, _, err := unix.Recvmsg(l.far, buf, oob, 0)
		if err != nil || n < 42 || binary.BigEndian.Uint16(buf[20:]) != 1 {
			continue
		}
		target := netip.AddrFrom4([4]byte(buf[38:42]))
		l.mu.Lock()
		l.requests = append(l.requests, stamp(oob[:oobn]))
		l.senders = append(l.senders, netip.AddrFrom4([4]byte(buf[28:32])))
		alive := l.live[target]
		l.mu.Unlock()
		if alive {
			l.answer(buf[:n], target)
		}
	}
}

// answer turns a request round.
func (l *realLAN) answer(frame []byte, a netip.Addr) {
	mac := macOf(a)
	var asker [10]byte
	copy(asker[:], frame[22:32])
	copy(frame[0:6], frame[6:12])
	copy(frame[6:12], mac[:])
	frame[21] = 2
	copy(frame[22:28], mac[:])
	copy(frame[28:32], a.AsSlice())
	copy(frame[32:42], asker[:])
	if err := unix.Send(l.far, frame, 0); err != nil {
		l.t.Errorf("answering: %v", err)
	}
}

// stamp reads the kernel's time of a frame.
func stamp(oob []byte) time.Time {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(msgs) == 0 || len(msgs[0].Data) < 16 {
		return time.Time{}
	}
	d := msgs[0].Data
	return time.Unix(int64(binary.NativeEndian.Uint64(d)), int64(binary.NativeEndian.Uint64(d[8:])))
}

// took waits until the hosts have heard n requests, and returns what was asked
// since the last time.
func (l *realLAN) took(n int) ([]time.Time, []netip.Addr) {
	l.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		l.mu.Lock()
		heard := len(l.requests)
		l.mu.Unlock()
		if heard >= n {
			return l.takeRequests()
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%d frames sent, %d heard", n, heard)
		}
	}
}

// takeRequests returns what was asked since the last call.
func (l *realLAN) takeRequests() ([]time.Time, []netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, s := l.requests, l.senders
	l.requests, l.senders = nil, nil
	return r, s
}

func (l *realLAN) wantSighting() presence.Sighting {
	l.t.Helper()
	select {
	case s := <-l.sightings:
		return s
	case <-time.After(time.Minute):
		l.t.Fatal("no sighting")
		return presence.Sighting{}
	}
}

// TestScanBesideArpScan sweeps a /24 with 50 hosts, and lets arp-scan do the
// same on the same wire. It may need another try when the machine has no time for
// the hosts, or for one of the two.
func TestScanBesideArpScan(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	program, err := exec.LookPath("arp-scan")
	if err != nil {
		t.Skip("needs arp-scan: apt-get install arp-scan")
	}
	l := newRealLAN(t, hostsFrom("192.0.2.100", 50), "192.0.2.1/24")
	for range 10 {
		took, found, frames := l.scan()
		byArpScan, foundByArpScan, packets := l.arpScan(program)
		t.Logf("sweep: %d hosts with %d frames in %v; arp-scan: %d with %d in %v", found, frames, took, foundByArpScan, packets, byArpScan)
		all := found == len(l.live) && foundByArpScan == len(l.live)
		if all && frames <= packets && took <= byArpScan*7/10 {
			return
		}
	}
	t.Errorf("never found all %d hosts with no more frames, and in 0.7 of arp-scan's time", len(l.live))
}

// scan sweeps as a person does who waits, and checks what was sent.
func (l *realLAN) scan() (took time.Duration, found, frames int) {
	l.t.Helper()
	res, err := l.w.Sweep(l.t.Context(), SweepOptions{Rate: 500})
	if err != nil {
		l.t.Fatal(err)
	}
	asked, senders := l.took(res.Frames)
	if len(asked) != res.Frames {
		l.t.Errorf("%d frames sent, %d seen", res.Frames, len(asked))
	}
	for _, a := range res.Answers {
		if a.MAC != macOf(a.Addr) || !l.live[a.Addr] {
			l.t.Errorf("%v has MAC %v", a.Addr, a.MAC)
		}
	}
	for _, s := range senders {
		if s.String() != "192.0.2.1" {
			l.t.Fatalf("asked from %v", s)
		}
	}
	checkPace(l.t, asked, 500)
	return res.Took, len(res.Answers), res.Frames
}

func (l *realLAN) arpScan(program string) (took time.Duration, found, packets int) {
	l.t.Helper()
	start := time.Now()
	l.Do(func() {
		out, err := exec.Command(program, "-I", capturetest.Near, "--localnet").CombinedOutput()
		if err != nil {
			l.t.Errorf("arp-scan: %v\n%s", err, out)
		}
		found = bytes.Count(out, []byte("02:5e:"))
	})
	took = time.Since(start)
	asked, _ := l.takeRequests()
	return took, found, len(asked)
}

// send lets the far end send a frame.
func (l *realLAN) send(frame []byte) {
	l.t.Helper()
	if err := unix.Send(l.far, frame, 0); err != nil {
		l.t.Fatalf("sending: %v", err)
	}
}

// TestWatcherHears sends the frames of the decoding table over a real wire.
func TestWatcherHears(t *testing.T) {
	l := newRealLAN(t, nil)
	nonsense := 0
	for _, tt := range append(decodeTests, decodeTests[0]) { // at the end, one that is to be heard
		l.send(unhex(t, tt.raw))
		if tt.err != nil {
			if !errors.Is(tt.err, errNotARP) { // which the filter does not pass
				nonsense++
			}
			continue
		}
		got := l.wantSighting()
		ifname := capturetest.Near
		if tt.want.Interface != "" {
			ifname = capturetest.Near + tt.want.Interface[len("eth0"):]
		}
		if got.MAC != tt.want.MAC || got.Addr != tt.want.Addr || got.Kind != tt.want.Kind ||
			got.Unicast != tt.want.Unicast || got.Interface != ifname {
			t.Errorf("%s: sighting %+v, want %+v on %s", tt.name, got, tt.want, ifname)
		}
		if age := time.Since(got.At); age < 0 || age > time.Minute {
			t.Errorf("%s: heard %v ago", tt.name, age)
		}
	}
	// Frames change their order when two processors forward them.
	for deadline := time.Now().Add(time.Minute); l.w.Stats().Ignored < uint64(nonsense) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if s := l.w.Stats(); s.Ignored != uint64(nonsense) || s.Dropped != 0 {
		t.Errorf("stats %+v, want %d ignored", s, nonsense)
	}
}

// TestWatcherProbes asks a host by unicast, by broadcast and on a VLAN.
func TestWatcherProbes(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.9")
	l := newRealLAN(t, map[netip.Addr]bool{a: true}, "192.0.2.1/24")
	p := presence.Probe{Interface: capturetest.Near, MAC: macOf(a), Addr: a}
	for _, p.Broadcast = range []bool{false, true} {
		if err := l.w.Probe(p); err != nil {
			t.Fatal(err)
		}
		s := l.wantSighting()
		if s.MAC != p.MAC || s.Addr != a || s.Kind != presence.ARPReply || !s.Unicast {
			t.Errorf("answer %+v", s)
		}
	}
	_, senders := l.takeRequests()
	for _, s := range senders {
		if s.String() != "192.0.2.1" {
			t.Errorf("asked from %v", s)
		}
	}

	tagged := l.Socket(capturetest.Far, unix.ETH_P_ALL)
	defer unix.Close(tagged)
	if err := unix.SetsockoptInt(tagged, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		t.Fatal(err)
	}
	p.Interface += ".10"
	if err := l.w.Probe(p); err != nil {
		t.Fatal(err)
	}
	buf, oob := make([]byte, 2048), make([]byte, 128)
	n, oobn, _, _, err := unix.Recvmsg(tagged, buf, oob, 0)
	for tries := 0; err == unix.EAGAIN && tries < 600; tries++ { // a tenth of a second each
		n, oobn, _, _, err = unix.Recvmsg(tagged, buf, oob, 0)
	}
	if err != nil || n != 60 {
		t.Fatalf("received %d bytes, %v", n, err)
	}
	// The kernel has taken the tag out and tells it beside.
	if msgs, _ := unix.ParseSocketControlMessage(oob[:oobn]); len(msgs) != 1 || binary.NativeEndian.Uint16(msgs[0].Data[16:]) != 10 {
		t.Error("the request is not tagged with VLAN 10")
	}
	if sender := netip.AddrFrom4([4]byte(buf[28:32])); !sender.IsUnspecified() {
		t.Errorf("asked on the VLAN from %v", sender)
	}
}

// TestSweepWithoutAddress needs to be told what to ask, and asks from 0.0.0.0.
func TestSweepWithoutAddress(t *testing.T) {
	l := newRealLAN(t, hostsFrom("192.0.2.3", 2))
	if _, err := l.w.Sweep(t.Context(), SweepOptions{}); !errors.Is(err, ErrNothingToSweep) {
		t.Errorf("error %v, want ErrNothingToSweep", err)
	}
	var res SweepResult
	for tries := 0; len(res.Answers) != 2 && tries < 10; tries++ { // the hosts may have no time to answer
		var err error
		res, err = l.w.Sweep(t.Context(), SweepOptions{Rate: 500, Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/29")}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(res.Answers) != 2 || res.Addresses != 6 {
		t.Errorf("%d of %d answered, want 2 of 6", len(res.Answers), res.Addresses)
	}
	_, senders := l.takeRequests()
	for _, s := range senders {
		if !s.IsUnspecified() {
			t.Errorf("asked from %v, want 0.0.0.0", s)
		}
	}

	// An address that comes later is used at once.
	l.Do(func() { l.Address(capturetest.Near, "192.0.2.1/24", true) })
	deadline := time.Now().Add(time.Minute)
	for {
		if err := l.w.Probe(presence.Probe{Interface: capturetest.Near, Addr: netip.MustParseAddr("192.0.2.4"), Broadcast: true}); err != nil {
			t.Fatal(err)
		}
		for l.wantSighting().Kind != presence.ARPReply { // the kernel may announce the address
		}
		_, senders := l.takeRequests()
		if n := len(senders); n > 0 && senders[n-1].String() == "192.0.2.1" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("still asks from %v", senders)
		}
	}
}

// TestSweepLeavesKernelAlone: the neighbour table does not fill by a sweep.
func TestSweepLeavesKernelAlone(t *testing.T) {
	l := newRealLAN(t, hostsFrom("192.0.2.3", 4), "192.0.2.1/28")
	if _, err := l.w.Sweep(t.Context(), SweepOptions{Rate: 500}); err != nil {
		t.Fatal(err)
	}
	l.Do(func() {
		near := l.Link(capturetest.Near).Attrs().Index
		ns, err := netlink.NeighList(near, netlink.FAMILY_V4)
		if err != nil {
			t.Error(err)
		}
		for _, n := range ns {
			if n.IP.IsGlobalUnicast() {
				t.Errorf("the kernel has learned %v", n)
			}
		}
	})
}

// TestSweepEndsWithLink: the link goes during a sweep.
func TestSweepEndsWithLink(t *testing.T) {
	l := newRealLAN(t, nil, "10.0.0.1/16")
	asked := make(chan struct{})
	cut := make(chan struct{})
	var once sync.Once
	go func() {
		defer close(cut)
		<-asked
		l.Do(func() { l.SetUp(capturetest.Near, false) })
	}()
	_, err := l.w.Sweep(t.Context(), SweepOptions{Rate: 500, Progress: func(Progress) { once.Do(func() { close(asked) }) }})
	if err == nil {
		t.Error("the sweep of a /16 ended well without a link")
	}
	t.Log(err)
	<-cut
	for s := range l.states {
		if s.Blind {
			break
		}
	}
}
