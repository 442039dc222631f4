package homeassistant

import (
	"os"
	"path/filepath"

	"porchlight/presence"
)

// groups: several devices are one tracker, home when any is, which a person can
// have; it follows the device file, and stays deleted when the user deletes it.
func groups(s *scene) {
	file := filepath.Join(s.t.TempDir(), "devices.yaml")
	s.set("DEVICES_FILE", file)
	phone, watch := s.thing("phone"), s.thing("watch")
	name := s.node + " Anna"
	group := "device_tracker." + s.node + "_anna"
	id := "group_" + s.node + "_anna"
	entry := func(t *thing, rest string) string {
		return "  - {mac: " + presence.MAC(t.MAC).String() + ", " + rest + "}\n"
	}
	write := func(entries string) { s.must(os.WriteFile(file, []byte("devices:\n"+entries), 0o644)) }
	both := entry(phone, "name: "+phone.name+", kind: phone, groups: ["+name+"]") + entry(watch, "track: false, groups: ["+name+"]")
	write(both)
	s.start()
	s.await(group, "not_home")
	s.await(phone.tracker, "not_home") // known from the file, never heard
	s.absent(watch, "without an entity")
	anna := s.person("anna", group)
	s.await(anna, "not_home")

	s.arrive(phone)
	s.await(group, "home")
	s.await(anna, "home")
	s.await("zone.home", "1")
	attributes := s.full(group).Attributes
	equal(s.t, "the group's zones", attributes["in_zones"], any([]any{"zone.home"}))
	equal(s.t, "the group's name", attributes["friendly_name"], any(name))
	equal(s.t, "its source", attributes["source_type"], any("router"))
	equal(s.t, "its icon", attributes["icon"], any("mdi:account-group"))
	equal(s.t, "the phone's icon", s.full(phone.tracker).Attributes["icon"], any("mdi:cellphone"))

	mark := s.ha.Stream().Mark()
	s.join(watch) // it has no entity that could be waited for
	s.leave(phone)
	s.await(phone.tracker, "not_home")
	s.settle()
	equal(s.t, "what the group became meanwhile", len(s.states(group, mark)), 0)
	s.leave(watch)
	s.await(group, "not_home")
	s.await(anna, "not_home")
	s.await("zone.home", "0")
	equal(s.t, "the group's zones", s.full(group).Attributes["in_zones"], any([]any{}))

	// Deleted in Home Assistant it stays so, until it is made anew.
	d, ok := s.registered(id)
	if !ok {
		s.t.Fatalf("%s is not in the registry", id)
	}
	s.forgive("No device components to cleanup for (" + id + "|" + watch.id + "),") // its own messages
	s.must(s.ha.DeleteDevice(s.ctx(), d.ID, s.mqtt))
	gone := func() bool { _, there := s.registered(id); return !there && s.state(group) == "" }
	s.until("the group to be gone", gone)
	s.stop()
	s.await(phone.tracker, "unavailable")
	s.start()
	s.arrive(phone)
	s.settle()
	equal(s.t, "that the group is gone after a restart", gone(), true)

	write(entry(phone, "name: "+phone.name))
	s.until("the group's topic to be cleared", func() bool { return len(s.retained(s.topics.GroupState(s.node+"_anna"))) == 0 })
	write(both)
	s.await(group, "home")

	// Without members it goes, and leaves nothing.
	write("")
	s.until("the group to be gone with its members", gone)
	s.until("its topics to be cleared", func() bool {
		return len(s.retained(s.topics.GroupState(s.node+"_anna"), s.topics.GroupConfig(s.node+"_anna"))) == 0
	})
}
