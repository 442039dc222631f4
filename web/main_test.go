package web

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"porchlight/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// household is a Source with a life of its own.
type household struct {
	devices []presence.Device
	summary presence.Summary
	stats   Stats
	ill     error // of Health
	gone    error // of the other two
	refuses error // to merge or split
	news    atomic.Pointer[chan struct{}]
	learned presence.Silences
	done    []string // what was asked for, in order
}

func (h *household) Silences(context.Context, presence.ID) (presence.Silences, error) {
	return h.learned, h.gone
}

// Changed is closed by the next change.
func (h *household) Changed() <-chan struct{} {
	if h.news.Load() == nil {
		c := make(chan struct{})
		h.news.CompareAndSwap(nil, &c)
	}
	return *h.news.Load()
}

func (h *household) change() {
	c := make(chan struct{})
	if old := h.news.Swap(&c); old != nil {
		close(*old)
	}
}

func (h *household) Scan()                 { h.done = append(h.done, "scan") }
func (h *household) Forget(id presence.ID) { h.done = append(h.done, "forget "+string(id)) }

func (h *household) MergeNow(_ context.Context, into presence.ID, ids []presence.ID) error {
	h.done = append(h.done, fmt.Sprint("merge ", into, ids))
	return h.refuses
}

func (h *household) SplitNow(_ context.Context, id presence.ID, macs []presence.MAC) error {
	h.done = append(h.done, fmt.Sprint("split ", id, macs))
	return h.refuses
}

func (h *household) Set(id presence.ID, c presence.Change) {
	h.done = append(h.done, "set "+string(id)+" "+fmt.Sprint(c.Fields()))
}

func (h *household) Snapshot(context.Context) ([]presence.Device, presence.Summary, error) {
	return h.devices, h.summary, h.gone
}
func (h *household) Stats(context.Context) (Stats, error) { return h.stats, h.gone }
func (h *household) Health(context.Context) error         { return h.ill }

// person is a device that has been in its state for a while.
func person(mac, name, addr string, state presence.State, since time.Time) presence.Device {
	m, err := presence.ParseMAC(mac)
	if err != nil {
		panic(err)
	}
	return presence.Device{
		ID: m.ID(), MAC: m, HostName: name, Addr: netip.MustParseAddr(addr), Interface: "eth0",
		State: state, Since: since, FirstSeen: since, LastSeen: since, Tracked: true,
		Why: "ARP reply heard after 3 h 05 min of silence",
	}
}

func family(now time.Time) *household {
	nas := person("00:11:32:aa:bb:01", "nas", "192.168.1.10", presence.Home, now.Add(-200*time.Hour))
	nas.Vendor = "Synology Incorporated"
	phone := person("02:6f:1e:10:00:7c", "annas-phone", "192.168.1.23", presence.Home, now.Add(-185*time.Minute))
	phone.Name = "Anna's phone"
	laptop := person("3c:22:fb:01:02:03", "", "192.168.1.31", presence.NotHome, now.Add(-20*time.Minute))
	laptop.Vendor, laptop.Tracked = "Apple, Inc.", false
	laptop.Why = "no answer to 6 probes in 74 s, nothing heard for 4 min; it is usually heard within 40 s, and had 3 min"
	tv := person("a4:30:7a:01:02:04", "living-room-tv", "192.168.1.40", presence.NotHome, now.Add(-9*time.Hour))
	return &household{
		devices: []presence.Device{laptop, tv, phone, nas},
		summary: presence.Summary{
			Home: 2, Known: 4,
			LastNew: &presence.NewFound{Found: presence.Found{ID: laptop.ID, Name: "Apple, Inc. 02:03"}, Time: now.Add(-50 * time.Hour)},
			Sensing: []presence.Sensing{{At: now.Add(-200 * time.Hour), Interface: "eth0"}},
		},
		stats: Stats{
			Events:    map[presence.EventType]uint64{presence.Arrived: 7, presence.Left: 5},
			Sightings: 12345, Probes: 678, Sweeps: 9, Refused: 3, BrokerConnected: true,
			Database: Database{Path: "/var/lib/porchlight/porchlight.db", Size: 1_234_567},
			Behind:   map[string]int64{"mqtt": 0}, Messages: []Messages{{Service: "phone"}},
			Interfaces: map[string]Interface{"eth0": {Frames: 23456, Malformed: 1, Dropped: 2, Redials: 1}},
		},
	}
}
