package presence

import (
	"net"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestWords(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour:                  "0 ms",
		1500 * time.Microsecond:     "1 ms",
		999 * time.Millisecond:      "999 ms",
		time.Second:                 "1 s",
		45 * time.Second:            "45 s",
		119 * time.Second:           "119 s",
		2 * time.Minute:             "2 min",
		12*time.Minute + 31e9:       "13 min",
		3*time.Hour + 5*time.Minute: "3 h 05 min",
		47 * time.Hour:              "47 h 00 min",
		50 * time.Hour:              "2 days",
		240 * time.Hour:             "10 days",
	} {
		if got := Words(d); got != want {
			t.Errorf("%d: %q, want %q", d, got, want)
		}
	}
}

func TestKinds(t *testing.T) {
	for k := ARPProbe; int(k) < len(kinds); k++ {
		if s := k.String(); s == "" || s == "unknown frame" {
			t.Errorf("kind %d is %q", k, s)
		}
	}
	for _, k := range []Kind{0, 200} {
		if k.String() != "unknown frame" || (Sighting{Kind: k}).Evidence() != None {
			t.Errorf("kind %d is %q and proves %d", k, k, (Sighting{Kind: k}).Evidence())
		}
	}
	seen := map[EventType]bool{}
	for _, e := range EventTypes() {
		seen[e] = true
	}
	if len(seen) != 20 {
		t.Errorf("event types %v", EventTypes())
	}
}

func TestMAC(t *testing.T) {
	for s, want := range map[string]string{
		"02:00:5e:10:00:01":       "02:00:5e:10:00:01",
		"02-00-5E-10-00-01":       "02:00:5e:10:00:01",
		"0200.5e10.0001":          "02:00:5e:10:00:01",
		"02005e100001":            "02:00:5e:10:00:01",
		"02005E10000G":            "",
		"02:00:5e:10:00":          "",
		"02:00:5e:10:00:01:02:03": "",
		"":                        "",
	} {
		m, err := ParseMAC(s)
		if (err == nil) != (want != "") || err == nil && m.String() != want {
			t.Errorf("%q: %s, %v", s, m, err)
		}
		if err != nil && !strings.Contains(err.Error(), "is not a MAC address such as") {
			t.Errorf("%q: %v", s, err)
		}
	}
	m := MAC{2, 0, 0x5e, 0x10, 0, 1}
	if m.ID() != "02005e100001" || !m.Private() || !m.Station() || (MAC{}).Station() || (MAC{1}).Station() || mac(1).Private() {
		t.Error("what the bits say")
	}
	if got, ok := MACFrom(net.HardwareAddr(m[:])); !ok || got != m {
		t.Errorf("from %s: %s", m, got)
	}
	if _, ok := MACFrom(net.HardwareAddr{1, 2}); ok {
		t.Error("a MAC of two bytes")
	}
	for _, m := range []MAC{m, {}} {
		b, err := m.MarshalText()
		got := MAC{9}
		if err != nil || got.UnmarshalText(b) != nil || got != m {
			t.Errorf("%s came back as %s", m, got)
		}
	}
	if new(MAC).UnmarshalText([]byte("x")) == nil {
		t.Error("x is no MAC")
	}
}

func FuzzParseMAC(f *testing.F) {
	f.Add("02:00:5e:10:00:01")
	f.Add("02005e100001")
	f.Add("0200.5e10.0001")
	f.Add("02-00-5E-10-00-01-00-01")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMAC(s)
		if err != nil {
			return
		}
		for _, s := range []string{m.String(), string(m.ID())} {
			if again, err := ParseMAC(s); err != nil || again != m {
				t.Errorf("%s came back as %s, %v", m, again, err)
			}
		}
	})
}

func TestCleanText(t *testing.T) {
	for in, want := range map[string]string{
		"kettle":                  "kettle",
		"  my\tkettle \r\n":       "my kettle",
		"a\x00b\xffc\u202ed":      "a b c d",
		"\ue000":                  "",
		"<b>":                     "<b>",
		"Küche":                   "Küche",
		strings.Repeat("x", 100):  strings.Repeat("x", MaxName),
		strings.Repeat("ü", 100):  strings.Repeat("ü", MaxName/2),
		strings.Repeat(" x", 100): strings.TrimSpace(strings.Repeat("x ", (MaxName+1)/2)),
	} {
		if got := CleanText(in, MaxName); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzCleanText(f *testing.F) {
	f.Add(" my\tkettle\xff", 5)
	f.Add("e\u0301\u200b\ufeff İ  \U000e0041", 63)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		got := CleanText(s, limit)
		if len(got) > max(limit, 0) || !utf8.ValidString(got) || got != strings.TrimSpace(got) || CleanText(got, limit) != got {
			t.Errorf("%q at %d: %q", s, limit, got)
		}
		for _, r := range got {
			if !unicode.IsPrint(r) {
				t.Errorf("%q has %U", got, r)
			}
		}
	})
}

func TestDisplayName(t *testing.T) {
	for _, test := range []struct {
		d    Device
		want string
	}{
		{Device{Settings: Settings{Name: "Kettle"}, HostName: "k1"}, "Kettle"},
		{Device{HostName: "k1", Vendor: "Acme"}, "k1"},
		{Device{ID: mac(1).ID(), MAC: mac(1), Vendor: "Acme"}, "Acme 00:01"},
		{Device{ID: mac(1).ID(), MAC: mac(1)}, "Device 00:01"},
		{Device{ID: madeUp(1).ID(), MAC: madeUp(1)}, "Private device 00:01"},
		{Device{ID: "odd"}, "Device odd"},
	} {
		if diff := cmp.Diff(test.want, test.d.DisplayName()); diff != "" {
			t.Error(diff)
		}
	}
}
