package homeassistant

import (
	"maps"
	"os"
	"strings"

	"porchlight/presence"
)

// logged is what Porchlight has written to its log.
func (s *scene) logged() string {
	s.t.Helper()
	said, err := os.ReadFile(s.log)
	s.must(err)
	return string(said)
}

// once waits until Porchlight's log has a text, and fails when it comes again.
func (s *scene) once(text string) {
	s.t.Helper()
	s.until("Porchlight to say "+text, func() bool { return strings.Contains(s.logged(), text) })
	if n := strings.Count(s.logged(), text); n != 1 {
		s.t.Errorf("Porchlight says %q %d times", text, n)
	}
}

// rubbish: what is retained on the topics of commands is not carried out, and
// what is no command does no harm.
func rubbish(s *scene) {
	phone := s.thing("phone")
	scan, set := s.topics.Scan(), s.topics.Set(presence.ID(phone.id))
	nobody := s.topics.Set("aabbccddeeff")
	for topic, payload := range map[string]string{
		scan: "scan", set: `{"name": "hijacked", "track": false}`, nobody: "rubbish",
		s.topics.Instance(): "rubbish", "porchlight/" + s.node + "/devices/x/set": "{}",
	} {
		s.publish(topic, payload, true)
		s.t.Cleanup(func() { s.publish(topic, "", true) })
	}
	s.start()
	s.arrive(phone)
	equal(s.t, "the name", s.shown(phone, true).Name, phone.name)
	for _, payload := range []string{
		"rubbish", "[]", "null", `{"name": 7}`, `{"track": "no"}`, `{"away_after": -1}`,
		`{"name": "` + strings.Repeat("x", 20_000) + `"}`, `{"name": "{{ states`, "{{ 6 * 7 }}",
	} {
		s.tell(set, payload)
		s.tell(nobody, payload)
	}
	s.tell(set, `{"name": "Mine"}`) // the last: those before have been looked at
	s.until("the name to be the user's", func() bool { return s.shown(phone, true).Name == "Mine" })
	equal(s.t, "the state", s.state(phone.tracker), "home")
	for _, topic := range []string{scan, set, nobody} {
		s.once(`"ignoring a retained command: clear it, and publish commands without retain" topic=` + topic)
	}
}

// twins: two Porchlights have the same name at one broker. Each says so, and
// Home Assistant goes on.
func twins(s *scene) {
	s.start()
	phone := s.thing("phone")
	s.arrive(phone)

	first, firstLog, env := s.porch, s.log, maps.Clone(s.env)
	dir := s.t.TempDir()
	s.env["DATA_DIR"], s.env["WEB_LISTEN"] = dir, "127.0.0.1:8581"
	s.log = dir + "/porchlight.log"
	s.run()
	second, secondLog := s.porch, s.log
	s.env, s.porch, s.log = env, first, firstLog
	const words = "another Porchlight (on "
	s.once(words)
	s.log = secondLog
	s.once(words)
	s.log = firstLog
	s.await(phone.tracker, "home")
	problem := s.bridge("binary_sensor", "problem")
	s.await(problem, "on")
	s.leave(phone)
	s.await(phone.tracker, "not_home")

	s.must(second.Stop(patience))
	s.await(s.bridge("binary_sensor", "connectivity"), "on")
	s.arrive(phone)
}

// noEvents: the broker let Porchlight write events. The rest goes on,
// and Home Assistant shows what is wrong.
func noEvents(s *scene) {
	s.set("MQTT_USERNAME", "noevents")
	s.start()
	phone := s.thing("phone")
	s.arrive(phone)
	s.leave(phone)
	s.await(phone.tracker, "not_home")
	problem := s.bridge("binary_sensor", "problem")
	s.await(problem, "on")
	const words = "let Porchlight write"
	s.once(words)
	if got := s.full(problem).Attributes["problems"]; !strings.Contains(strings.Join(texts(got), ""), s.topics.Event()) {
		s.t.Errorf("the problems are %v", got)
	}
	equal(s.t, "the event entity", s.state(s.bridge("event", "event")), "unknown")
}

func texts(list any) (all []string) {
	for _, one := range list.([]any) {
		all = append(all, one.(string))
	}
	return all
}

// noDiscovery: the broker does not let Porchlight announce. Home Assistant has
// nothing of it, and all others have the rest.
func noDiscovery(s *scene) {
	s.set("MQTT_USERNAME", "nodiscovery")
	s.run()
	s.says(s.topics.Status(), "online")
	phone := s.thing("phone")
	s.join(phone)
	s.says("porchlight/"+s.node+"/devices/"+phone.id+"/state", "home")
	s.once("let Porchlight write")
	s.leave(phone)
	s.says("porchlight/"+s.node+"/devices/"+phone.id+"/state", "not_home")
	for _, id := range []string{"", phone.id} {
		if d, ok := s.registered(id); ok {
			s.t.Errorf("%q is there", d.Name)
		}
	}
}
