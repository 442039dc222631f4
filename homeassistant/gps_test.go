package homeassistant

import (
	"encoding/json"
	"fmt"
)

// gps is a phone's own position, as the companion app would report it.
type gps struct {
	s      *scene
	entity string
	topic  string
}

// gps makes a tracker with a position, by MQTT as well, that is at home.
func (s *scene) gps(name string) *gps {
	s.t.Helper()
	id := s.node + "_" + name
	g := &gps{s: s, entity: "device_tracker." + id, topic: "test/" + id}
	config, err := json.Marshal(map[string]any{
		"name": nil, "unique_id": id, "default_entity_id": g.entity, "source_type": "gps",
		"json_attributes_topic": g.topic, "device": map[string]any{"identifiers": id, "name": id},
	})
	s.must(err)
	s.publish("homeassistant/device_tracker/"+id+"/config", string(config), true)
	g.at(52, 5)
	s.await(g.entity, "home")
	s.t.Cleanup(func() {
		s.publish("homeassistant/device_tracker/"+id+"/config", "", true)
		s.publish(g.topic, "", true)
	})
	return g
}

// at moves it. zone.home is at 52, 5.
func (g *gps) at(latitude, longitude float64) {
	g.s.t.Helper()
	g.s.publish(g.topic, fmt.Sprintf(`{"latitude": %g, "longitude": %g, "gps_accuracy": 10}`, latitude, longitude), true)
}

// publish publishes as a stranger at the broker.
func (s *scene) publish(topic, payload string, retain bool) {
	s.t.Helper()
	s.must(s.ha.Action(s.ctx(), "mqtt.publish", map[string]any{"topic": topic, "payload": payload, "retain": retain, "qos": 1}))
}
