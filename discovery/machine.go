package discovery

import (
	"cmp"

	"porchlight/presence"
)

// machine is the JSON of the machine topic.
type machine struct {
	Established int `json:"established"`
	Listening   int `json:"listening"`
	Programs    int `json:"programs"`
}

// MachineCounts returns the payload of the machine topic.
func MachineCounts(m presence.Machine) []byte { return marshal(machine(m)) }

// Machine returns the discovery message of this machine, the one that Porchlight
// runs on, which its users call host: a device of its own, since its numbers and
// events say nothing about the house. It is called by that name, because "this
// machine" would be another one for who reads it in Home Assistant.
func (o *Options) Machine(host string) []byte {
	id := o.bridgeID() + "_" + machineObject
	m := message{
		Device: device{
			Identifiers:      []string{id},
			Name:             cmp.Or(presence.CleanText(host, presence.MaxName), "Machine of "+o.Node) + " (Porchlight)",
			Model:            "Machine that Porchlight runs on",
			ViaDevice:        o.bridgeID(),
			ConfigurationURL: o.URL,
		},
		Origin:            origin{Name: program, SWVersion: o.Version},
		AvailabilityTopic: o.Status(),
		Components:        map[string]any{},
	}
	for key, c := range map[string]component{
		"established": {
			Platform: "sensor", Name: ptr("Connections established"), Unit: "connections", Icon: "mdi:lan-connect",
			EntityCategory: "diagnostic", StateClass: "measurement",
			StateTopic: o.Topics.Machine(), ValueTemplate: "{{ value_json.established }}",
		},
		"listening": {
			Platform: "sensor", Name: ptr("Listening ports"), Unit: "ports", Icon: "mdi:ear-hearing",
			EntityCategory: "diagnostic", StateClass: "measurement",
			StateTopic: o.Topics.Machine(), ValueTemplate: "{{ value_json.listening }}",
		},
		"event": {
			Platform: "event", Name: ptr("Event"), Icon: "mdi:bell-outline",
			StateTopic: o.Topics.Event(), EventTypes: machineTypes(), ValueTemplate: onlyTypes(machineTypes()),
		},
	} {
		c.UniqueID = id + "_" + key
		c.DefaultEntityID = entityID(c.Platform, "porchlight", o.Node, machineObject, key)
		c.QoS = qos
		m.Components[key] = c
	}
	return marshal(m)
}
