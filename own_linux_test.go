package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
)

// recorder is an ear that keeps what it hears.
type recorder struct {
	sightings []presence.Sighting
	sensings  []presence.Sensing
}

func (r *recorder) Sight(s presence.Sighting) { r.sightings = append(r.sightings, s) }
func (r *recorder) Sense(s presence.Sensing)  { r.sensings = append(r.sensings, s) }

// What this machine says on one interface and hears on another is no sighting;
// between which interfaces that was is noted for as long as it lasts.
func TestOwnFrames(t *testing.T) {
	wired, wifi, trunk, phone := presence.MAC{2, 1}, presence.MAC{2, 2}, presence.MAC{2, 3}, presence.MAC{2, 9}
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{}
		o := newOwnEar(rec, []string{"eth0", "wlan0", "eth1"}, slog.New(slog.DiscardHandler))
		o.macs.Store(&map[presence.MAC]string{wired: "eth0", wifi: "wlan0", trunk: "eth1"})
		for _, s := range []struct {
			mac    presence.MAC
			ifname string
		}{
			{phone, "eth0"},
			{wifi, "eth0"},
			{wifi, "eth0"},
			{wired, "eth1.10"},  // tagged, on a trunk
			{trunk, "eth1.20"},  // one VLAN of its own hears another
			{wired, "docker0"},  // not listened on
			{wired, "wlan0.10"}, // an interface of that name may be heard through wlan0
		} {
			o.Sight(presence.Sighting{At: time.Now(), MAC: s.mac, Interface: s.ifname, Kind: presence.ARPRequest})
		}
		if len(rec.sightings) != 1 || rec.sightings[0].MAC != phone {
			t.Errorf("sightings %+v", rec.sightings)
		}
		want := map[[2]string]time.Time{{"wlan0", "eth0"}: time.Now(), {"eth0", "eth1"}: time.Now(), {"eth0", "wlan0"}: time.Now()}
		if diff := cmp.Diff(want, o.crossed); diff != "" {
			t.Error(diff)
		}
		select {
		case <-o.again:
		default:
			t.Error("nobody looks at it")
		}
		time.Sleep(crossedFor + time.Second)
		o.look()
		if len(o.crossed) > 0 {
			t.Errorf("still noted: %v", o.crossed)
		}
	})
}

// The first sweep waits for all interfaces, but not for ever.
func TestTally(t *testing.T) {
	for _, test := range []struct {
		name  string
		says  []string      // a second apart
		ends  time.Duration // when it is stopped
		waits time.Duration
	}{
		{"all at once", []string{"eth0", "eth1"}, time.Hour, time.Second},
		{"one twice, the other never", []string{"eth0", "eth0"}, time.Hour, tallyWait},
		{"it is stopped", nil, 2 * time.Second, 2 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rec := &recorder{}
				tally := newTally([]string{"eth0", "eth1"})
				e := tally.ear(rec)
				ctx, cancel := context.WithTimeoutCause(context.Background(), test.ends, errors.New("stopped"))
				defer cancel()
				go func() {
					for i, name := range test.says {
						if i > 0 {
							time.Sleep(time.Second)
						}
						e.Sense(presence.Sensing{At: time.Now(), Interface: name})
					}
				}()
				start := time.Now()
				tally.wait(ctx)
				if took := time.Since(start); took != test.waits {
					t.Errorf("waited %s, want %s", took, test.waits)
				}
				synctest.Wait()
				if len(rec.sensings) != len(test.says) {
					t.Errorf("handed on %d of %d", len(rec.sensings), len(test.says))
				}
			})
		})
	}
}

// A sweep asks only what is set and on the interface.
func TestPrefixesOn(t *testing.T) {
	set := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("127.0.0.0/24")}
	if diff := cmp.Diff([]netip.Prefix{set[1]}, prefixesOn("lo", set), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if got := prefixesOn("there-is-none", set); len(got) != len(set) {
		t.Errorf("got %v", got)
	}
}
