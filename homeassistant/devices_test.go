package homeassistant

import (
	"strings"

	"porchlight/presence"
)

// tell publishes what a person or an automation would: a command, by Home
// Assistant's own action.
func (s *scene) tell(topic, payload string) { s.publish(topic, payload, false) }

// change sends a command to change a thing's settings.
func (s *scene) change(t *thing, settings string) {
	s.t.Helper()
	s.tell(s.topics.Set(presence.ID(t.id)), settings)
}

// shown waits until a thing is in the registry, or is not.
func (s *scene) shown(t *thing, want bool) (d Device) {
	s.t.Helper()
	what := t.name + " to be in the registry"
	if !want {
		what = t.name + " to be gone from the registry"
	}
	s.until(what, func() (is bool) {
		d, is = s.registered(t.id)
		return is == want && (s.state(t.tracker) != "") == want
	})
	return d
}

// absent fails when a thing is shown now.
func (s *scene) absent(t *thing, when string) {
	s.t.Helper()
	if d, ok := s.registered(t.id); ok {
		s.t.Errorf("%s: %s is in the registry as %q", when, t.name, d.Name)
	}
	all, err := s.ha.Entities(s.ctx())
	s.must(err)
	for _, e := range all {
		if strings.Contains(e.UniqueID, "porchlight_"+s.node+"_"+t.id) {
			s.t.Errorf("%s: %s is in the registry", when, e.Entity)
		}
	}
	if state := s.state(t.tracker); state != "" {
		s.t.Errorf("%s: %s is %q", when, t.tracker, state)
	}
}

// deviceRenamed: the device's name follows; ids stay, and so does the name that
// the user gave in Home Assistant.
func deviceRenamed(s *scene) {
	s.start()
	phone := s.thing("phone")
	s.arrive(phone)
	before := s.shown(phone, true)
	entities := s.entities(before)

	named := func(name string) Device {
		s.t.Helper()
		var d Device
		s.until("the device to be called "+name, func() bool {
			d, _ = s.registered(phone.id)
			return d.Name == name
		})
		if d.ID != before.ID {
			s.t.Errorf("it is another device in the registry: %s, was %s", d.ID, before.ID)
		}
		now := s.entities(d)
		for key, was := range entities {
			if now[key].Entity != was.Entity || now[key].UniqueID != was.UniqueID {
				s.t.Errorf("%s is now %+v, was %+v", key, now[key], was)
			}
		}
		equal(s.t, "the number of entities", len(now), len(entities))
		return d
	}
	friendly := func(want string) {
		s.t.Helper()
		s.until("the tracker to be called "+want, func() bool { return s.full(phone.tracker).Attributes["friendly_name"] == want })
	}
	s.change(phone, `{"name": "Anna's phone"}`)
	named("Anna's phone")
	friendly("Anna's phone")

	s.must(s.ha.Command(s.ctx(), "config/device_registry/update", fields{"device_id": before.ID, "name_by_user": "Mine"}, nil))
	friendly("Mine")
	s.change(phone, `{"name": "Ben's phone"}`)
	if d := named("Ben's phone"); d.NameByUser != "Mine" {
		s.t.Errorf("the user's name is now %q", d.NameByUser)
	}
	friendly("Mine")
	s.change(phone, `{"name": ""}`)
	if d := named(phone.name); d.NameByUser != "Mine" {
		s.t.Errorf("the user's name is now %q", d.NameByUser)
	}
	equal(s.t, "the state", s.state(phone.tracker), "home")
}

// deviceDeleted: a device that the user deletes in Home Assistant stays deleted
// whatever restarts, and comes back on demand.
func deviceDeleted(s *scene) {
	s.start()
	stays, goes, later := s.thing("stays"), s.thing("goes"), s.thing("later")
	s.arrive(stays)
	s.arrive(goes)
	// Home Assistant hears its own messages, one for each entity, and complains.
	const echo = "No device components to cleanup for "
	s.forgive(echo + goes.id)
	entities := len(s.entities(s.shown(goes, true)))
	s.must(s.ha.DeleteDevice(s.ctx(), s.shown(goes, true).ID, s.mqtt))
	s.shown(goes, false)

	// It is heard again and is named, and is not back.
	s.join(goes)
	s.change(goes, `{"name": "Old phone"}`)
	s.stop()
	s.await(stays.tracker, "unavailable")
	s.start()
	s.await(stays.tracker, "home")
	s.arrive(later)
	s.absent(goes, "after Porchlight's restart")
	said := 0
	for _, e := range s.ha.Journal().Since(s.journal) {
		said += strings.Count(e.Text, echo+goes.id)
	}
	if said > entities {
		s.t.Errorf("%d times %q; %d are Home Assistant's own", said, echo, entities)
	}

	s.must(s.ha.Restart(s.ctx()))
	s.await(stays.tracker, "home")
	s.kill()
	s.await(stays.tracker, "unavailable")
	s.start()
	s.await(stays.tracker, "home")
	s.absent(goes, "after Home Assistant's restart")

	s.change(goes, `{"track": true}`)
	s.until("it to be back", func() bool {
		d, ok := s.registered(goes.id)
		if ok {
			goes.tracker = s.entities(d)["tracker"].Entity // not all entities come at once
		}
		return ok && goes.tracker != ""
	})
	s.await(goes.tracker, "home")
}

// deviceForgotten: a device that is remembered no more leaves no ghost.
func deviceForgotten(s *scene) {
	h := newPuppet(s.t, s.obs.Host, s.broker, s.node)
	stays, goes := someone(1, s.node+" stays"), someone(2, s.node+" goes")
	if !s.since(2026, 11) {
		s.forgive("No device components to cleanup for " + string(goes.ID)) // its own messages
	}
	h.are(presence.Home, stays)
	h.are(presence.NotHome, goes)
	tracker := func(name string) string { return "device_tracker." + s.node + "_" + name }
	s.await(tracker("stays"), "home")
	s.await(tracker("goes"), "not_home")

	delete(h.devices, goes.ID)
	h.session.Remove([]presence.ID{goes.ID})
	s.until("it to be gone", func() bool { return s.state(tracker("goes")) == "" })
	nothing := func(when string) {
		s.t.Helper()
		entities, err := s.ha.Entities(s.ctx())
		s.must(err)
		for _, e := range entities {
			if strings.Contains(e.UniqueID, string(goes.ID)) {
				s.t.Errorf("%s: %s is in the registry", when, e.Entity)
			}
		}
		devices, err := s.ha.Devices(s.ctx())
		s.must(err)
		for _, d := range devices {
			if strings.Contains(d.Identifiers[0][1], string(goes.ID)) {
				s.t.Errorf("%s: %q is in the registry", when, d.Name)
			}
		}
		for _, topic := range s.retained("porchlight/"+s.node+"/#", "homeassistant/device/"+s.node+"/#") {
			if strings.Contains(topic, string(goes.ID)) {
				s.t.Errorf("%s: the broker holds %s", when, topic)
			}
		}
	}
	s.until("the broker to hold nothing of it", func() bool {
		return len(s.retained("porchlight/"+s.node+"/devices/"+string(goes.ID)+"/#")) == 0
	})
	nothing("at once")
	s.must(s.ha.Restart(s.ctx()))
	s.await(tracker("stays"), "home")
	nothing("after Home Assistant's restart")
	h.stop()
	h.start()
	s.await(tracker("stays"), "home")
	nothing("after Porchlight's restart")
}
