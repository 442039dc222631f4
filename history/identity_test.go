package history

import (
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"porchlight/presence"
)

// TestSamePorts: a change of what tells devices apart is written at once, but for
// when each MAC was last heard, which is written with something else, or once a day.
func TestSamePorts(t *testing.T) {
	base := stored{ports: []presence.Port{{MAC: presence.MAC{2}}, {MAC: presence.MAC{6}, Origin: presence.ByUser, Heard: t0}}}
	for name, test := range map[string]struct {
		change func(*stored)
		same   bool
	}{
		"nothing":          {func(*stored) {}, true},
		"heard":            {func(d *stored) { d.ports[1].Heard = t0.Add(time.Hour) }, true},
		"heard, a day on":  {func(d *stored) { d.ports[1].Heard = t0.Add(25 * time.Hour) }, false},
		"address":          {func(d *stored) { d.ports[1].Addr = netip.MustParseAddr("10.0.0.1") }, false},
		"IPv6":             {func(d *stored) { d.ports[1].IPv6 = []netip.Addr{netip.MustParseAddr("fe80::1")} }, false},
		"interface":        {func(d *stored) { d.ports[1].Interface = "eth0" }, false},
		"origin":           {func(d *stored) { d.ports[1].Origin = presence.ByFollow }, false},
		"one MAC less":     {func(d *stored) { d.ports = d.ports[:1] }, false},
		"merged":           {func(d *stored) { d.mergedInto = "020000000001" }, false},
		"told to be alike": {func(d *stored) { d.Resembles = "020000000001" }, false},
		"follows":          {func(d *stored) { d.Follow = &presence.Follow{Same: true} }, false},
	} {
		changed := base
		changed.ports = slices.Clone(base.ports)
		test.change(&changed)
		if got := sameRow(&base, &changed); got != test.same {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestStory: the events of what is part of a device are its own, as long as it is.
func TestStory(t *testing.T) {
	s := open(t, t.TempDir())
	events := arrivals(4) // of the devices a, b, c and d
	s.Append(append(events, events...))
	a, b, c := events[0].ID, events[1].ID, events[2].ID
	followed := presence.MAC{6, 0, 0, 0, 0, 7}
	s.SaveDevices([]presence.Record{
		{Device: presence.Device{ID: a}, Ports: []presence.Port{{MAC: events[0].MAC}, {MAC: followed, Origin: presence.ByFollow}}},
		{Device: presence.Device{ID: b}, MergedInto: a},
		{Device: presence.Device{ID: c}, MergedInto: a},
	})
	flushed(t, s)
	story := func(what string) []int64 {
		t.Helper()
		ids, err := s.Queries().Lookup(t.Context(), what)
		if err != nil || len(ids) == 0 {
			t.Fatalf("%s is nobody: %v", what, err)
		}
		events, err := s.Queries().Find(t.Context(), EventFilter{Devices: ids}, Page{Limit: 9, Oldest: true})
		if err != nil {
			t.Fatal(err)
		}
		return seqs(events)
	}
	for what, want := range map[string][]int64{
		string(a): {1, 2, 3, 5, 6, 7}, string(b): {1, 2, 3, 5, 6, 7}, followed.String(): {1, 2, 3, 5, 6, 7}, string(events[3].ID): {4, 8},
	} {
		if got := story(what); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	s.SaveDevices([]presence.Record{{Device: presence.Device{ID: b}}})
	flushed(t, s)
	if got := story(string(a)); !slices.Equal(got, []int64{1, 3, 5, 7}) {
		t.Errorf("split again: %v", got)
	}
	if got := story(string(b)); !slices.Equal(got, []int64{2, 6}) {
		t.Errorf("split off: %v", got)
	}
}

// TestMergedSession: who becomes part of another device is at home no more by itself.
func TestMergedSession(t *testing.T) {
	s := open(t, t.TempDir())
	e := arrivals(2)
	s.Append(e)
	s.Append([]presence.Event{{Type: presence.Merged, Time: t0.Add(time.Hour), ID: e[0].ID, Other: e[1].ID, Why: "one"}})
	flushed(t, s)
	got, err := s.Queries().Sessions(t.Context(), e[1].ID, time.Time{}, time.Time{})
	if err != nil || len(got) != 1 || got[0].Open() || !got[0].To.Equal(t0.Add(time.Hour)) {
		t.Errorf("%+v, %v", got, err)
	}
}

// mergeForEver merges and splits two devices, as the bridge does: the event first.
func mergeForEver(dir string) {
	s, err := Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		os.Exit(1)
	}
	go func() { _ = s.Run(always) }()
	for i := 0; ; i++ {
		e := presence.Event{Type: presence.Merged, Time: time.Now(), ID: "020000000001", Other: "020000000002"}
		one := presence.Record{Device: presence.Device{ID: e.ID, MAC: presence.MAC{2, 0, 0, 0, 0, 1}}}
		two := presence.Record{Device: presence.Device{ID: e.Other, MAC: presence.MAC{2, 0, 0, 0, 0, 2}}}
		if i%2 == 0 {
			one.Ports = []presence.Port{{MAC: one.MAC}, {MAC: two.MAC, Origin: presence.ByUser}}
			two.MergedInto = one.ID
		} else {
			e.Type = presence.Split
		}
		given := s.Append([]presence.Event{e})
		s.SaveDevices([]presence.Record{one, two})
		os.Stdout.WriteString(string(e.Type) + "\n")
		if given[0].Seq%7 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// TestKilledMerging: however a run is killed, the two rows and the log never say
// that a merge is half done: what the rows lack is in the last event.
func TestKilledMerging(t *testing.T) {
	for n := range 12 {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0], "merge-for-ever", dir)
		cmd.Stderr = t.Output()
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := make([]byte, 200+137*n)
		for read := 0; read < len(said); {
			k, err := out.Read(said[read:])
			if err != nil {
				t.Fatal(err)
			}
			read += k
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()

		s := open(t, dir)
		events := s.Recent()
		last := events[len(events)-1]
		records, err := s.Load(t.Context())
		if err != nil || len(records) > 2 {
			t.Fatalf("%v, %v", records, err)
		}
		if last.Other != "020000000002" || last.Type != presence.Merged && last.Type != presence.Split {
			t.Fatalf("the last event: %+v", last)
		}
		if len(records) == 2 && (len(records[0].Ports) == 2) != (records[1].MergedInto == records[0].ID) {
			t.Errorf("half done: %+v", records)
		}
		closed(t, s)
	}
}
