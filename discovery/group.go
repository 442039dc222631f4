package discovery

import "porchlight/presence"

// defaultGroupIcon is Home Assistant's for groups.
const defaultGroupIcon = "mdi:account-group"

// GroupState returns the payload of a group's state topic.
func GroupState(g *presence.Group) []byte { return []byte(g.State) }

// Group returns the discovery message of a group: a device_tracker, as a
// device's, so that a person can have it who carries one of several devices. It
// has a device of its own, so that groups come and go one by one.
//
// What zones and people count by, in_zones, is made of the state by a template:
// so there is one topic, and the two can never differ.
func (o *Options) Group(g *presence.Group) []byte {
	name := presence.CleanText(g.Name, presence.MaxName)
	id := o.bridgeID() + "_" + groupObject + g.Slug
	c := component{
		Platform:               "device_tracker",
		UniqueID:               id + "_tracker",
		DefaultEntityID:        "device_tracker." + g.Slug,
		QoS:                    qos,
		Icon:                   defaultGroupIcon,
		SourceType:             "router",
		JSONAttributesTopic:    o.Topics.GroupState(g.Slug),
		JSONAttributesTemplate: "{{ {'in_zones': [" + literal(o.Zone) + "] if value == " + literal(string(presence.Home)) + " else []} | tojson }}",
	}
	if !o.AttributesOnly {
		c.StateTopic = o.Topics.GroupState(g.Slug)
		c.PayloadHome = string(presence.Home)
		c.PayloadNotHome = string(presence.NotHome)
	}
	return marshal(message{
		Device:            device{Identifiers: []string{id}, Name: name, Model: "Group of devices", ViaDevice: o.bridgeID()},
		Origin:            origin{Name: program, SWVersion: o.Version},
		AvailabilityTopic: o.Status(),
		Components:        map[string]any{"tracker": c},
	})
}
