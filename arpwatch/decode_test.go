package arpwatch

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"porchlight/capture"
	"porchlight/presence"
)

var (
	at    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	phone = presence.MAC{0xda, 0xa1, 0x19, 0x3c, 0x5b, 0x07}
	plug  = presence.MAC{0x24, 0x0a, 0xc4, 0x11, 0x22, 0x33}
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.NewReplacer(" ", "", "\n", "", "\t", "").Replace(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	toAll   = "ff ff ff ff ff ff "
	toMe    = "b8 27 eb 00 00 01 "
	arpHead = "08 06  00 01 08 00 06 04 "
	padding = "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"
)

// decodeTests are frames as tcpdump shows them, without the check sequence.
var decodeTests = []struct {
	name string
	raw  string
	want presence.Sighting
	err  error
}{
	{
		name: "request, padded to 60 bytes",
		raw: toAll + "24 0a c4 11 22 33 " + arpHead + "00 01" +
			"24 0a c4 11 22 33 c0 a8 01 32 00 00 00 00 00 00 c0 a8 01 01" + padding,
		want: presence.Sighting{MAC: plug, Addr: netip.MustParseAddr("192.168.1.50"), Kind: presence.ARPRequest, Peer: netip.MustParseAddr("192.168.1.1")},
	}, {
		name: "request by unicast, the cache is being checked",
		raw: toMe + "24 0a c4 11 22 33 " + arpHead + "00 01" +
			"24 0a c4 11 22 33 c0 a8 01 32 b8 27 eb 00 00 01 c0 a8 01 02",
		want: presence.Sighting{MAC: plug, Addr: netip.MustParseAddr("192.168.1.50"), Kind: presence.ARPRequest, Peer: netip.MustParseAddr("192.168.1.2"), Unicast: true},
	}, {
		name: "reply",
		raw: toMe + "24 0a c4 11 22 33 " + arpHead + "00 02" +
			"24 0a c4 11 22 33 c0 a8 01 32 b8 27 eb 00 00 01 c0 a8 01 02" + padding,
		want: presence.Sighting{MAC: plug, Addr: netip.MustParseAddr("192.168.1.50"), Kind: presence.ARPReply, Unicast: true},
	}, {
		name: "reply whose Ethernet source is a repeater's",
		raw: toMe + "10 da 43 99 88 77 " + arpHead + "00 02" +
			"24 0a c4 11 22 33 c0 a8 01 32 b8 27 eb 00 00 01 c0 a8 01 02" + padding,
		want: presence.Sighting{MAC: plug, Addr: netip.MustParseAddr("192.168.1.50"), Kind: presence.ARPReply, Unicast: true, Via: presence.MAC{0x10, 0xda, 0x43, 0x99, 0x88, 0x77}},
	}, {
		name: "probe by an iPhone that joins",
		raw: toAll + "da a1 19 3c 5b 07 " + arpHead + "00 01" +
			"da a1 19 3c 5b 07 00 00 00 00 00 00 00 00 00 00 c0 a8 01 17" + padding,
		want: presence.Sighting{MAC: phone, Addr: netip.MustParseAddr("192.168.1.23"), Kind: presence.ARPProbe},
	}, {
		name: "announcement as a request",
		raw: toAll + "da a1 19 3c 5b 07 " + arpHead + "00 01" +
			"da a1 19 3c 5b 07 c0 a8 01 17 00 00 00 00 00 00 c0 a8 01 17" + padding,
		want: presence.Sighting{MAC: phone, Addr: netip.MustParseAddr("192.168.1.23"), Kind: presence.ARPAnnouncement},
	}, {
		name: "announcement as a reply",
		raw: toAll + "24 0a c4 11 22 33 " + arpHead + "00 02" +
			"24 0a c4 11 22 33 c0 a8 01 32 ff ff ff ff ff ff c0 a8 01 32",
		want: presence.Sighting{MAC: plug, Addr: netip.MustParseAddr("192.168.1.50"), Kind: presence.ARPAnnouncement},
	}, {
		name: "request tagged with VLAN 10",
		raw: toAll + "24 0a c4 11 22 33 81 00 60 0a " + arpHead + "00 01" +
			"24 0a c4 11 22 33 0a 00 0a 05 00 00 00 00 00 00 0a 00 0a 01",
		want: presence.Sighting{Interface: "eth0.10", MAC: plug, Addr: netip.MustParseAddr("10.0.10.5"), Kind: presence.ARPRequest, Peer: netip.MustParseAddr("10.0.10.1")},
	}, {
		name: "announcement tagged twice",
		raw: toAll + "24 0a c4 11 22 33 88 a8 00 64 81 00 00 0a " + arpHead + "00 01" +
			"24 0a c4 11 22 33 0a 00 0a 05 00 00 00 00 00 00 0a 00 0a 05",
		want: presence.Sighting{Interface: "eth0.100.10", MAC: plug, Addr: netip.MustParseAddr("10.0.10.5"), Kind: presence.ARPAnnouncement},
	}, {
		name: "request in 9,000 bytes",
		raw: toAll + "24 0a c4 11 22 33 " + arpHead + "00 01" +
			"24 0a c4 11 22 33 c0 a8 01 32 00 00 00 00 00 00 c0 a8 01 01" + strings.Repeat("aa", 8958),
		want: presence.Sighting{MAC: plug, Addr: netip.MustParseAddr("192.168.1.50"), Kind: presence.ARPRequest, Peer: netip.MustParseAddr("192.168.1.1")},
	}, {
		name: "cut short in the target",
		raw: toAll + "24 0a c4 11 22 33 " + arpHead + "00 01" +
			"24 0a c4 11 22 33 c0 a8 01 32 00 00 00 00 00 00 c0 a8 01",
		err: errHardware,
	}, {
		name: "made-up lengths of 255",
		raw:  toAll + "24 0a c4 11 22 33 08 06 00 01 08 00 ff ff 00 01" + strings.Repeat("01", 1024),
		err:  errHardware,
	}, {
		name: "Frame Relay hardware",
		raw: toAll + "24 0a c4 11 22 33 08 06 00 0f 08 00 06 04 00 01" +
			"24 0a c4 11 22 33 c0 a8 01 32 00 00 00 00 00 00 c0 a8 01 01",
		err: errHardware,
	}, {
		name: "reverse ARP",
		raw: toAll + "24 0a c4 11 22 33 " + arpHead + "00 03" +
			"24 0a c4 11 22 33 c0 a8 01 32 24 0a c4 11 22 33 c0 a8 01 01",
		err: errOperation,
	}, {
		name: "sender is a group address",
		raw: toAll + "24 0a c4 11 22 33 " + arpHead + "00 02" +
			"01 00 5e 00 00 01 c0 a8 01 32 00 00 00 00 00 00 c0 a8 01 01",
		err: errSender,
	}, {
		name: "sender is zero",
		raw: toAll + "24 0a c4 11 22 33 " + arpHead + "00 02" +
			"00 00 00 00 00 00 c0 a8 01 32 00 00 00 00 00 00 c0 a8 01 01",
		err: errSender,
	}, {
		name: "sender address is multicast",
		raw: toAll + "24 0a c4 11 22 33 " + arpHead + "00 01" +
			"24 0a c4 11 22 33 e0 00 00 01 00 00 00 00 00 00 c0 a8 01 01",
		err: errAddress,
	}, {
		name: "sender address is loopback",
		raw: toAll + "24 0a c4 11 22 33 " + arpHead + "00 01" +
			"24 0a c4 11 22 33 7f 00 00 01 00 00 00 00 00 00 c0 a8 01 01",
		err: errAddress,
	}, {
		name: "sender address is the broadcast",
		raw: toAll + "24 0a c4 11 22 33 " + arpHead + "00 02" +
			"24 0a c4 11 22 33 ff ff ff ff 00 00 00 00 00 00 c0 a8 01 01",
		err: errAddress,
	}, {
		name: "reply from nowhere",
		raw: toAll + "24 0a c4 11 22 33 " + arpHead + "00 02" +
			"24 0a c4 11 22 33 00 00 00 00 00 00 00 00 00 00 c0 a8 01 01",
		err: errAddress,
	}, {
		name: "probe for nothing",
		raw: toAll + "24 0a c4 11 22 33 " + arpHead + "00 01" +
			"24 0a c4 11 22 33 00 00 00 00 00 00 00 00 00 00 00 00 00 00",
		err: errAddress,
	}, {
		name: "not ARP",
		raw:  toAll + "24 0a c4 11 22 33 08 00 45 00",
		err:  errNotARP,
	},
}

func TestDecode(t *testing.T) {
	for _, tt := range decodeTests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := capture.Parse(at, "eth0", unhex(t, tt.raw))
			if err != nil {
				t.Fatal(err)
			}
			got, err := Decode(f)
			if !cmp.Equal(err, tt.err, cmpopts.EquateErrors()) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			want := tt.want
			if tt.err == nil {
				want.At = at
				if want.Interface == "" {
					want.Interface = "eth0"
				}
			}
			if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
				t.Errorf("sighting (-want +got):\n%s", d)
			}
		})
	}
}

func TestAsked(t *testing.T) {
	asked := map[string]string{ // by the name of the frame; others are no requests
		"request, padded to 60 bytes":                    "192.168.1.1",
		"request by unicast, the cache is being checked": "192.168.1.2",
		"probe by an iPhone that joins":                  "192.168.1.23",
		"announcement as a request":                      "192.168.1.23",
		"request tagged with VLAN 10":                    "10.0.10.1",
		"announcement tagged twice":                      "10.0.10.5",
		"request in 9,000 bytes":                         "192.168.1.1",
		"sender address is multicast":                    "192.168.1.1",
		"sender address is loopback":                     "192.168.1.1",
		"probe for nothing":                              "0.0.0.0",
	}
	for _, tt := range decodeTests {
		f, err := capture.Parse(at, "eth0", unhex(t, tt.raw))
		if err != nil {
			t.Fatal(err)
		}
		want, isRequest := asked[tt.name]
		got, ok := Asked(f)
		if ok != isRequest || ok && got.String() != want {
			t.Errorf("%s: asked for %v, %t; want %q, %t", tt.name, got, ok, want, isRequest)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, tt := range decodeTests {
		f.Add(unhex(f, tt.raw))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		frame, err := capture.Parse(at, "eth0", raw)
		if err != nil {
			return
		}
		Asked(frame)
		s, err := Decode(frame)
		if err != nil {
			if s != (presence.Sighting{}) {
				t.Errorf("a sighting beside the error %v: %+v", err, s)
			}
			return
		}
		if !s.MAC.Station() || !s.Addr.Is4() || !host(s.Addr) {
			t.Errorf("impossible sender %v at %v", s.MAC, s.Addr)
		}
		if s.Via == s.MAC || s.Peer.IsValid() != (s.Kind == presence.ARPRequest) {
			t.Errorf("%v by %v, which names %v", s.Kind, s.Via, s.Peer)
		}
		if s.Kind < presence.ARPProbe || s.Kind > presence.ARPReply || s.At != at || s.Interface == "" {
			t.Errorf("impossible sighting %+v", s)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	raw := unhex(b, decodeTests[0].raw)
	b.ReportAllocs()
	for b.Loop() {
		f, _ := capture.Parse(at, "eth0", raw)
		if _, err := Decode(f); err != nil {
			b.Fatal(err)
		}
	}
}
