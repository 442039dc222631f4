package bridge

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
)

func TestCatchUp(t *testing.T) {
	at := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	stored := func(m presence.MAC, s presence.State) presence.Record {
		return presence.Record{Device: presence.Device{ID: m.ID(), State: s, Since: at, Why: "stored"}}
	}
	told := func(seq int64, m presence.MAC, what presence.EventType) presence.Event {
		return presence.Event{Seq: seq, Type: what, ID: m.ID(), Time: at.Add(time.Duration(seq) * time.Second), Why: "told"}
	}
	other := presence.MAC{2, 0, 0, 0, 0, 3}
	for _, c := range []struct {
		name   string
		events []presence.Event
		want   [2]presence.State // of the phone and the plug
		since  time.Time         // of the phone
	}{
		{"no events", nil, [2]presence.State{presence.Home, presence.NotHome}, at},
		{"as stored", []presence.Event{told(1, phone, presence.Arrived), told(2, plug, presence.Left)}, [2]presence.State{presence.Home, presence.NotHome}, at},
		{"both went on", []presence.Event{told(1, plug, presence.Arrived), told(2, phone, presence.Left)}, [2]presence.State{presence.NotHome, presence.Home}, at.Add(2 * time.Second)},
		{
			"the last one counts, and others say nothing",
			[]presence.Event{told(1, phone, presence.Left), told(2, phone, presence.Arrived), told(3, phone, presence.AddressChanged), told(4, other, presence.Arrived)},
			[2]presence.State{presence.Home, presence.NotHome},
			at,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			records := []presence.Record{stored(phone, presence.Home), stored(plug, presence.NotHome)}
			records = CatchUp(records, c.events)
			if len(records) != 2 {
				t.Errorf("%d devices", len(records))
			}
			got := [2]presence.State{records[0].State, records[1].State}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("states (-want +got):\n%s", diff)
			}
			if !records[0].Since.Equal(c.since) || (records[0].Why == "told") != c.since.After(at) {
				t.Errorf("the phone: since %s, %s", records[0].Since, records[0].Why)
			}
		})
	}
}

// A device that was new a moment before a kill is known, one that was forgotten
// since is not.
func TestCatchUpWithNewDevice(t *testing.T) {
	at := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	forgotten := presence.MAC{2, 0, 0, 0, 0, 9}
	records := CatchUp(nil, []presence.Event{
		{Seq: 1, Type: presence.NewDevice, ID: forgotten.ID(), MAC: forgotten, Time: at.Add(-time.Hour)},
		{Seq: 2, Type: presence.Arrived, ID: forgotten.ID(), MAC: forgotten, Time: at.Add(-time.Hour)},
		{Seq: 3, Type: presence.NewDevice, ID: phone.ID(), MAC: phone, HostName: "phone", Time: at},
		{Seq: 4, Type: presence.Arrived, ID: phone.ID(), MAC: phone, Time: at, Why: "told"},
	})
	if len(records) != 1 || records[0].ID != phone.ID() || records[0].State != presence.Home ||
		records[0].HostName != "phone" || !records[0].FirstSeen.Equal(at) || records[0].Why != "told" {
		t.Errorf("%+v", records)
	}
}

// A guest that came a moment before a kill, of whom there is no event yet that it
// is new, is known and waits; who is in a digest waits no more, and is not told
// again.
func TestCatchUpWithGuests(t *testing.T) {
	at := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	guest, late := presence.MAC{2, 0, 0, 0, 0, 8}, presence.MAC{2, 0, 0, 0, 0, 9}
	waiting := func(m presence.MAC) presence.Record {
		return presence.Record{Device: presence.Device{ID: m.ID(), MAC: m, State: presence.Home, FirstSeen: at, Untold: true}}
	}
	records := CatchUp([]presence.Record{waiting(guest), waiting(late)}, []presence.Event{
		{Seq: 1, Type: presence.NewGuests, Time: at, Devices: []presence.Found{{ID: guest.ID()}}},
		{Seq: 2, Type: presence.Arrived, ID: phone.ID(), MAC: phone, PrivateMAC: true, Time: at.Add(time.Second), Why: "told"},
	})
	if len(records) != 3 || records[0].Untold || !records[1].Untold {
		t.Fatalf("%+v", records)
	}
	if d := records[2]; d.ID != phone.ID() || d.State != presence.Home || !d.Untold || !d.FirstSeen.Equal(at.Add(time.Second)) {
		t.Errorf("%+v", d)
	}
}

// The address of a device that was new a moment before a kill is what it was.
func TestCatchUpWithAddress(t *testing.T) {
	four, six := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1")
	for told, ipv4 := range map[netip.Addr]netip.Addr{four: four, six: {}, {}: {}} {
		records := CatchUp(nil, []presence.Event{{Seq: 1, Type: presence.NewDevice, ID: phone.ID(), MAC: phone, Addr: told}})
		if d := records[0]; d.Addr != ipv4 || d.Address() != told {
			t.Errorf("%s: %s and %s", told, d.Addr, d.IPv6)
		}
	}
}

// A merge or a split of a moment before a kill is done, and done once; one of
// long ago is stored, or something else has happened since.
func TestCatchUpWithMerge(t *testing.T) {
	at := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	whole := func(ports ...presence.Port) presence.Record {
		return presence.Record{Device: presence.Device{ID: phone.ID(), MAC: phone, FirstSeen: at, LastSeen: at, State: presence.NotHome}, Ports: ports}
	}
	part := func(into presence.ID) presence.Record {
		return presence.Record{Device: presence.Device{ID: plug.ID(), MAC: plug, FirstSeen: at, LastSeen: at, State: presence.NotHome}, MergedInto: into}
	}
	first, second := presence.Port{MAC: phone}, presence.Port{MAC: plug, Origin: presence.ByUser}
	merged := presence.Event{Type: presence.Merged, Time: at, ID: phone.ID(), Other: plug.ID()}
	split := presence.Event{Type: presence.Split, Time: at, ID: phone.ID(), Other: plug.ID()}
	later := presence.Event{Type: presence.SensingLost, Time: at.Add(time.Hour)}
	for name, test := range map[string]struct {
		records []presence.Record
		events  []presence.Event
		want    map[presence.ID]int // how many MACs each device has
	}{
		"merged":                            {[]presence.Record{whole(), part("")}, []presence.Event{merged}, map[presence.ID]int{phone.ID(): 2}},
		"merged, and stored":                {[]presence.Record{whole(first, second), part(phone.ID())}, []presence.Event{merged}, map[presence.ID]int{phone.ID(): 2}},
		"merged, and half stored":           {[]presence.Record{whole(first, second), part("")}, []presence.Event{merged}, map[presence.ID]int{phone.ID(): 2}},
		"split":                             {[]presence.Record{whole(first, second), part(phone.ID())}, []presence.Event{split}, map[presence.ID]int{phone.ID(): 1, plug.ID(): 1}},
		"split, and half stored":            {[]presence.Record{whole(first), part(phone.ID())}, []presence.Event{split}, map[presence.ID]int{phone.ID(): 1, plug.ID(): 1}},
		"merged and split":                  {[]presence.Record{whole(), part("")}, []presence.Event{merged, split}, map[presence.ID]int{phone.ID(): 1, plug.ID(): 1}},
		"split and merged":                  {[]presence.Record{whole(first, second), part(phone.ID())}, []presence.Event{split, merged}, map[presence.ID]int{phone.ID(): 2}},
		"merged long ago, split since":      {[]presence.Record{whole(), part("")}, []presence.Event{merged, later}, map[presence.ID]int{phone.ID(): 1, plug.ID(): 1}},
		"followed":                          {[]presence.Record{whole()}, []presence.Event{merged}, map[presence.ID]int{phone.ID(): 2}},
		"followed, and stored as a claim":   {[]presence.Record{whole(first, presence.Port{MAC: plug, Origin: presence.Heir})}, []presence.Event{merged}, map[presence.ID]int{phone.ID(): 2}},
		"followed, and found to be another": {[]presence.Record{whole()}, []presence.Event{merged, split}, map[presence.ID]int{phone.ID(): 1, plug.ID(): 1}},
	} {
		t.Run(name, func(t *testing.T) {
			e := presence.New(presence.Config{})
			e.Restore(at, CatchUp(test.records, test.events))
			got := map[presence.ID]int{}
			for _, d := range e.Devices() {
				got[d.ID] = len(d.AllMACs())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}

	// It went by the MAC that is split off.
	went := whole(first, second)
	went.MAC, went.Addr = plug, netip.MustParseAddr("10.0.0.1")
	records := CatchUp([]presence.Record{went}, []presence.Event{split})
	if records[0].MAC != phone || records[0].Addr.IsValid() || records[1].MAC != plug {
		t.Errorf("%+v", records)
	}
}

// Who became part of another device has come and gone with that one since: what
// was told of it before says nothing about it when it is split off again.
func TestCatchUpWithWhatWasPart(t *testing.T) {
	at := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	after := func(d time.Duration, what presence.EventType, m presence.MAC) presence.Event {
		return presence.Event{Type: what, Time: at.Add(d), ID: m.ID(), MAC: m, Why: "told"}
	}
	about := func(ev presence.Event, other presence.MAC) presence.Event {
		ev.Other = other.ID()
		return ev
	}
	events := []presence.Event{
		after(0, presence.Arrived, phone), after(0, presence.Arrived, plug),
		about(after(time.Hour, presence.Merged, phone), plug),
		after(2*time.Hour, presence.Left, phone),
		about(after(3*time.Hour, presence.Split, phone), plug),
	}
	for n, want := range map[int]presence.State{2: presence.Home, 3: presence.NotHome, 5: presence.NotHome} {
		stored := presence.Device{ID: plug.ID(), MAC: plug, FirstSeen: at, LastSeen: at, State: presence.NotHome, Since: at.Add(3 * time.Hour)}
		if d := CatchUp([]presence.Record{{Device: stored}}, events[:n])[0]; d.State != want {
			t.Errorf("after %d events it is %s", n, d.State)
		}
	}
}
