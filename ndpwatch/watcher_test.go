package ndpwatch

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"porchlight/capture"
	"porchlight/presence"
)

var selfLL = netip.MustParseAddr("fe80::ba27:ebff:fe00:1")

// fakeWire takes what is sent.
type fakeWire struct {
	link  capture.Link
	err   error
	fault string
	sent  [][]byte
}

func (w *fakeWire) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (w *fakeWire) Stats() capture.Stats          { return capture.Stats{} }
func (w *fakeWire) Link() (capture.Link, bool)    { return w.link, w.link.Index != 0 }
func (w *fakeWire) Send(b []byte) error {
	if w.err == nil {
		w.sent = append(w.sent, b)
	}
	return w.err
}

func newFake(log *slog.Logger) (*Watcher, *fakeWire, *[]presence.Sighting) {
	var heard []presence.Sighting
	w := newWatcher(Config{Interface: "eth0", Sight: func(s presence.Sighting) { heard = append(heard, s) }, Log: log})
	wire := &fakeWire{link: capture.Link{Index: 2, MAC: self, LinkLocal: selfLL}}
	w.wire, w.fault = wire, func() string { return wire.fault }
	return w, wire, &heard
}

// asked is a solicitation as another implementation reads it.
type asked struct {
	to, from         presence.MAC
	vlans            []uint16
	src, dst, target netip.Addr
	hops, code       uint8
	option           uint8
	says             presence.MAC
}

func read(t *testing.T, raw []byte) (a asked) {
	t.Helper()
	p := gopacket.NewPacket(raw, layers.LayerTypeEthernet, gopacket.Default)
	if p.ErrorLayer() != nil {
		t.Fatal(p.ErrorLayer().Error())
	}
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case *layers.Ethernet:
			a.to, a.from = presence.MAC(l.DstMAC), presence.MAC(l.SrcMAC)
		case *layers.Dot1Q:
			a.vlans = append(a.vlans, l.VLANIdentifier)
		case *layers.IPv6:
			a.src, _ = netip.AddrFromSlice(l.SrcIP)
			a.dst, _ = netip.AddrFromSlice(l.DstIP)
			a.hops = l.HopLimit
		case *layers.ICMPv6:
			if l.TypeCode.Type() != layers.ICMPv6TypeNeighborSolicitation {
				t.Errorf("ICMPv6 %v", l.TypeCode)
			}
			a.code = l.TypeCode.Code()
		case *layers.ICMPv6NeighborSolicitation:
			a.target, _ = netip.AddrFromSlice(l.TargetAddress)
			for _, o := range l.Options {
				a.option, a.says = uint8(o.Type), presence.MAC(o.Data)
			}
		}
	}
	return a
}

func TestProbe(t *testing.T) {
	w, wire, heard := newFake(nil)
	question := asked{to: phone, from: self, src: selfLL, dst: local, target: local, hops: 255, option: 1, says: self}
	everyone := question
	everyone.to, everyone.dst = presence.MAC{0x33, 0x33, 0xff, 0x3c, 0x5b, 0x07}, netip.MustParseAddr("ff02::1:ff3c:5b07")
	in := func(a asked, vlans ...uint16) asked { a.vlans = vlans; return a }
	for name, test := range map[string]struct {
		probe presence.Probe
		want  asked
	}{
		"unicast":        {presence.Probe{Interface: "eth0", MAC: phone, Addr: local}, question},
		"multicast":      {presence.Probe{Interface: "eth0", MAC: phone, Addr: local, Broadcast: true}, everyone},
		"VLAN":           {presence.Probe{Interface: "eth0.10", MAC: phone, Addr: local}, in(question, 10)},
		"VLAN in a VLAN": {presence.Probe{Interface: "eth0.100.10", MAC: phone, Addr: local}, in(question, 100, 10)},
	} {
		t.Run(name, func(t *testing.T) {
			wire.sent = nil
			if err := w.Probe(test.probe); err != nil {
				t.Fatal(err)
			}
			got := read(t, wire.sent[0])
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(asked{}), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Error(diff)
			}
			// Its checksum is right, and a capture shows whom it asks for.
			f := parse(t, wire.sent[0])
			if s, ok, err := Decode(f); !ok || err != nil || s.Kind != presence.NDPSolicitation || s.MAC != self {
				t.Errorf("decoded %+v, ok %t, error %v", s, ok, err)
			}
			if a, ok := Asked(f); !ok || a != local {
				t.Errorf("asked for %v, %t", a, ok)
			}
			before := w.Stats().Reflected
			w.hear(f)
			if w.Stats().Reflected != before+1 || len(*heard) > 0 {
				t.Errorf("its own frame was heard: %+v", *heard)
			}
		})
	}
	if got := w.Stats().Sent; got != 4 {
		t.Errorf("sent %d", got)
	}
}

func TestAsked(t *testing.T) {
	for name, raw := range map[string][]byte{
		"DAD": dad(t, local), "an answer": advertisement(t), "cut": dad(t, local)[:60], "TCP": frame{src: local, dst: routerLL}.raw(t, 6, make([]byte, 30)),
	} {
		if a, ok := Asked(parse(t, raw)); ok {
			t.Errorf("%s asks for %v", name, a)
		}
	}
}

func TestProbeFails(t *testing.T) {
	good := presence.Probe{Interface: "eth0", MAC: phone, Addr: local}
	for name, test := range map[string]struct {
		change func(*presence.Probe, *fakeWire)
		want   string
	}{
		"IPv4":              {func(p *presence.Probe, _ *fakeWire) { p.Addr = netip.MustParseAddr("192.0.2.1") }, "not the IPv6 address"},
		"a group":           {func(p *presence.Probe, _ *fakeWire) { p.Addr = allNodes }, "not the IPv6 address"},
		"no address":        {func(p *presence.Probe, _ *fakeWire) { p.Addr = netip.Addr{} }, "not the IPv6 address"},
		"a group's MAC":     {func(p *presence.Probe, _ *fakeWire) { p.MAC[0] |= 1 }, "not the MAC"},
		"no MAC":            {func(p *presence.Probe, _ *fakeWire) { p.MAC = presence.MAC{} }, "not the MAC"},
		"elsewhere":         {func(p *presence.Probe, _ *fakeWire) { p.Interface = "eth1" }, "not on interface"},
		"no link":           {func(_ *presence.Probe, w *fakeWire) { w.link = capture.Link{} }, "not ready"},
		"no IPv6":           {func(_ *presence.Probe, w *fakeWire) { w.link.LinkLocal = netip.Addr{} }, ErrNoAddress.Error()},
		"the queue is full": {func(_ *presence.Probe, w *fakeWire) { w.err = errors.New("no buffer space") }, "no buffer space"},
	} {
		t.Run(name, func(t *testing.T) {
			w, wire, _ := newFake(nil)
			p := good
			test.change(&p, wire)
			err := w.Probe(p)
			if err == nil || !strings.Contains(err.Error(), test.want) || len(wire.sent) > 0 {
				t.Errorf("error %v, want %q; sent %d", err, test.want, len(wire.sent))
			}
		})
	}
}

// TestSaysOnce: a missing address is told of once, and not when it comes soon.
func TestSaysOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w, wire, _ := newFake(slog.New(slog.NewTextHandler(&out, nil)))
		lines := func() int { return strings.Count(out.String(), "cannot be asked") }
		probe := func(n int) {
			for range n {
				_ = w.Probe(presence.Probe{Interface: "eth0", MAC: phone, Addr: local})
				time.Sleep(time.Second)
			}
		}
		wire.link.LinkLocal = netip.Addr{}
		probe(5) // the link has just come up
		wire.link.LinkLocal = selfLL
		probe(20)
		if lines() != 0 {
			t.Errorf("said: %s", out.String())
		}
		wire.link.LinkLocal = netip.Addr{}
		probe(100)
		if lines() != 1 || !strings.Contains(out.String(), "eth0/disable_ipv6=0") {
			t.Errorf("said: %s", out.String())
		}
		wire.link.LinkLocal = selfLL
		probe(1)
		wire.link.LinkLocal = netip.Addr{}
		probe(100)
		if lines() != 2 {
			t.Errorf("said: %s", out.String())
		}
	})
}

// TestProblem: a socket that does not work is told in words.
func TestProblem(t *testing.T) {
	w, wire, _ := newFake(nil)
	if got := w.Problem(); got != "" {
		t.Errorf("all is well, and told is %q", got)
	}
	wire.fault = "attaching the filter: no buffer space"
	got := w.Problem()
	for _, want := range []string{"IPv6", "eth0", wire.fault} {
		if !strings.Contains(got, want) {
			t.Errorf("told is %q, want %q in it", got, want)
		}
	}
}

func TestHear(t *testing.T) {
	var out bytes.Buffer
	w, _, heard := newFake(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	w.hear(parse(t, dad(t, local)))
	w.hear(parse(t, frame{from: router, src: routerLL, dst: allNodes}.icmp(t, 136, 0, with(0, local), says(2, phone))))
	w.hear(parse(t, frame{src: local, dst: routerLL}.icmp(t, 128, 0, with(0))))
	var nonsense []capture.Frame
	for _, test := range hostile(t) {
		nonsense = append(nonsense, parse(t, test.raw))
	}
	for range 1000 {
		for _, raw := range nonsense {
			w.hear(raw)
		}
	}
	var got []presence.MAC
	for _, s := range *heard {
		got = append(got, s.MAC)
	}
	if diff := cmp.Diff([]presence.MAC{phone, router}, got); diff != "" {
		t.Errorf("heard %+v: %s", *heard, diff)
	}
	want := Stats{Sightings: 2, Foreign: 1, Ignored: 1, Malformed: uint64(1000 * len(nonsense))}
	if diff := cmp.Diff(want, w.Stats()); diff != "" {
		t.Error(diff)
	}
	if n := strings.Count(out.String(), "\n"); n < 1 || n > 5 {
		t.Errorf("%d lines logged, want a few", n)
	}
}
