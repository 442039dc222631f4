package discovery

import (
	"slices"
	"strings"

	"porchlight/presence"
)

// houseTypes are the event types of the bridge's event entity: all but those
// about this machine, which has an entity of its own.
func houseTypes() (names []string) {
	machine := presence.MachineTypes()
	for _, t := range presence.EventTypes() {
		if !slices.Contains(machine, t) {
			names = append(names, string(t))
		}
	}
	return names
}

// machineTypes are those of this machine's.
func machineTypes() (names []string) {
	for _, t := range presence.MachineTypes() {
		names = append(names, string(t))
	}
	return names
}

// onlyTypes is a template that lets events of these types through. All events
// are on one topic, and an event entity warns of each that it has not declared,
// but says nothing of one that becomes empty (homeassistant/components/mqtt/event.py).
func onlyTypes(types []string) string {
	quoted := make([]string, len(types))
	for i, t := range types {
		quoted[i] = literal(t)
	}
	return "{{ value if value_json.event_type in [" + strings.Join(quoted, ", ") + "] else '' }}"
}
