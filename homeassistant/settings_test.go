package homeassistant

import (
	"net/http"
	"sync"
)

// Home Assistant's own settings of MQTT, by its form's names.
var usual = map[string]any{
	"discovery": true, "discovery_prefix": "homeassistant", "birth_topic": "homeassistant/status",
}

// option is a field of the form.
type option struct {
	Name        string
	Default     any
	Description struct {
		Suggested any `json:"suggested_value"`
	}
}

// configure changes settings of Home Assistant's MQTT integration, as its page
// does, and waits until it has begun anew with them. The scene's end takes back
// what the scenario has not.
func (s *scene) configure(settings map[string]any) (undo func()) {
	s.t.Helper()
	undo = sync.OnceFunc(func() { s.submit(usual) })
	s.t.Cleanup(undo)
	s.submit(settings)
	return undo
}

func (s *scene) submit(settings map[string]any) {
	s.t.Helper()
	const path = "/api/config/config_entries/options/flow"
	var form struct {
		ID     string   `json:"flow_id"`
		Fields []option `json:"data_schema"`
	}
	s.must(s.ha.Call(s.ctx(), http.MethodPost, path, map[string]any{"handler": s.mqtt}, &form))
	answer := map[string]any{}
	for _, f := range form.Fields {
		switch {
		case settings[f.Name] != nil:
			answer[f.Name] = settings[f.Name]
		case f.Default != nil:
			answer[f.Name] = f.Default
		case f.Description.Suggested != nil:
			answer[f.Name] = f.Description.Suggested
		}
	}
	var done struct{ Type string }
	s.must(s.ha.Call(s.ctx(), http.MethodPost, path+"/"+form.ID, answer, &done))
	if done.Type != "create_entry" {
		s.t.Fatalf("the form was answered with %v, and now asks for %q", answer, done.Type)
	}
	// It begins anew by itself, but does not say when that is over.
	s.must(s.ha.ReloadEntry(s.ctx(), s.mqtt))
}

// otherPrefix: Home Assistant and Porchlight have agreed on other topics than
// the usual ones.
func otherPrefix(s *scene) {
	s.configure(map[string]any{"discovery_prefix": "ha/test", "birth_topic": "ha/test/alive"})
	s.topics.HAPrefix = "ha/test"
	s.set("HA_DISCOVERY_PREFIX", s.topics.HAPrefix)
	s.set("HA_STATUS_TOPIC", "ha/test/alive")
	s.start()
	phone := s.thing("phone")
	s.arrive(phone)
	if d, ok := s.registered(phone.id); !ok || d.ViaDevice == "" {
		s.t.Errorf("its device is %+v", d)
	}
	equal(s.t, "what is under the usual prefix", s.retained("homeassistant/+/"+s.node+"/#"), nil)

	// What somebody has put in Porchlight's place is put right after the birth.
	home := s.bridge("sensor", "devices_home")
	s.await(home, "1")
	s.publish(s.topics.Summary(), `{"home": 99, "known": 99, "last_new": null, "sensing": {}, "problems": []}`, true)
	s.await(home, "99")
	s.must(s.ha.ReloadEntry(s.ctx(), s.mqtt))
	s.await(home, "1")
	s.await(phone.tracker, "home")
	s.stop()
	s.checkJournal()
	s.forgive("No device components to cleanup for ") // by what comes now
	s.forget()                                        // while Home Assistant listens there
}

// discoveryOff: nothing appears while discovery is off in Home Assistant, and
// everything when it is switched on.
func discoveryOff(s *scene) {
	undo := s.configure(map[string]any{"discovery": false})
	s.run()
	s.says(s.topics.Status(), "online")
	phone := s.thing("phone")
	s.join(phone)
	s.says("porchlight/"+s.node+"/devices/"+phone.id+"/state", "home")
	for _, id := range []string{"", phone.id} {
		if d, ok := s.registered(id); ok {
			s.t.Errorf("%q is there", d.Name)
		}
	}
	undo()
	s.await(phone.tracker, "home")
	s.leave(phone)
	s.await(phone.tracker, "not_home")
}
