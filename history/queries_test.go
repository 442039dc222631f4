package history

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porchlight/presence"

	"github.com/google/go-cmp/cmp"
)

// story writes comings and goings of devices 0 to 2, as hours after t0:
// positive for coming, negative for leaving.
func story(t *testing.T, s *Store, hours map[int][]float64) {
	t.Helper()
	var events []presence.Event
	devices := arrivals(3)
	for i, list := range hours {
		for _, h := range list {
			e := devices[i]
			if h < 0 {
				h, e.Type, e.Why = -h, presence.Left, "silent"
			}
			e.Time = t0.Add(time.Duration(h * float64(time.Hour)))
			events = append(events, e)
		}
	}
	slices.SortFunc(events, func(a, b presence.Event) int { return a.Time.Compare(b.Time) })
	s.Append(events)
	flushed(t, s)
}

func hour(h float64) time.Time { return t0.Add(time.Duration(h * float64(time.Hour))).UTC() }

func ids(sessions []Session) (all []presence.ID) {
	for _, s := range sessions {
		all = append(all, s.Device)
	}
	return all
}

func TestQuestions(t *testing.T) {
	s := open(t, t.TempDir())
	story(t, s, map[int][]float64{0: {1, -5, 10, -12, 40}, 1: {2, -3}, 2: {0.5}})
	d := arrivals(3)
	q, ctx := s.Queries(), t.Context()

	for at, want := range map[float64][]presence.ID{
		0: nil, 0.5: {d[2].ID}, 2: {d[0].ID, d[1].ID, d[2].ID}, 3: {d[0].ID, d[2].ID}, 5: {d[2].ID}, 11: {d[0].ID, d[2].ID}, 50: {d[0].ID, d[2].ID},
	} {
		got, err := q.HomeAt(ctx, hour(at))
		if diff := cmp.Diff(want, ids(got)); err != nil || diff != "" {
			t.Errorf("who was home after %v h: %v (-want +got):\n%s", at, err, diff)
		}
	}

	got, err := q.Sessions(ctx, d[0].ID, hour(4), hour(40))
	if err != nil || len(got) != 2 || !got[0].From.Equal(hour(1)) || !got[1].To.Equal(hour(12)) {
		t.Errorf("sessions of one device %+v, %v", got, err)
	}

	absences, err := q.LongestAbsences(ctx, time.Time{}, time.Time{}, hour(100), 10)
	want := []Absence{{d[1].ID, hour(3), time.Time{}}, {d[0].ID, hour(12), hour(40)}, {d[0].ID, hour(5), hour(10)}}
	if diff := cmp.Diff(want, absences); err != nil || diff != "" {
		t.Errorf("longest absences: %v (-want +got):\n%s", err, diff)
	}
	want = []Absence{{d[1].ID, hour(3), time.Time{}}, {d[0].ID, hour(12), hour(40)}}
	for _, to := range []float64{20, 20 * 24} { // a short span and a long one
		absences, err = q.LongestAbsences(ctx, hour(6), hour(to), hour(100), 2)
		if diff := cmp.Diff(want, absences); err != nil || diff != "" {
			t.Errorf("longest absences until %v h: %v (-want +got):\n%s", to, err, diff)
		}
	}
}

func TestFirstSeen(t *testing.T) {
	s := open(t, t.TempDir())
	d := arrivals(2)
	named := home(d[0], hour(1))
	named.Name = "Ann's phone"
	s.SaveDevices([]presence.Record{named})
	gone := d[1]
	gone.Type, gone.Time, gone.Name = presence.NewDevice, hour(2), "a visitor"
	s.Append([]presence.Event{gone})
	flushed(t, s)
	want := []Found{
		{d[0].ID, d[0].MAC, hour(1), "Ann's phone", true},
		{gone.ID, gone.MAC, hour(2), "a visitor", false},
	}
	for _, c := range []struct {
		from, to float64
		want     []Found
	}{{0, 3, want}, {1, 2, want[:1]}, {1.5, 3, want[1:]}, {3, 9, nil}} {
		got, err := s.Queries().FirstSeen(t.Context(), hour(c.from), hour(c.to))
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("first seen in %v..%v: %v (-want +got):\n%s", c.from, c.to, err, diff)
		}
	}
}

func TestFind(t *testing.T) {
	s := open(t, t.TempDir())
	story(t, s, map[int][]float64{0: {1, -5, 10, -12, 40}, 1: {2, -3}})
	blind := presence.Event{Type: presence.SensingLost, Time: hour(50), Interface: "eth0", Why: "no carrier"}
	listens := func(kind presence.EventType, program string) presence.Event {
		return presence.Event{Type: kind, Time: hour(45), Socket: &presence.Socket{Program: program, Protocol: "tcp", Port: 8443}}
	}
	s.Append([]presence.Event{
		listens(presence.ListenerOpened, "nginx"), listens(presence.ListenerOpened, "smbd"), listens(presence.ListenerClosed, "nginx"), blind,
	})
	flushed(t, s)
	d := arrivals(2)
	for name, c := range map[string]struct {
		f    EventFilter
		p    Page
		want []int64
	}{
		"all":                {EventFilter{}, Page{Limit: 100}, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}},
		"the newest":         {EventFilter{}, Page{Limit: 2}, []int64{10, 11}},
		"the oldest":         {EventFilter{}, Page{Limit: 2, Oldest: true}, []int64{1, 2}},
		"the page before":    {EventFilter{}, Page{Limit: 2, Before: 7}, []int64{5, 6}},
		"the page after":     {EventFilter{}, Page{Limit: 2, After: 2, Oldest: true}, []int64{3, 4}},
		"a device":           {EventFilter{Devices: []presence.ID{d[1].ID}}, Page{Limit: 9}, []int64{2, 3}},
		"a span of time":     {EventFilter{Since: hour(3), Until: hour(12)}, Page{Limit: 9}, []int64{3, 4, 5}},
		"types":              {EventFilter{Types: []presence.EventType{presence.Left}}, Page{Limit: 9}, []int64{3, 4, 6}},
		"a rare type":        {EventFilter{Types: []presence.EventType{presence.SensingLost}}, Page{Limit: 9}, []int64{11}},
		"a program":          {EventFilter{Program: "NGINX"}, Page{Limit: 9}, []int64{8, 10}},
		"ports of a program": {EventFilter{Program: "nginx", Types: []presence.EventType{presence.ListenerOpened}}, Page{Limit: 9}, []int64{8}},
		"no such program":    {EventFilter{Program: "' OR 1=1 --"}, Page{Limit: 9}, nil},
		"a rare and a not":   {EventFilter{Types: []presence.EventType{presence.SensingLost, presence.Left}}, Page{Limit: 9}, []int64{3, 4, 6, 11}},
		"everything at once": {EventFilter{Since: hour(2), Until: hour(11), Devices: []presence.ID{d[0].ID}, Types: []presence.EventType{presence.Arrived}}, Page{Limit: 9}, []int64{5}},
	} {
		got, err := s.Queries().Find(t.Context(), c.f, c.p)
		if diff := cmp.Diff(c.want, seqs(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	got, err := s.Queries().Find(t.Context(), EventFilter{}, Page{Limit: 1})
	if diff := cmp.Diff(blind.Why, got[0].Why); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

func TestLookup(t *testing.T) {
	s := open(t, t.TempDir())
	e := arrivals(1)[0]
	d := home(e, t0)
	d.Name, d.HostName = "Ann's phone", "iPhone"
	s.SaveDevices([]presence.Record{d})
	flushed(t, s)
	d.Name, d.LastSeen = "Ann's old phone", t0.Add(time.Hour)
	s.SaveDevices([]presence.Record{d})
	flushed(t, s)
	for _, text := range []string{string(e.ID), e.MAC.String(), strings.ToUpper(e.MAC.String()), "ann's old PHONE", "Ann's phone", "iphone"} {
		if got, err := s.Queries().Lookup(t.Context(), text); err != nil || !slices.Equal(got, []presence.ID{e.ID}) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "%", "phone", "02:00:5e:10:00:99"} {
		if got, err := s.Queries().Lookup(t.Context(), text); err != nil || len(got) > 0 {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// A device that was merged is found with all that its former ids did.
func TestMerged(t *testing.T) {
	s := open(t, t.TempDir())
	story(t, s, map[int][]float64{0: {1, -5}, 1: {8, -20, 26}})
	d := arrivals(2)
	merge(t, s, d[0].ID, d[1].ID)
	q, ctx := s.Queries(), t.Context()
	got, err := q.Sessions(ctx, d[1].ID, time.Time{}, time.Time{})
	if err != nil || len(got) != 3 || got[0].Device != d[1].ID || !got[0].From.Equal(hour(1)) {
		t.Errorf("sessions %+v, %v", got, err)
	}
	if home, err := q.HomeAt(ctx, hour(2)); err != nil || !slices.Equal(ids(home), []presence.ID{d[1].ID}) {
		t.Errorf("home %+v, %v", home, err)
	}
	absences, err := q.LongestAbsences(ctx, time.Time{}, time.Time{}, hour(100), 10)
	want := []Absence{{d[1].ID, hour(20), hour(26)}, {d[1].ID, hour(5), hour(8)}}
	if diff := cmp.Diff(want, absences); err != nil || diff != "" {
		t.Errorf("absences: %v (-want +got):\n%s", err, diff)
	}
	if events, err := q.Find(ctx, EventFilter{Devices: []presence.ID{d[1].ID}}, Page{Limit: 9}); err != nil || len(events) != 5 {
		t.Errorf("%d events, %v", len(events), err)
	}
	for id, want := range map[presence.ID]presence.ID{d[0].ID: d[1].ID, d[1].ID: d[1].ID, "x": "x"} {
		if now, err := q.Now(ctx, id); err != nil || now != want {
			t.Errorf("%s is %s now, %v", id, now, err)
		}
	}
	if ids, err := q.Lookup(ctx, d[0].MAC.String()); err != nil || !slices.Equal(ids, []presence.ID{d[1].ID}) {
		t.Errorf("the former MAC is found as %v, %v", ids, err)
	}
}

func TestTimeline(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	story(t, s, map[int][]float64{0: {1, -5, 10, -12, 40}, 1: {2, -3}, 2: {0.5}})
	sensing := func(kind presence.EventType, h float64) presence.Event {
		return presence.Event{Type: kind, Time: hour(h), Interface: "eth0", Why: string(kind)}
	}
	s.Append([]presence.Event{sensing(presence.SensingLost, 41), sensing(presence.SensingBack, 42), sensing(presence.SensingLost, 43)})
	closed(t, s)
	s = open(t, dir)
	got, err := s.Queries().Timeline(t.Context(), hour(4), hour(1000))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]presence.ID{arrivals(1)[0].ID, arrivals(1)[0].ID, arrivals(1)[0].ID, arrivals(3)[2].ID}, ids(got.Sessions)); diff != "" {
		t.Error(diff)
	}
	if len(got.Gaps) != 2 || got.Gaps[0] != (Gap{Blind, "eth0", hour(41), hour(42), "sensing_lost"}) || got.Gaps[1].To.IsZero() {
		t.Errorf("gaps %+v: what was going on when Porchlight stopped has ended then", got.Gaps)
	}
	all, err := s.Queries().Gaps(t.Context(), hour(0), time.Now().Add(time.Hour))
	if err != nil || len(all) != 3 || all[2].Kind != Stopped || !all[1].To.Equal(all[2].From) || all[2].To.Before(all[2].From) {
		t.Errorf("gaps %+v, %v", all, err)
	}
	if got, err := s.Queries().Gaps(t.Context(), hour(41.9), hour(42.5)); err != nil || len(got) != 1 {
		t.Errorf("gaps of an hour %+v, %v", got, err)
	}
}

// A machine that slept is a gap: the second hand was late.
func TestAsleep(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		var w wakeful
		now := time.Now()
		for range 3 {
			w.tick(s, now)
			now = now.Add(tick)
		}
		woken := now.Add(time.Hour)
		w.tick(s, woken)
		w.tick(s, woken.Add(tick))
		w.tick(s, woken.Add(-time.Hour)) // a clock that is set back
		time.Sleep(time.Second)
		gaps, err := s.Queries().Gaps(context.Background(), now.Add(-time.Hour), woken)
		if err != nil || len(gaps) != 1 || gaps[0].Kind != Asleep || gaps[0].To.Sub(gaps[0].From) != time.Hour+tick {
			t.Errorf("gaps %+v, %v", gaps, err)
		}
		closed(t, s)
	})
}

// merge makes former a part of now.
func merge(t *testing.T, s *Store, former, now presence.ID) {
	t.Helper()
	s.SaveDevices([]presence.Record{{Device: presence.Device{ID: former, State: presence.NotHome}, MergedInto: now}})
	flushed(t, s)
}
