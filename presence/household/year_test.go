package household

import (
	"testing"
	"time"

	"porchlight/presence"
)

// The past of a home is one that could be: in order, each device comes before
// it leaves, and every month is like the others.
func TestPast(t *testing.T) {
	if seeds == 1 {
		t.Skip("a play takes too long with the race detector, which has nothing to find in it")
	}
	home := map[presence.ID]bool{}
	var last time.Time
	kinds := map[presence.EventType]int{}
	months := make([]int, 3)
	for e := range Past(1, 40, 84) {
		if e.Time.Before(last) {
			t.Fatalf("%v comes after %v", e, last)
		}
		last = e.Time
		kinds[e.Type]++
		months[min(int(e.Time.Sub(Start)/(28*24*time.Hour)), 2)]++
		if e.Type == presence.Arrived || e.Type == presence.Left {
			if home[e.ID] == (e.Type == presence.Arrived) {
				t.Errorf("%s %s twice", e.Type, e.ID)
			}
			home[e.ID] = e.Type == presence.Arrived
		}
	}
	if len(home) != 40 || kinds[presence.NewDevice] != 40 || kinds[presence.SensingLost] != kinds[presence.SensingBack] {
		t.Errorf("%d devices, %v", len(home), kinds)
	}
	if months[1] < months[2]*9/10 || months[2] < months[1]*9/10 || months[1] < 1000 {
		t.Errorf("events in each month: %v", months)
	}
	t.Logf("%v, %d a day", kinds, months[1]/28)
}
