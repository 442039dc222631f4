package homeassistant

import (
	"fmt"

	"porchlight/presence"
)

// devicesMerged: the entity of a device that takes another one in stays what it
// is, and follows both MACs; the other's goes, and comes back when it is split off.
func devicesMerged(s *scene) {
	s.start()
	phone, next := s.thing("phone"), s.thing("next")
	if !s.since(2026, 11) {
		s.forgive("No device components to cleanup for " + next.id) // its own messages
	}
	s.arrive(phone)
	s.arrive(next)
	before := s.shown(phone, true)
	entities := s.entities(before)
	anna := s.person("anna", phone.tracker)
	s.await(anna, "home")
	mark := s.ha.Stream().Mark()

	s.change(phone, fmt.Sprintf(`{"merge": %q}`, next.id))
	s.shown(next, false)
	s.until("the other's topics to be cleared", func() bool {
		return len(s.retained("porchlight/"+s.node+"/devices/"+next.id+"/#")) == 0
	})
	after := s.shown(phone, true)
	equal(s.t, "its place in the registry", after.ID, before.ID)
	equal(s.t, "its entities", s.entities(after), entities)
	equal(s.t, "how many MACs it has", len(s.full(phone.tracker).Attributes["macs"].([]any)), 2)
	equal(s.t, "what its tracker became meanwhile", len(s.states(phone.tracker, mark)), 0)
	equal(s.t, "events that it is one now", s.count(presence.Merged, phone), 1)

	s.leave(phone) // by its old MAC, and it stays by the other
	s.settle()
	s.leave(next)
	s.await(phone.tracker, "not_home")
	s.await(anna, "not_home")
	s.join(next)
	s.await(phone.tracker, "home")
	s.await(anna, "home")
	equal(s.t, "alarms", s.count(presence.NewDevice, next), 1)

	s.change(phone, fmt.Sprintf(`{"split": %q}`, presence.MAC(next.MAC)))
	s.await(next.tracker, "home")
	s.shown(next, true)
	s.await(phone.tracker, "not_home")
}
