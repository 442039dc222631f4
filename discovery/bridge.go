package discovery

import (
	"encoding/json"
	"slices"
	"strings"
)

// Bridge returns the discovery message of the bridge's own device. interfaces
// are those that the summary speaks of. old is the message that is retained
// now, if known: components that it has and the new one has not are removed
// from Home Assistant.
func (o *Options) Bridge(interfaces []string, old []byte) []byte {
	m := message{
		Device: device{
			Identifiers:      []string{o.bridgeID()},
			Name:             "Porchlight " + o.Node,
			Manufacturer:     program,
			Model:            "LAN presence bridge",
			SWVersion:        o.Version,
			ConfigurationURL: o.URL,
		},
		Origin:     origin{Name: program, SWVersion: o.Version},
		Components: map[string]any{},
	}
	for key, c := range o.bridgeComponents(interfaces) {
		m.Components[key] = o.complete(key, c)
	}
	for key, platform := range platforms(old) {
		if _, ok := m.Components[key]; !ok {
			m.Components[key] = removed{platform}
		}
	}
	return marshal(m)
}

// bridgeComponents are the entities of the bridge, by key, without what
// complete adds.
func (o *Options) bridgeComponents(interfaces []string) map[string]component {
	cs := map[string]component{
		"connectivity": {
			Platform: "binary_sensor", Name: ptr("Connection"), DeviceClass: "connectivity", EntityCategory: "diagnostic",
			StateTopic: o.Status(), PayloadOn: Online, PayloadOff: Offline,
		},
		"someone_home": {
			Platform: "binary_sensor", Name: ptr("Someone home"), DeviceClass: "presence",
			StateTopic: o.Topics.Summary(), ValueTemplate: onIf("value_json.home > 0"),
		},
		"devices_home": {
			Platform: "sensor", Name: ptr("Devices home"), StateClass: "measurement", Unit: "devices", Icon: "mdi:lan-connect",
			StateTopic: o.Topics.Summary(), ValueTemplate: "{{ value_json.home }}",
		},
		"last_new": {
			Platform: "sensor", Name: ptr("Last new device"), Icon: "mdi:new-box",
			StateTopic:             o.Topics.Summary(),
			ValueTemplate:          "{{ value_json.last_new.name if value_json.last_new else 'None' }}",
			JSONAttributesTopic:    o.Topics.Summary(),
			JSONAttributesTemplate: "{{ (value_json.last_new or {}) | tojson }}",
		},
		"problem": {
			Platform: "binary_sensor", Name: ptr("Problem"), DeviceClass: "problem", EntityCategory: "diagnostic",
			StateTopic:             o.Topics.Summary(),
			ValueTemplate:          onIf("value_json.problems"),
			JSONAttributesTopic:    o.Topics.Summary(),
			JSONAttributesTemplate: "{{ {'problems': value_json.problems} | tojson }}",
		},
		"event": {
			Platform: "event", Name: ptr("Event"), Icon: "mdi:bell-outline",
			StateTopic: o.Topics.Event(), EventTypes: houseTypes(), ValueTemplate: onlyTypes(houseTypes()),
		},
		"scan": {
			Platform: "button", Name: ptr("Scan now"), Icon: "mdi:radar",
			CommandTopic: o.Scan(), PayloadPress: "scan",
		},
		"version": {
			Platform: "sensor", Name: ptr("Version"), EntityCategory: "diagnostic", Icon: "mdi:tag-outline",
			StateTopic: o.Topics.Summary(), ValueTemplate: "{{ " + literal(o.Version) + " }}",
		},
	}
	for _, name := range interfaces {
		one := "value_json.sensing.get(" + literal(name) + ", {})"
		cs["sensing_"+interfaceKey(name)] = component{
			Platform: "binary_sensor", Name: ptr("Sensing " + name), DeviceClass: "problem", EntityCategory: "diagnostic",
			StateTopic:             o.Topics.Summary(),
			ValueTemplate:          onIf("not " + one + ".get('ok', true)"),
			JSONAttributesTopic:    o.Topics.Summary(),
			JSONAttributesTemplate: "{{ " + one + " | tojson }}",
		}
	}
	return cs
}

// complete adds what all components of the bridge have. The connectivity
// sensor has no availability, so that it can show "off".
func (o *Options) complete(key string, c component) component {
	c.UniqueID = o.bridgeID() + "_" + key
	c.DefaultEntityID = entityID(c.Platform, "porchlight", o.Node, key)
	c.QoS = qos
	if key != "connectivity" {
		c.AvailabilityTopic = o.Status()
	}
	return c
}

func onIf(condition string) string { return "{{ 'ON' if " + condition + " else 'OFF' }}" }

// literal writes s as a string of the template language.
func literal(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", " ").Replace(s) + "'"
}

// interfaceKey makes a part of a component's key of an interface's name. Two
// names that differ keep different keys.
func interfaceKey(name string) string {
	if plain(name) {
		return name
	}
	const digits = "0123456789abcdef"
	var b strings.Builder
	for _, c := range []byte(name) {
		if plain(string(rune(c))) && c < 0x80 {
			b.WriteByte(c)
		} else {
			b.WriteString("-" + string(digits[c>>4]) + string(digits[c&15]))
		}
	}
	return b.String()
}

// bridgePlatforms are those that components of the bridge have, or have had.
var bridgePlatforms = []string{"binary_sensor", "button", "event", "sensor"}

// maxKey is longer than any key of a component.
const maxKey = 64

// platforms returns the platform of each component of a retained message.
func platforms(payload []byte) map[string]string {
	var m struct {
		Components map[string]struct {
			Platform string `json:"platform"`
			UniqueID string `json:"unique_id"`
		} `json:"components"`
	}
	if len(payload) == 0 || json.Unmarshal(payload, &m) != nil {
		return nil
	}
	found := make(map[string]string)
	for key, c := range m.Components {
		// Without an id it is a removal that was sent earlier. Anyone can have written
		// it, and Home Assistant takes no message with a platform that it has not.
		if c.UniqueID != "" && key != "" && len(key) <= maxKey && plain(key) && slices.Contains(bridgePlatforms, c.Platform) {
			found[key] = c.Platform
		}
	}
	return found
}
