package discovery

import (
	"encoding/json"
	"strings"

	"porchlight/presence"
)

// program names us in the origin of every discovery message.
const program = "Porchlight"

// message is a device discovery message. Home Assistant rejects it whole for
// one key, here, in device or in origin, that is not in its schema
// (homeassistant/components/mqtt/schemas.py, DEVICE_DISCOVERY_SCHEMA).
type message struct {
	Device            device         `json:"device"`
	Origin            origin         `json:"origin"`
	AvailabilityTopic string         `json:"availability_topic,omitempty"` // shared by all components
	Components        map[string]any `json:"components"`                   // of component or removed, by a key that never changes
}

type device struct {
	Identifiers      []string    `json:"identifiers"`
	Connections      [][2]string `json:"connections,omitempty"`
	Name             string      `json:"name"`
	Manufacturer     string      `json:"manufacturer,omitempty"`
	Model            string      `json:"model,omitempty"`
	SWVersion        string      `json:"sw_version,omitempty"`
	ViaDevice        string      `json:"via_device,omitempty"` // an identifier; there is no abbreviation
	ConfigurationURL string      `json:"configuration_url,omitempty"`
}

type origin struct {
	Name      string `json:"name"`
	SWVersion string `json:"sw_version,omitempty"`
}

// component is one entity. The options are Home Assistant's, of all the
// platforms that we use.
type component struct {
	Platform        string  `json:"platform"`
	UniqueID        string  `json:"unique_id"`
	Name            *string `json:"name"`              // null: the entity carries the device's name
	DefaultEntityID string  `json:"default_entity_id"` // counts at first registration only
	QoS             int     `json:"qos"`               // is not inherited from the root

	EnabledByDefault *bool  `json:"enabled_by_default,omitempty"` // nil: true
	EntityCategory   string `json:"entity_category,omitempty"`
	DeviceClass      string `json:"device_class,omitempty"`
	Icon             string `json:"icon,omitempty"`

	AvailabilityTopic      string `json:"availability_topic,omitempty"`
	StateTopic             string `json:"state_topic,omitempty"`
	CommandTopic           string `json:"command_topic,omitempty"`
	ValueTemplate          string `json:"value_template,omitempty"`
	JSONAttributesTopic    string `json:"json_attributes_topic,omitempty"`
	JSONAttributesTemplate string `json:"json_attributes_template,omitempty"`

	SourceType     string   `json:"source_type,omitempty"`         // device_tracker
	PayloadHome    string   `json:"payload_home,omitempty"`        // device_tracker
	PayloadNotHome string   `json:"payload_not_home,omitempty"`    // device_tracker
	PayloadOn      string   `json:"payload_on,omitempty"`          // binary_sensor
	PayloadOff     string   `json:"payload_off,omitempty"`         // binary_sensor
	PayloadPress   string   `json:"payload_press,omitempty"`       // button
	EventTypes     []string `json:"event_types,omitempty"`         // event
	StateClass     string   `json:"state_class,omitempty"`         // sensor
	Unit           string   `json:"unit_of_measurement,omitempty"` // sensor
}

// removed in the place of a component makes Home Assistant remove its entity.
type removed struct {
	Platform string `json:"platform"`
}

// qos is that of all our topics.
const qos = 1

func ptr[T any](v T) *T { return &v }

// Ours reports whether a retained discovery message was sent by a Porchlight.
func Ours(payload []byte) bool {
	var m struct {
		Origin origin `json:"origin"`
	}
	return json.Unmarshal(payload, &m) == nil && m.Origin.Name == program
}

// slug makes the part of an entity id after the dot of a text: lower-case
// letters, digits and single underscores, neither first nor last; other
// alphabets are dropped. An empty result means that nothing was left.
func slug(s string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(s) {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			gap = b.Len() > 0
			continue
		}
		if gap {
			b.WriteByte('_')
			gap = false
		}
		b.WriteRune(r)
	}
	return b.String()
}

// entityID returns a default entity id such as "sensor.pixel_7_ip".
func entityID(platform string, parts ...string) string {
	var words []string
	for _, p := range parts {
		if s := slug(p); s != "" {
			words = append(words, s)
		}
	}
	return platform + "." + strings.Join(words, "_")
}

// bridgeID is the identifier of the bridge's own device, which every tracked
// device names in via_device.
func (o *Options) bridgeID() string { return "porchlight_" + o.Node }

func (o *Options) deviceID(id presence.ID) string { return o.bridgeID() + "_" + string(id) }
