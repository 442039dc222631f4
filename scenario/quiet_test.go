package scenario

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
	"porchlight/scenario/daytest"
)

// Messages are caused by those who come and go; to be heard causes none. The
// figures go to the benchmark, too.
func TestQuietDay(t *testing.T) {
	if raceEnabled {
		t.Skip("scripts/test plays it without the race detector, under which it takes minutes")
	}
	t.Parallel()
	day := daytest.Play(t, 1)
	f := day.Figures()
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Attr("figures", string(text))

	if f.Devices != 50 || f.Sightings < 50_000 || f.Transitions < 30 || f.Still < 20 {
		t.Errorf("that was no usual day: %s", text)
	}
	if f.False > 0 {
		t.Errorf("%d false changes", f.False)
	}
	if f.PerTransition >= 10 || f.Worst >= 10 {
		t.Errorf("%.1f messages per transition, at worst %.1f per device and transition, want less than 10", f.PerTransition, f.Worst)
	}
	if f.StillMessages > 0 {
		t.Errorf("%d messages about devices that neither came nor went", f.StillMessages)
	}
	kinds, last := map[string]int{}, map[string]string{}
	for _, m := range slices.Concat(day.First, day.Said) {
		if payload := string(m.Payload); m.Retain && last[m.Topic] == payload {
			t.Errorf("%s %s again", m.Topic, payload)
		}
		last[m.Topic] = string(m.Payload)
	}
	for _, m := range day.Said {
		kinds[m.Leaf()]++
	}
	n := f.Transitions
	want := map[string]int{"state": n, "attributes": n, "last_seen": n, "event": n, "summary": min(kinds["summary"], n)}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("messages by kind (-want +got):\n%s", diff)
	}
	// Nothing was left out either: what is retained in the end is the truth.
	for i, s := range ends(day) {
		if got := last[daytest.Topics.State(daytest.ID(i))]; got != string(s) {
			t.Errorf("%s is %q in the end, want %q", day.Home[i].Name, got, s)
		}
	}
}

// ends returns the last state of the devices that came or went.
func ends(day daytest.Day) map[int]presence.State {
	states := map[int]presence.State{}
	for _, m := range day.Moves {
		states[m.Device] = presence.Home
		if m.Event == presence.Left {
			states[m.Device] = presence.NotHome
		}
	}
	return states
}
