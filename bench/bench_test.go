package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/lab"
	"porchlight/presence"
)

func TestDensest(t *testing.T) {
	start := time.Unix(0, 0)
	at := func(ms ...int) (times []time.Time) {
		for _, m := range ms {
			times = append(times, start.Add(time.Duration(m)*time.Millisecond))
		}
		return times
	}
	for name, c := range map[string]struct {
		times []time.Time
		want  int
	}{
		"nothing":         {nil, 0},
		"one":             {at(5), 1},
		"evenly":          {at(0, 50, 100, 150, 200), 2},
		"a burst between": {at(0, 90, 95, 99, 189, 300), 4},
	} {
		if got := densest(c.times, 100*time.Millisecond); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestMailbox(t *testing.T) {
	event := func(seq int64) presence.Event { return presence.Event{Seq: seq, Type: presence.Arrived, ID: "02"} }
	other := event(2)
	other.Why = "other"
	for _, c := range []struct {
		name      string
		log, got  []presence.Event
		want      []string // what each fault says
		wantAgain int
	}{
		{name: "in order", log: []presence.Event{event(1), event(2)}, got: []presence.Event{event(1), event(2)}},
		{name: "again", log: []presence.Event{event(1), event(2)}, got: []presence.Event{event(1), event(2), event(1), event(2)}, wantAgain: 2},
		{name: "missing", log: []presence.Event{event(1), event(2)}, got: []presence.Event{event(2)}, want: []string{"1 (arrived 02 at 00:00:00.000) never came"}},
		{name: "late", log: []presence.Event{event(1), event(2)}, got: []presence.Event{event(2), event(1)}, want: []string{"came after 2"}},
		{name: "changed", log: []presence.Event{event(2)}, got: []presence.Event{other}, want: []string{"came as"}},
		{name: "invented", got: []presence.Event{event(7)}, want: []string{"not in the log"}},
	} {
		m := &mailbox{got: c.got}
		faults, again := m.check(c.log)
		if len(faults) != len(c.want) || again != c.wantAgain {
			t.Errorf("%s: %d delivered again, faults %q", c.name, again, faults)
			continue
		}
		for i := range faults {
			if !strings.Contains(faults[i], c.want[i]) {
				t.Errorf("%s: fault %q, want one with %q", c.name, faults[i], c.want[i])
			}
		}
	}
}

func TestLateness(t *testing.T) {
	start := time.Unix(1000, 0)
	device := func(last byte) *lab.Device {
		return &lab.Device{Identity: lab.Identity{MAC: lab.MAC{2, 0, 0, 0, 0, last}}}
	}
	moves := []*move{
		{device: device(1), home: true, at: start},
		{device: device(2), home: true, at: start},
		{device: device(3), at: start},
	}
	messages := []message{
		{at: start.Add(-time.Second), topic: stateTopic("020000000001"), payload: "home"}, // from before
		{at: start.Add(time.Millisecond), topic: stateTopic("020000000001"), payload: "home"},
		{at: start.Add(floodAway + 20*time.Millisecond), topic: stateTopic("020000000003"), payload: "not_home"},
	}
	arrivals, departures := lateness(moves, messages)
	if diff := cmp.Diff([]time.Duration{-1, time.Millisecond}, arrivals); diff != "" {
		t.Errorf("arrivals (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]time.Duration{20 * time.Millisecond}, departures); diff != "" {
		t.Errorf("departures (-want +got):\n%s", diff)
	}
	if r := late("", arrivals); r.verdict != missed {
		t.Errorf("a missed arrival is %q", r.verdict)
	}
}

func TestRender(t *testing.T) {
	got := render(&bench{seed: 7, quick: true}, []row{{"a|b", "one\ntwo", "", reported}, {"c", "3", "2", missed}})
	_, table, _ := strings.Cut(got, "(quick: shorter than the figures are meant to be)\n\n")
	want := "| figure | measured | bound | |\n|---|---|---|---|\n| a\\|b | one; two |  |  |\n| c | 3 | 2 | **missed** |\n"
	if diff := cmp.Diff(want, table); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !strings.Contains(got, "seed 7") || !strings.Contains(got, "cores") {
		t.Errorf("the machine is not named: %q", got)
	}
}
