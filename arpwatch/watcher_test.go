package arpwatch

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porchlight/capture"
	"porchlight/presence"
)

func TestProbe(t *testing.T) {
	target := netip.MustParseAddr("192.168.1.50")
	// The frames in hex, without the padding.
	const (
		unicast   = "240ac4112233" + "b827eb000001"
		broadcast = "ffffffffffff" + "b827eb000001"
		ask       = "0806" + "00010800060400 01" + "b827eb000001"
		forTarget = "000000000000" + "c0a80132"
	)
	tests := []struct {
		name  string
		own   []string
		probe presence.Probe
		want  string // empty: an error
	}{
		{
			name:  "unicast",
			own:   []string{"192.168.1.2/24"},
			probe: presence.Probe{Interface: "eth0", MAC: plug, Addr: target},
			want:  unicast + ask + "c0a80102" + forTarget,
		},
		{
			name:  "broadcast",
			own:   []string{"192.168.1.2/24"},
			probe: presence.Probe{Interface: "eth0", MAC: plug, Addr: target, Broadcast: true},
			want:  broadcast + ask + "c0a80102" + forTarget,
		},
		{
			name:  "from the address on the smallest subnet",
			own:   []string{"10.0.0.2/8", "192.168.0.2/16", "192.168.1.2/24"},
			probe: presence.Probe{Interface: "eth0", MAC: plug, Addr: target},
			want:  unicast + ask + "c0a80102" + forTarget,
		},
		{
			name:  "no address on that subnet",
			own:   []string{"10.0.0.2/8"},
			probe: presence.Probe{Interface: "eth0", MAC: plug, Addr: target},
			want:  unicast + ask + "00000000" + forTarget,
		},
		{
			name:  "no address",
			probe: presence.Probe{Interface: "eth0", MAC: plug, Addr: target},
			want:  unicast + ask + "00000000" + forTarget,
		},
		{
			name:  "VLAN 10, where the interface has no address",
			own:   []string{"192.168.1.2/24"},
			probe: presence.Probe{Interface: "eth0.10", MAC: plug, Addr: target},
			want:  unicast + "8100000a" + ask + "00000000" + forTarget,
		},
		{
			name:  "two tags",
			probe: presence.Probe{Interface: "eth0.100.10", MAC: plug, Addr: target},
			want:  unicast + "88a80064" + "8100000a" + ask + "00000000" + forTarget,
		},
		{name: "another interface", probe: presence.Probe{Interface: "eth1", MAC: plug, Addr: target}},
		{name: "three tags", probe: presence.Probe{Interface: "eth0.1.2.3", MAC: plug, Addr: target}},
		{name: "VLAN 4095", probe: presence.Probe{Interface: "eth0.4095", MAC: plug, Addr: target}},
		{name: "an alias", probe: presence.Probe{Interface: "eth0.guest", MAC: plug, Addr: target}},
		{name: "no target", probe: presence.Probe{Interface: "eth0", MAC: plug}},
		{name: "IPv6", probe: presence.Probe{Interface: "eth0", MAC: plug, Addr: netip.MustParseAddr("fe80::1")}},
		{name: "unicast to nobody", probe: presence.Probe{Interface: "eth0", Addr: target}},
		{
			name:  "own address",
			own:   []string{"192.168.1.50/24"},
			probe: presence.Probe{Interface: "eth0", MAC: plug, Addr: target},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newFakeLAN(t, tt.own...)
			err := l.w.Probe(tt.probe)
			if tt.want == "" {
				if err == nil {
					t.Error("no error")
				}
				if len(l.sent) != 0 {
					t.Error("something was sent")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			raw, err := l.sent[0].MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(tt.want, " ", "")
			if got := hex.EncodeToString(raw)[:len(want)]; got != want {
				t.Errorf("frame (-want +got):\n%s", cmp.Diff(want, got))
			}
			if n := l.w.Stats().Sent; n != 1 {
				t.Errorf("%d counted as sent", n)
			}
		})
	}
}

func TestProbeWithoutLink(t *testing.T) {
	l := newFakeLAN(t)
	l.err = capture.ErrBlind
	p := presence.Probe{Interface: "eth0", MAC: plug, Addr: netip.MustParseAddr("192.168.1.50")}
	if err := l.w.Probe(p); err == nil {
		t.Error("no error from a link that is down")
	}
	l.link = capture.Link{}
	if err := l.w.Probe(p); err == nil {
		t.Error("no error from a link that does not exist")
	}
	if s := l.w.Stats(); s.Sent != 0 || s.Unsent != 1 {
		t.Errorf("stats %+v", s)
	}
}

// TestHearCounts has one frame of each doubtful kind.
func TestHearCounts(t *testing.T) {
	l := newFakeLAN(t, "192.168.1.2/24")
	var got []presence.Sighting
	l.w.cfg.Sight = func(s presence.Sighting) { got = append(got, s) }
	for _, tt := range decodeTests {
		f, err := capture.Parse(at, "eth0", unhex(t, tt.raw))
		if err != nil {
			t.Fatal(err)
		}
		l.w.hear(f)
	}
	reflected, err := request(self, netip.MustParseAddr("192.168.1.2"), plug[:], netip.MustParseAddr("192.168.1.50"), nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := capture.Parse(at, "eth0", reflected)
	if err != nil {
		t.Fatal(err)
	}
	l.w.hear(f)

	want := Stats{Sightings: 10, Ignored: 12, Foreign: 1, Reflected: 1, Heard: 2}
	if d := cmp.Diff(want, l.w.Stats()); d != "" {
		t.Errorf("stats (-want +got):\n%s", d)
	}
	if len(got) != int(want.Sightings) {
		t.Errorf("%d sightings handed over, want %d", len(got), want.Sightings)
	}
}

func BenchmarkHear(b *testing.B) {
	w := newWatcher(Config{Interface: "eth0", Sight: func(presence.Sighting) {}})
	w.wire = &fakeLAN{link: capture.Link{Index: 2, MAC: self, Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/16")}}}
	raw := unhex(b, toAll+"24 0a c4 11 22 33 "+arpHead+"00 01 24 0a c4 11 22 33 0a 00 00 00 00 00 00 00 00 00 0a 00 00 01"+padding)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		raw[30], raw[31] = byte(i>>8), byte(i) // another host each time
		f, err := capture.Parse(at, "eth0", raw)
		if err != nil {
			b.Fatal(err)
		}
		w.hear(f)
	}
}
