package lab

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var compareAddrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func TestParseARP(t *testing.T) {
	mac, a, b := MAC{2, 0, 0, 0, 0, 1}, netip.MustParseAddr("10.77.0.5"), netip.MustParseAddr("10.77.0.6")
	for name, want := range map[string]ARP{
		"announcement": Announcement(mac, a),
		"probe":        AddressProbe(mac, a),
		"request":      Request(mac, a, b),
		"reply":        {Dst: MAC{4}, Src: mac, Reply: true, SenderMAC: mac, SenderAddr: a, TargetMAC: MAC{4}, TargetAddr: b},
	} {
		frame := want.Frame()
		if len(frame) != minFrame {
			t.Errorf("%s: %d bytes", name, len(frame))
		}
		got, ok := parseARP(frame)
		if diff := cmp.Diff(want, got, compareAddrs); !ok || diff != "" {
			t.Errorf("%s: %t, -want +got:\n%s", name, ok, diff)
		}
		for i := range 42 {
			if _, ok := parseARP(frame[:i]); ok {
				t.Errorf("%s: %d bytes of it are taken for a packet", name, i)
			}
		}
	}
}

func FuzzParseARP(f *testing.F) {
	f.Add(Announcement(MAC{2}, netip.MustParseAddr("10.77.0.5")).Frame())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		a, ok := parseARP(frame)
		if !ok {
			return
		}
		// What was understood is said again in the same way.
		if diff := cmp.Diff(string(frame[:42]), string(a.Frame()[:42])); diff != "" {
			t.Errorf("-heard +said:\n%s", diff)
		}
	})
}

func TestParseLeases(t *testing.T) {
	const text = `1790000000 02:00:00:00:00:01 10.77.0.193 phone 01:02:00:00:00:00:01
1790000060 02:00:00:00:00:02 10.77.0.194 * *
1790000060 02:00:00:00:00:03 10.77.0
duid 00:01
`
	want := []Lease{
		{time.Unix(1790000000, 0), MAC{2, 0, 0, 0, 0, 1}, netip.MustParseAddr("10.77.0.193"), "phone"},
		{time.Unix(1790000060, 0), MAC{2, 0, 0, 0, 0, 2}, netip.MustParseAddr("10.77.0.194"), ""},
	}
	if diff := cmp.Diff(want, parseLeases(text), compareAddrs); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzParseLeases(f *testing.F) {
	f.Add("1790000000 02:00:00:00:00:01 10.77.0.193 phone *\n")
	f.Fuzz(func(t *testing.T, text string) {
		if n := len(parseLeases(text)); n > strings.Count(text, "\n")+1 {
			t.Errorf("%d leases in %q", n, text)
		}
	})
}

func TestParseUDHCPC(t *testing.T) {
	for line, want := range map[string]struct {
		kind string
		addr netip.Prefix
	}{
		"bound 10.77.0.193 24":  {"bound", netip.MustParsePrefix("10.77.0.193/24")},
		"renew 10.77.0.193 16":  {"renew", netip.MustParsePrefix("10.77.0.193/16")},
		"deconfig - -":          {"deconfig", netip.Prefix{}},
		"nak 10.77.0.193 x":     {"nak", netip.Prefix{}},
		"bound 10.77.0.193":     {},
		"bound 10.77.0.193 240": {"bound", netip.Prefix{}},
		"":                      {},
	} {
		kind, addr := parseUDHCPC(line)
		if kind != want.kind || addr != want.addr {
			t.Errorf("%q: %q %v, want %q %v", line, kind, addr, want.kind, want.addr)
		}
	}
}

func FuzzParseUDHCPC(f *testing.F) {
	f.Add("bound 10.77.0.193 24")
	f.Fuzz(func(t *testing.T, line string) {
		if _, addr := parseUDHCPC(line); addr != (netip.Prefix{}) && (!addr.IsValid() || !addr.Addr().Is4()) {
			t.Errorf("%q gave %v", line, addr)
		}
	})
}

func TestMosquittoConfig(t *testing.T) {
	got := mosquittoConfig(MosquittoOptions{
		Addr: netip.MustParseAddr("127.0.0.1"), Port: 1883,
		Config: "set_tcp_nodelay false\nmax_queued_messages 0\n",
	})
	want := `listener 1883 127.0.0.1
user root
log_dest stderr
allow_anonymous true
persistence false
set_tcp_nodelay false
max_queued_messages 0
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The addresses of a LAN are shared out without an overlap.
func TestAddresses(t *testing.T) {
	for _, c := range []struct{ prefix, static, first, last string }{
		{"10.77.0.0/24", "10.77.0.2", "10.77.0.192", "10.77.0.254"},
		{"10.77.0.0/16", "10.77.0.2", "10.77.192.0", "10.77.255.254"},
		{"192.168.8.16/28", "192.168.8.18", "192.168.8.28", "192.168.8.30"},
	} {
		l := &Lab{opts: Options{Prefix: netip.MustParsePrefix(c.prefix)}}
		first, last := l.pool()
		if got := []string{l.Static(0).String(), first.String(), last.String()}; !cmp.Equal(got, []string{c.static, c.first, c.last}) {
			t.Errorf("%s: %v, want %v", c.prefix, got, c)
		}
	}
}

func TestOptionsFaults(t *testing.T) {
	for _, o := range []Options{
		{Prefix: netip.MustParsePrefix("10.0.0.0/8")},
		{Prefix: netip.MustParsePrefix("10.0.0.0/30")},
		{Prefix: netip.MustParsePrefix("fd00::/64")},
		{LeaseTime: time.Second},
	} {
		if _, err := New(t.Context(), o); err == nil {
			t.Errorf("%+v raised a LAN", o)
		}
	}
}

func TestMACs(t *testing.T) {
	if m := privateMAC("phone"); m[0]&3 != 2 || m != privateMAC("phone") || m == privateMAC("tablet") {
		t.Errorf("private MAC %x", m)
	}
	if m := vendorMAC("tv"); m[0]&3 != 0 || m != vendorMAC("tv") || m == vendorMAC("tv2") {
		t.Errorf("vendor MAC %x", m)
	}
	seen := make(map[MAC]bool)
	for i := range 10_000 {
		a := nth(DefaultPrefix, i).String()
		seen[vendorMAC(a)], seen[privateMAC(a)] = true, true
	}
	if len(seen) != 20_000 {
		t.Errorf("%d MACs for 20,000 names", len(seen))
	}
}
