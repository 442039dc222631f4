package discovery

import "porchlight/presence"

// Device returns the discovery message of a tracked device: its tracker, and
// what may interest besides, disabled until the user enables it.
func (o *Options) Device(d *presence.Device) []byte {
	name := displayName(d)
	m := message{
		Device: device{
			Identifiers:  []string{o.deviceID(d.ID)},
			Name:         name,
			Manufacturer: presence.CleanText(d.Vendor, presence.MaxName),
			ViaDevice:    o.bridgeID(),
		},
		Origin:            origin{Name: program, SWVersion: o.Version},
		AvailabilityTopic: o.Status(),
		Components:        map[string]any{"tracker": o.tracker(d, name)},
	}
	// Only a universally administered address is the device's for ever.
	for _, a := range d.AllMACs() {
		if !a.Private() {
			m.Device.Connections = append(m.Device.Connections, [2]string{"mac", a.String()})
		}
	}
	if m.Device.Connections == nil {
		m.Device.Manufacturer = ""
		m.Device.Model = "Private MAC address"
	}
	diagnostic := func(key, label, class, icon, topic, template string) {
		m.Components[key] = component{
			Platform:         "sensor",
			UniqueID:         o.deviceID(d.ID) + "_" + key,
			Name:             &label,
			DefaultEntityID:  entityID("sensor", orID(name, d.ID), key),
			QoS:              qos,
			EnabledByDefault: ptr(false),
			EntityCategory:   "diagnostic",
			DeviceClass:      class,
			Icon:             icon,
			StateTopic:       topic,
			ValueTemplate:    template,
		}
	}
	attributes := o.Topics.Attributes(d.ID)
	diagnostic("ip", "IP address", "", "mdi:ip-network", attributes, "{{ value_json.ip | default('None', true) }}")
	diagnostic("host_name", "Host name", "", "mdi:form-textbox", attributes, "{{ value_json.host_name | default('None', true) }}")
	diagnostic("vendor", "Vendor", "", "mdi:factory", attributes, "{{ value_json.vendor | default('None', true) }}")
	diagnostic("last_seen", "Last seen", "timestamp", "", o.Topics.LastSeen(d.ID), "")
	return marshal(m)
}

// tracker is the device_tracker. source_type router: the default, gps, would
// make Person treat it as a phone's position.
func (o *Options) tracker(d *presence.Device, name string) component {
	c := component{
		Platform:            "device_tracker",
		UniqueID:            o.deviceID(d.ID) + "_tracker",
		DefaultEntityID:     entityID("device_tracker", orID(name, d.ID)),
		QoS:                 qos,
		Icon:                Icon(d),
		SourceType:          "router",
		JSONAttributesTopic: o.Topics.Attributes(d.ID),
	}
	if !o.AttributesOnly {
		c.StateTopic = o.Topics.State(d.ID)
		c.PayloadHome = string(presence.Home)
		c.PayloadNotHome = string(presence.NotHome)
	}
	return c
}

// orID is name, or the id when nothing of name can be part of an entity id.
func orID(name string, id presence.ID) string {
	if slug(name) == "" {
		return "device_" + string(id)
	}
	return name
}
