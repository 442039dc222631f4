package lookup

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
)

func mac(n byte) presence.MAC { return presence.MAC{0, 0x16, 0x3e, 0, 0, n} }

func addr(n byte) netip.Addr { return netip.AddrFrom4([4]byte{192, 168, 1, n}) }

// house is devices, and what their names are.
type house struct {
	devices []presence.Device
	asked   []string // "9s mdns 192.168.1.1"
	start   time.Time
	scanned func() // before the devices are looked at; may be nil
}

func (h *house) add(n byte, change func(*presence.Device)) {
	d := presence.Device{
		ID: mac(n).ID(), MAC: mac(n), Addr: addr(n), State: presence.Home,
		FirstSeen: time.Unix(1000-int64(n), 0), // the first one is the newest
	}
	if change != nil {
		change(&d)
	}
	h.devices = append(h.devices, d)
}

// tell is an engine in small.
func (h *house) tell(from presence.NameSource, told []presence.Told) {
	for i, d := range h.devices {
		if d.MAC == told[0].MAC && (d.Addr == told[0].Addr || slices.Contains(d.IPv6, told[0].Addr)) {
			h.devices[i].HostName, h.devices[i].HostNameSource = told[0].Name, from
		}
	}
}

// answers is a source that knows some names.
type answers struct {
	house *house
	from  presence.NameSource
	names map[netip.Addr]string
	err   error
}

func (a *answers) Name() presence.NameSource { return a.from }

func (a *answers) Ask(_ context.Context, addr netip.Addr, _ string) (string, error) {
	a.house.asked = append(a.house.asked, fmt.Sprintf("%v %s %v", time.Since(a.house.start), a.from, addr))
	if name := a.names[addr]; name != "" {
		return name, nil
	}
	return "", a.err
}

// run asks for d of virtual time.
func (h *house) run(t *testing.T, d time.Duration, sources ...Source) {
	h.start = time.Now()
	n := New(Config{
		Sources: sources, Tell: h.tell,
		Devices: func(context.Context) ([]presence.Device, error) {
			if h.scanned != nil {
				h.scanned()
			}
			return append([]presence.Device(nil), h.devices...), nil
		},
	})
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := n.Run(ctx); err != nil {
		t.Error(err)
	}
	if len(n.wait) > 2*len(h.devices) {
		t.Errorf("%d questions remembered", len(n.wait))
	}
}

func (h *house) expect(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, h.asked); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

func TestAskOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &house{}
		h.add(2, nil)
		h.add(1, nil)
		h.add(3, func(d *presence.Device) { d.HostName = "itself" })
		h.add(4, func(d *presence.Device) { d.Name = "Ann's" })
		h.add(5, func(d *presence.Device) { d.State = presence.NotHome })
		h.add(6, func(d *presence.Device) { d.Addr = netip.Addr{} })
		h.add(7, func(d *presence.Device) { d.Addr = netip.MustParseAddr("203.0.113.7") })
		h.add(8, func(d *presence.Device) { d.HostName, d.HostNameSource = "lease", presence.NameFromLease })
		mdns := &answers{house: h, from: presence.NameFromMDNS, names: map[netip.Addr]string{addr(1): "kettle"}, err: errors.New("silent")}
		dns := &answers{house: h, from: presence.NameFromDNS, names: map[netip.Addr]string{addr(2): "nas"}}
		h.run(t, 30*time.Minute, mdns, dns)
		h.expect(t, "5s mdns 192.168.1.1", "7s mdns 192.168.1.2", "9s dns 192.168.1.2")
		if a, b := h.devices[1], h.devices[0]; a.HostName != "kettle" || b.HostName != "nas" {
			t.Errorf("%+v, %+v", a, b)
		}
	})
}

// It is remembered for hours what was answered, or that nothing was.
func TestAskAgain(t *testing.T) {
	for name, tc := range map[string]struct {
		names map[netip.Addr]string
		err   error
		least time.Duration
	}{
		"a name": {map[netip.Addr]string{addr(1): "kettle"}, nil, afterName}, "none": {nil, nil, afterNone}, "silence": {nil, errors.New("silent"), afterSilent},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &house{}
				h.add(1, nil)
				source := &answers{house: h, from: presence.NameFromMDNS, names: tc.names, err: tc.err}
				h.run(t, tc.least, source)
				h.expect(t, "5s mdns 192.168.1.1")
				h.asked = nil
				h.run(t, tc.least+2*scanEvery, source)
				if len(h.asked) != 2 {
					t.Errorf("asked %q", h.asked)
				}
			})
		})
	}
}

// Who moves is asked at the new address; a house of nameless devices is asked slowly.
func TestAskSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &house{}
		for n := range byte(100) {
			h.add(n+1, nil)
		}
		source := &answers{house: h, from: presence.NameFromDNS, err: errors.New("silent")}
		h.run(t, 26*time.Second, source)
		if len(h.asked) != 11 { // at 5, 7, …, 25 s
			t.Errorf("asked %d questions in 26 s", len(h.asked))
		}
		h.asked = nil
		h.run(t, time.Hour, source)
		if len(h.asked) != 100 {
			t.Errorf("asked %d questions in an hour", len(h.asked))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		h := &house{}
		h.add(1, nil)
		source := &answers{house: h, from: presence.NameFromDNS, err: errors.New("silent")}
		h.scanned = func() {
			if time.Since(h.start) > 10*time.Minute {
				h.devices[0].Addr = addr(9)
			}
		}
		h.run(t, 20*time.Minute, source)
		h.expect(t, "5s dns 192.168.1.1", "10m2s dns 192.168.1.9")
	})
}

func TestNothingToAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &house{}
		h.add(1, nil)
		h.run(t, time.Hour)
		h.expect(t)
	})
}

// Who has IPv6 only is asked at its link-local address, and others about its
// unique local one.
func TestAskByIPv6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &house{}
		h.add(1, func(d *presence.Device) {
			d.Addr = netip.Addr{}
			d.IPv6 = []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fe80::1")}
		})
		h.add(2, func(d *presence.Device) {
			d.Addr = netip.Addr{}
			d.IPv6 = []netip.Addr{netip.MustParseAddr("2001:db8::2")}
		})
		mdns := &answers{house: h, from: presence.NameFromMDNS, err: errors.New("silent")}
		dns := &answers{house: h, from: presence.NameFromDNS, names: map[netip.Addr]string{netip.MustParseAddr("fd00::1"): "nas"}}
		h.run(t, 30*time.Minute, mdns, dns)
		h.expect(t, "5s mdns fe80::1", "7s dns fd00::1")
		if h.devices[0].HostName != "nas" {
			t.Errorf("%+v", h.devices[0])
		}
	})
}
