package traffic

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"porchlight/capture/capturetest"
)

// recording is a Recorder on a wire, and the rounds that it has saved.
type recording struct {
	*capturetest.Wire
	*Recorder
	t    *testing.T
	stop func()

	mu    sync.Mutex
	saved []Round
}

// startRecording runs a Recorder in the wire's namespace until the test ends, and
// waits until it has begun.
func startRecording(t *testing.T, w *capturetest.Wire, cfg Config) *recording {
	t.Helper()
	r := &recording{Wire: w, t: t}
	if cfg.Save == nil {
		cfg.Save = r.save
	}
	r.Recorder = NewRecorder(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	w.Go(func() { done <- r.Run(ctx) })
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func (r *recording) save(_ context.Context, round Round) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saved = append(r.saved, round)
	return nil
}

func (r *recording) rounds() []Round {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.saved)
}

// counts is what was counted in all rounds.
func (r *recording) counts() map[Key]Count {
	all := map[Key]Count{}
	for _, round := range r.rounds() {
		for k, c := range round.Counts {
			c.Add(all[k])
			all[k] = c
		}
	}
	return all
}

// eventually waits for what another thread or the kernel does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// hears reports whether the recorder hears.
func (r *recording) hears() bool {
	r.Recorder.mu.Lock()
	defer r.Recorder.mu.Unlock()
	return r.recording
}

// ready waits until the recorder hears, which is when its survey has looked.
func (r *recording) ready() {
	r.t.Helper()
	eventually(r.t, "recording", r.hears)
}

// datagram is an Ethernet frame to everyone with a UDP datagram in IPv4.
func datagram(from, to string, port uint16, body int) []byte {
	u := binary.BigEndian.AppendUint16(nil, port)
	u = binary.BigEndian.AppendUint16(u, port)
	u = binary.BigEndian.AppendUint16(u, uint16(8+body))
	return inIPv4(from, to, unix.IPPROTO_UDP, append(u, make([]byte, 2+body)...))
}

// segment is an Ethernet frame to everyone with a TCP segment in IPv4.
func segment(from, to string, port uint16, body int) []byte {
	s := binary.BigEndian.AppendUint16(nil, port)
	s = append(binary.BigEndian.AppendUint16(s, port), make([]byte, 16+body)...)
	s[12], s[13] = 5<<4, 0x10 // ACK
	return inIPv4(from, to, unix.IPPROTO_TCP, s)
}

func inIPv4(from, to string, proto byte, payload []byte) []byte {
	h := binary.BigEndian.AppendUint16([]byte{0x45, 0}, uint16(20+len(payload)))
	h = append(h, 0, 0, 0, 0, 64, proto, 0, 0)
	h = append(append(h, netip.MustParseAddr(from).AsSlice()...), netip.MustParseAddr(to).AsSlice()...)
	var sum uint32 // a bridge with netfilter lets no wrong one through
	for i := 0; i < len(h); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(h[i:]))
	}
	binary.BigEndian.PutUint16(h[10:], ^uint16(sum+sum>>16))
	return slices.Concat(slices.Repeat([]byte{0xff}, 6), []byte{2, 0, 0, 0, 0, 1, 8, 0}, h, payload)
}

func (r *recording) send(fd int, frame []byte, times int) {
	r.t.Helper()
	for range times {
		for tries := 0; ; tries++ {
			err := unix.Send(fd, frame, 0)
			if err == nil {
				break
			}
			if !errors.Is(err, unix.ENOBUFS) || tries == 1000 {
				r.t.Fatalf("sending: %v", err)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// What passes is counted exactly, and a part of a round is saved in the end.
func TestRecorder(t *testing.T) {
	w := capturetest.NewWire(t)
	nearFD, farFD := w.Socket(capturetest.Near, unix.ETH_P_ALL), w.Socket(capturetest.Far, unix.ETH_P_ALL)
	defer func() { _, _ = unix.Close(nearFD), unix.Close(farFD) }()
	web := Port{Protocol: "tcp", Port: 80, Program: "nginx"}
	r := startRecording(t, w, Config{
		Interfaces: []string{capturetest.Near},
		Round:      time.Hour,
		Listeners:  func() ([]Port, error) { return []Port{web, web}, nil },
		Devices: func() map[netip.Addr]string {
			return map[netip.Addr]string{netip.MustParseAddr("192.0.2.9"): "phone"}
		},
	})
	r.ready()
	began := time.Now()
	r.send(farFD, datagram("192.0.2.9", "192.0.2.1", 40000, 100), 2000)
	r.send(farFD, datagram("198.51.100.7", "192.0.2.1", 40000, 20), 300)
	r.send(nearFD, datagram("192.0.2.1", "192.0.2.9", 40000, 10), 40)
	r.send(farFD, append(append(slices.Repeat([]byte{0xff}, 6), 2, 0, 0, 0, 0, 1, 8, 6), make([]byte, 46)...), 5)
	r.stop()

	rounds := r.rounds()
	if len(rounds) != 1 {
		t.Fatalf("%d rounds, want 1", len(rounds))
	}
	got := rounds[0]
	if !got.Start.Equal(began.Truncate(time.Hour)) && !got.Start.Equal(time.Now().Truncate(time.Hour)) || got.Start.Location() != time.UTC || got.Length != time.Hour {
		t.Errorf("a round of %s from %s", got.Length, got.Start)
	}
	if elapsed := time.Since(began); got.Counted <= 0 || got.Counted > elapsed+time.Minute {
		t.Errorf("counted for %s, in %s", got.Counted, elapsed)
	}
	phone, host := Count{2000, 2000 * 142}, Count{300, 300 * 62}
	back := Count{40, 40 * 52}
	in := phone
	in.Add(host)
	want := Round{
		Counts: map[Key]Count{
			{capturetest.Near, UDP, In}: in, {capturetest.Near, UDP, Out}: back,
			{capturetest.Near, ARP, In}: {5, 5 * 60},
		},
		Hosts:   []Talker{{Addr: netip.MustParseAddr("198.51.100.7"), In: host}},
		Devices: []Talker{{Device: "phone", In: phone, Out: back}},
		Ports:   []Port{{"tcp", 80, "nginx", got.Ports[0].Held}},
	}
	if held := got.Ports[0].Held; held <= 0 || held > got.Counted+time.Second {
		t.Errorf("a port was held for %s of %s", held, got.Counted)
	}
	got.Start, got.Length, got.Counted = time.Time{}, 0, 0
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if p := r.Problems(); len(p) > 0 {
		t.Errorf("problems %q", p)
	}
}

// Interfaces come, go and change their names; none is counted twice.
func TestRecorderFollowsInterfaces(t *testing.T) {
	w := capturetest.NewWire(t)
	r := startRecording(t, w, Config{Round: time.Second})
	r.ready()
	tries := 0 // packets that may be counted on one end only
	eventually(t, "packets on both ends", func() bool {
		fd := w.Socket(capturetest.Far, unix.ETH_P_ALL)
		defer func() { _ = unix.Close(fd) }()
		r.send(fd, datagram("192.0.2.9", "192.0.2.1", 40000, 100), 1)
		tries++
		c := r.counts()
		return c[Key{capturetest.Near, UDP, In}].Packets > 0 && c[Key{capturetest.Far, UDP, Out}].Packets > 0
	})
	w.Do(func() { // the near end becomes a port of a bridge
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
		if err := netlink.LinkAdd(bridge); err != nil {
			t.Error(err)
			return
		}
		w.SetUp("br0", true)
		if err := netlink.LinkSetMaster(w.Link(capturetest.Near), bridge); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "packets on the bridge", func() bool {
		fd := w.Socket(capturetest.Far, unix.ETH_P_ALL)
		defer func() { _ = unix.Close(fd) }()
		r.send(fd, datagram("192.0.2.9", "192.0.2.1", 40000, 100), 1)
		tries++
		return r.counts()[Key{"br0", UDP, In}].Packets > 0
	})
	fd := w.Socket(capturetest.Far, unix.ETH_P_ALL)
	defer func() { _ = unix.Close(fd) }()
	many := tries + 2000 // so that it shows when all are counted twice, or on one end only
	r.send(fd, datagram("192.0.2.9", "192.0.2.1", 40000, 100), many)
	w.Do(func() {
		l := w.Link("br0")
		if err := errors.Join(netlink.LinkSetDown(l), netlink.LinkSetName(l, "lan0"), netlink.LinkSetUp(l)); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "packets on the renamed bridge", func() bool {
		r.send(fd, datagram("192.0.2.9", "192.0.2.1", 40000, 100), 1)
		tries++
		return r.counts()[Key{"lan0", UDP, In}].Packets > 0
	})
	w.Do(func() {
		if err := netlink.LinkDel(w.Link(capturetest.Near)); err != nil { // and with it the far end
			t.Error(err)
		}
	})
	r.stop()
	c := r.counts()
	var in, out uint64
	for k, n := range c {
		switch {
		case k.Direction == Out && k.Interface == capturetest.Far:
			out += n.Packets
		case k.Protocol == UDP:
			in += n.Packets
		}
	}
	// While the near end became a port, and the bridge was down, they may differ.
	if d := int(in) - int(out); max(d, -d) > min(tries, many-1) || out < uint64(many) {
		t.Errorf("counted %d in and %d out of %d, %d of them one by one: %v", in, out, many+tries, tries, c)
	}
	for _, round := range r.rounds() {
		if round.Length != time.Second || round.Counted > time.Second || round.Start.Nanosecond() != 0 || round.Dropped != 0 {
			t.Errorf("a round of %s from %s, counted for %s", round.Length, round.Start, round.Counted)
		}
	}
}

func TestRecorderMissingInterface(t *testing.T) {
	w := capturetest.NewWire(t)
	var log bytes.Buffer
	r := startRecording(t, w, Config{Interfaces: []string{"wg0", capturetest.Near}, Log: slog.New(slog.NewTextHandler(&log, nil))})
	r.ready()
	want := []string{"the traffic of wg0 is not recorded: there is no such interface"}
	if diff := cmp.Diff(want, r.Problems()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.Do(func() {
		if err := netlink.LinkSetName(w.Link(capturetest.Far), "wg0"); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the interface is found", func() bool { return len(r.Problems()) == 0 })
	r.stop()
	if n := strings.Count(log.String(), want[0]); n != 1 {
		t.Errorf("told %d times in the log:\n%s", n, &log)
	}
}

// Without the right nothing is recorded, and that is told.
func TestRecorderWithoutRight(t *testing.T) {
	w := capturetest.NewWire(t)
	r := NewRecorder(Config{Save: func(context.Context, Round) error { return errors.New("called") }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	w.Go(func() {
		runtime.LockOSThread()
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&hdr, &none[0]); err != nil {
			t.Error(err)
		}
		done <- r.Run(ctx)
	})
	eventually(t, "a problem", func() bool {
		p := r.Problems()
		return len(p) == 1 && strings.HasPrefix(p[0], "traffic is not recorded: ") && strings.Contains(p[0], "CAP_NET_RAW")
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What passed just before its interface has gone, at the end of a round, has the
// interface's name.
func TestRecorderInterfaceGone(t *testing.T) {
	w := capturetest.NewWire(t)
	r := startRecording(t, w, Config{Round: time.Second})
	r.ready()
	counted := func() Count { return r.counts()[Key{capturetest.Near, UDP, In}] }
	for range 3 {
		fd := w.Socket(capturetest.Far, unix.ETH_P_ALL)
		eventually(t, "packets", func() bool {
			r.send(fd, datagram("192.0.2.9", "192.0.2.1", 40000, 100), 1)
			return counted().Packets > 0
		})
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(1970 * time.Millisecond))) // what is tried is at that time
		r.send(fd, datagram("192.0.2.9", "192.0.2.1", 40000, 100), 10)
		w.Do(func() {
			if err := netlink.LinkDel(w.Link(capturetest.Near)); err != nil {
				t.Error(err)
			}
		})
		_ = unix.Close(fd)
		w.Do(w.Connect)
	}
	r.stop()
	for k := range r.counts() {
		if k.Interface != capturetest.Near && k.Interface != capturetest.Far {
			t.Errorf("counted for %q", k.Interface)
		}
	}
}

// desk is someone who comes and goes.
type desk struct {
	mu      sync.Mutex
	there   bool
	changed chan struct{}
}

func (d *desk) Attended() (bool, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.there, d.changed
}

func (d *desk) Problem() string { return "it is dark" }

func (d *desk) set(there bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.there = there
	close(d.changed)
	d.changed = make(chan struct{})
}

// While nobody is at the machine nothing is heard at all.
func TestRecorderAttended(t *testing.T) {
	w := capturetest.NewWire(t)
	farFD := w.Socket(capturetest.Far, unix.ETH_P_ALL)
	defer func() { _ = unix.Close(farFD) }()
	d := &desk{changed: make(chan struct{})}
	r := startRecording(t, w, Config{Interfaces: []string{capturetest.Near}, Round: time.Hour, Attendance: d})
	r.send(farFD, datagram("192.0.2.9", "192.0.2.1", 40000, 100), 10)
	for there := 1; there <= 2; there++ {
		d.set(true)
		r.ready()
		r.send(farFD, datagram("192.0.2.9", "192.0.2.1", 40000, 100), 7)
		d.set(false)
		eventually(t, "a round", func() bool { return len(r.rounds()) == there && !r.hears() })
		r.send(farFD, datagram("192.0.2.9", "192.0.2.1", 40000, 100), 100)
	}
	r.stop()
	for _, round := range r.rounds() {
		if c := round.Counts[Key{capturetest.Near, UDP, In}]; c.Packets != 7 {
			t.Errorf("counted %d, want 7", c.Packets)
		}
	}
	if n := len(r.rounds()); n != 2 {
		t.Errorf("%d rounds, want 2", n)
	}
	if diff := cmp.Diff([]string{"traffic is not recorded: it is dark"}, r.Problems()); diff != "" {
		t.Error(diff)
	}
}
