package mqtt

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porchlight/presence"
)

// A broker that dies may not have passed on what it acknowledged last: that is
// sent again, after the subscribers had time to come back, and nothing older is.
func TestLatestEventsAreSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		events := newMemoryLog()
		s := start(t, Config{Dial: b.dial}, events)
		defer s.stop()
		s.Update([]presence.Device{phone(1, presence.Home)})
		s.SetSummary(household(1))
		settleDown()

		events.append(presence.Event{Type: presence.Arrived, Why: "long ago"})
		time.Sleep(time.Minute)
		events.append(presence.Event{Type: presence.Left, Why: "just now"})
		synctest.Wait()
		b.cut()
		subscriber := b.peer(t, "subscriber", options.Event())
		events.append(presence.Event{Type: presence.Arrived, Why: "while it was gone"})
		time.Sleep(eventRejoin - time.Second)
		if got := subscriber.take(); len(got) != 0 {
			t.Errorf("events before the subscribers are back: %q", got)
		}
		time.Sleep(time.Minute)
		got := subscriber.take()
		if len(got) != 2 || !strings.Contains(got[0], "just now") || !strings.Contains(got[1], "while it was gone") {
			t.Errorf("after the connection was lost: %q", got)
		}
		b.cut() // nothing happened lately, so nothing is sent again
		again := b.peer(t, "subscriber", options.Event())
		time.Sleep(time.Minute)
		if got := again.take(); len(got) != 0 {
			t.Errorf("sent again without need: %q", got)
		}
	})
}
