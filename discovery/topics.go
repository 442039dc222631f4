package discovery

import (
	"fmt"
	"strings"

	"porchlight/presence"
)

// Topics names every topic of one instance. Nothing that a stranger can choose
// is ever a level of one.
type Topics struct {
	Prefix   string // "porchlight"
	Node     string // this instance: letters, digits, _ and -
	HAPrefix string // Home Assistant's discovery prefix: "homeassistant"
}

// bridgeObject is the object id of the bridge's own device in config topics,
// machineObject that of this machine, groupObject the beginning of a group's.
// They cannot be a device's: those are twelve hex digits.
const (
	bridgeObject  = "bridge"
	machineObject = "machine"
	groupObject   = "group_"
)

// Check returns an error for each name that cannot be used in a topic.
func (t Topics) Check() error {
	if !levels(t.Prefix) {
		return fmt.Errorf("topic prefix %q: want letters, digits, _ and -, with / between levels, such as porchlight", t.Prefix)
	}
	if t.Node == "" || !plain(t.Node) {
		return fmt.Errorf("node %q: want letters, digits, _ and - only, such as home", t.Node)
	}
	if !levels(t.HAPrefix) {
		return fmt.Errorf("discovery prefix %q: want letters, digits, _ and -, with / between levels, such as homeassistant", t.HAPrefix)
	}
	return nil
}

func levels(s string) bool {
	for level := range strings.SplitSeq(s, "/") {
		if level == "" || !plain(level) {
			return false
		}
	}
	return true
}

// plain reports whether s consists of what Home Assistant allows in a topic
// level of a discovery topic.
func plain(s string) bool {
	for _, r := range s {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == '-':
		default:
			return false
		}
	}
	return true
}

func (t Topics) root() string { return t.Prefix + "/" + t.Node + "/" }

func (t Topics) device(id, leaf string) string { return t.root() + "devices/" + id + "/" + leaf }

// Status is the availability of this instance: online or offline, retained.
func (t Topics) Status() string { return t.root() + "status" }

// Summary is the household as JSON, retained.
func (t Topics) Summary() string { return t.root() + "summary" }

// Machine is the JSON of Machine, retained.
func (t Topics) Machine() string { return t.root() + "machine" }

// Instance is where programs with the same prefix and node ask for each other,
// as JSON, not retained.
func (t Topics) Instance() string { return t.root() + "instance" }

// Event carries each event once, as JSON, not retained.
func (t Topics) Event() string { return t.root() + "event" }

// Scan is the command to sweep now.
func (t Topics) Scan() string { return t.root() + "scan/set" }

// State is home or not_home, retained.
func (t Topics) State(id presence.ID) string { return t.device(string(id), "state") }

// Attributes is the JSON of Attributes, retained.
func (t Topics) Attributes(id presence.ID) string { return t.device(string(id), "attributes") }

// Name is what to call the device, as text, retained: by it a person finds the
// device in a tree of topics.
func (t Topics) Name(id presence.ID) string { return t.device(string(id), "name") }

// LastSeen is a time in RFC 3339, retained: exact for a device that is away.
func (t Topics) LastSeen(id presence.ID) string { return t.device(string(id), "last_seen") }

// Set is the command to change a device's settings.
func (t Topics) Set(id presence.ID) string { return t.device(string(id), "set") }

// GroupState is home or not_home, retained.
func (t Topics) GroupState(slug string) string { return t.root() + "groups/" + slug + "/state" }

// GroupConfig is the discovery topic of a group.
func (t Topics) GroupConfig(slug string) string { return t.config(groupObject + slug) }

// Config is the discovery topic of a device.
func (t Topics) Config(id presence.ID) string { return t.config(string(id)) }

// BridgeConfig is the discovery topic of the bridge's own device.
func (t Topics) BridgeConfig() string { return t.config(bridgeObject) }

// MachineConfig is the discovery topic of this machine.
func (t Topics) MachineConfig() string { return t.config(machineObject) }

func (t Topics) config(object string) string {
	return t.HAPrefix + "/device/" + t.Node + "/" + object + "/config"
}

// The filters that match the topic of every device.

// AllSets matches every device's Set topic.
func (t Topics) AllSets() string { return t.device("+", "set") }

// AllGroupStates matches every GroupState topic.
func (t Topics) AllGroupStates() string { return t.GroupState("+") }

// AllConfigs matches every Config and GroupConfig topic, BridgeConfig and
// MachineConfig.
func (t Topics) AllConfigs() string { return t.config("+") }

// AllStates matches every State topic.
func (t Topics) AllStates() string { return t.device("+", "state") }

// AllAttributes matches every Attributes topic.
func (t Topics) AllAttributes() string { return t.device("+", "attributes") }

// AllNames matches every Name topic.
func (t Topics) AllNames() string { return t.device("+", "name") }

// AllLastSeen matches every LastSeen topic.
func (t Topics) AllLastSeen() string { return t.device("+", "last_seen") }

// ParseSet returns the device that a Set topic is of.
func (t Topics) ParseSet(topic string) (presence.ID, bool) { return t.parse(topic, "set") }

// ParseState returns the device that a State, Attributes, Name or LastSeen topic is of.
func (t Topics) ParseState(topic string) (presence.ID, bool) {
	return t.parse(topic, topic[strings.LastIndexByte(topic, '/')+1:])
}

func (t Topics) parse(topic, leaf string) (presence.ID, bool) {
	rest, ok := strings.CutPrefix(topic, t.root()+"devices/")
	if !ok {
		return "", false
	}
	id, ok := strings.CutSuffix(rest, "/"+leaf)
	return presence.ID(id), ok && validID(id)
}

// ParseConfig returns the device that a Config topic is of.
func (t Topics) ParseConfig(topic string) (presence.ID, bool) {
	id, ok := between(topic, t.config(""))
	return presence.ID(id), ok && validID(id)
}

// ParseGroupState returns the slug of the group that a GroupState topic is of.
func (t Topics) ParseGroupState(topic string) (string, bool) {
	slug, ok := between(topic, t.GroupState(""))
	return slug, ok && validSlug(slug)
}

// ParseGroupConfig returns the slug of the group that a GroupConfig topic is of.
func (t Topics) ParseGroupConfig(topic string) (string, bool) {
	slug, ok := between(topic, t.GroupConfig(""))
	return slug, ok && validSlug(slug)
}

// between returns the level of topic that is missing, or missing a part, in
// empty, which has one last level behind it.
func between(topic, empty string) (string, bool) {
	end := strings.LastIndexByte(empty, '/')
	rest, ok := strings.CutPrefix(topic, empty[:end])
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, empty[end:])
}

// validSlug reports whether s can be what presence.GroupSlug makes of a name.
func validSlug(s string) bool { return s != "" && len(s) <= maxSlug && slug(s) == s }

// maxSlug is the longest that a presence.GroupSlug can be: every byte of a name
// becomes one at most, but for ß and the like; and there is a number.
const maxSlug = presence.MaxName + len("_01234567")

// validID reports whether s is a device id: twelve lower-case hex digits.
func validID(s string) bool {
	if len(s) != 12 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
