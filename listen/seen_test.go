package listen

import (
	"fmt"
	"testing"
	"time"

	"porchlight/presence"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 123_456_789, time.UTC)

func event(seq int64, at time.Time) *presence.Event {
	return &presence.Event{Seq: seq, Time: at, Type: presence.Left, ID: "aabbcc000001"}
}

func TestSeen(t *testing.T) {
	var s seen
	check := func(what string, node string, e *presence.Event, wantAgain bool, wantMissed int64) {
		t.Helper()
		if again, missed := s.check(node, e); again != wantAgain || missed != wantMissed {
			t.Errorf("%s: again %v, missed %d", what, again, missed)
		}
	}
	later := noon.Add(time.Hour)
	check("the first", "home", event(100, noon), false, 0)
	check("the same", "home", event(100, noon), true, 0)
	check("the same from the database, in milliseconds", "home", event(100, noon.Truncate(time.Millisecond)), true, 0)
	check("of another node", "garage", event(100, noon), false, 0)
	check("the next", "home", event(101, noon), false, 0)
	check("a gap without a reason to doubt", "home", event(110, noon), false, 0)
	check("an older one, never heard", "home", event(99, noon), false, 0)

	s.reconnected()
	check("again after a connection", "home", event(110, noon), true, 0)
	check("a new database", "home", event(1, later), false, 0)
	check("a number as in the old database", "home", event(100, later), false, 0)
	check("the old one once more", "home", event(100, noon), true, 0)

	s.reconnected()
	check("missed some", "home", event(104, later), false, 3)
	check("told once", "home", event(110, later), false, 0)
	s.reconnected()
	check("missed none", "home", event(111, later), false, 0)
	check("missed some elsewhere", "garage", event(102, noon), false, 1)
}

func TestSeenIsBounded(t *testing.T) {
	var s seen
	const many = 5000
	for i := range int64(many) {
		s.check("home", event(i+1, noon))
		s.check(fmt.Sprint("made up ", i), event(1, noon))
	}
	home := s.nodes["home"]
	if len(s.nodes) != maxNodes || home == nil {
		t.Fatal(len(s.nodes), "nodes, home:", home)
	}
	if len(home.known) != maxSeen || len(home.order) != maxSeen {
		t.Error(len(home.known), len(home.order))
	}
	for i := range int64(maxSeen) {
		if again, _ := s.check("home", event(many-i, noon)); !again {
			t.Fatal("forgot the newest but", i)
		}
	}
}
