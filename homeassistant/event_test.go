package homeassistant

import (
	"fmt"
	"time"

	"porchlight/presence"
)

// firings are the events that Porchlight's event entity has told since a mark,
// each once: Home Assistant tells the last one again when it loads the entity.
func (s *scene) firings(mark int) (fired []State) {
	s.t.Helper()
	return s.firingsOf(s.bridge("event", "event"), mark)
}

// firingsOf is the same of another event entity. Its state is a time in
// milliseconds, in one of which two events may come.
func (s *scene) firingsOf(entity string, mark int) (fired []State) {
	s.t.Helper()
	s.must(s.ha.Sync(s.ctx()))
	last := ""
	for _, c := range s.ha.Stream().Since(mark, entity) {
		if _, err := time.Parse(time.RFC3339, c.To()); err != nil {
			continue
		}
		if one := fmt.Sprint(c.To(), c.New.Attributes["seq"]); one != last {
			last = one
			fired = append(fired, *c.New)
		}
	}
	return fired
}

// count is how many events of a type about a thing the event entity has told
// since the scene began.
func (s *scene) count(kind presence.EventType, about *thing) (n int) {
	s.t.Helper()
	for _, f := range s.firings(s.stream) {
		if f.Attributes["event_type"] == string(kind) && f.Attributes["id"] == about.id {
			n++
		}
	}
	return n
}

// newDeviceOnce: the event entity fires once for a device that was never seen,
// with what one wants to know, and not again when it comes back.
func newDeviceOnce(s *scene) {
	old := s.thing("tv")
	s.join(old) // before the start: it belongs to the baseline
	s.start()
	automation := s.automation("told", map[string]any{
		"triggers":   []any{map[string]any{"trigger": "state", "entity_id": s.bridge("event", "event")}},
		"conditions": []any{map[string]any{"condition": "template", "value_template": "{{ trigger.to_state.attributes.event_type == 'new_device' }}"}},
		"actions":    []any{map[string]any{"event": "told"}},
	})
	guest := s.thing("guest")
	s.arrive(guest)
	s.until("new_device and arrived", func() bool { return s.count(presence.Arrived, guest) == 1 })
	s.until("the automation to run", func() bool { return s.triggered(automation) })

	for _, f := range s.firings(s.stream) {
		if f.Attributes["event_type"] != string(presence.NewDevice) {
			continue
		}
		for name, want := range map[string]any{
			"id": guest.id, "name": guest.name, "host_name": guest.name, "ip": guest.Addr.String(),
			"mac": presence.MAC(guest.MAC).String(), "private_mac": true,
		} {
			equal(s.t, "attribute "+name+" of the event", f.Attributes[name], want)
		}
	}
	s.leave(guest)
	s.await(guest.tracker, "not_home")
	s.arrive(guest)
	s.until("the second arrived", func() bool { return s.count(presence.Arrived, guest) == 2 })
	equal(s.t, "new_device events of the guest", s.count(presence.NewDevice, guest), 1)
	equal(s.t, "left events of the guest", s.count(presence.Left, guest), 1)
	equal(s.t, "new_device events of the TV", s.count(presence.NewDevice, old), 0)
	equal(s.t, "the last new device", s.state(s.bridge("sensor", "last_new")), guest.name)
}

// scanNow: the button finds a device that has said nothing by itself.
func scanNow(s *scene) {
	s.start()
	silent := s.thing("silent")
	silent.Wake()
	s.must(s.ha.Action(s.ctx(), "button.press", map[string]any{"entity_id": s.bridge("button", "scan")}))
	var tracker string
	s.until("the silent device to be found", func() bool {
		d, ok := s.registered(silent.id)
		if ok {
			tracker = s.entities(d)["tracker"].Entity
		}
		return ok && tracker != ""
	})
	s.await(tracker, "home")
	equal(s.t, "its address", s.full(tracker).Attributes["ip"], any(silent.Addr.String()))
}
