package mqtt

import "porchlight/discovery"

// family is a kind of topic that a session writes. A broker's access rules
// allow or forbid a family as a whole.
type family uint8

const (
	familyConfig family = iota
	familyState
	familyAttributes
	familyName
	familyLastSeen
	familyGroup
	familySummary
	familyMachine
	familyStatus
	familyEvent
	familyInstance
	families // how many
)

// familyOf has a device's topics by their last level.
var familyOf = map[string]family{
	"state": familyState, "attributes": familyAttributes, "name": familyName, "last_seen": familyLastSeen,
}

// filter matches the family's topics.
func (f family) filter(t *discovery.Topics) string {
	switch f {
	case familyConfig:
		return t.AllConfigs()
	case familyState:
		return t.AllStates()
	case familyAttributes:
		return t.AllAttributes()
	case familyName:
		return t.AllNames()
	case familyLastSeen:
		return t.AllLastSeen()
	case familyGroup:
		return t.AllGroupStates()
	case familySummary:
		return t.Summary()
	case familyMachine:
		return t.Machine()
	case familyStatus:
		return t.Status()
	case familyEvent:
		return t.Event()
	}
	return t.Instance()
}

// loss is what does not work when the family cannot be written.
func (f family) loss() string {
	switch f {
	case familyConfig:
		return "Home Assistant does not find the devices"
	case familyState:
		return "nobody is told who is home"
	case familyAttributes:
		return "zones and addresses are not told"
	case familyGroup:
		return "nobody is told which groups are home"
	case familySummary:
		return "the household's summary is not told"
	case familyMachine:
		return "the numbers of this machine's connections are not told"
	case familyStatus:
		return "Home Assistant shows everything as unavailable"
	case familyEvent:
		return "events do not arrive"
	case familyInstance:
		return "two Porchlights with one PORCHLIGHT_NODE would not notice each other"
	}
	return "the topic stays empty"
}

// instead is what else to do about it than to allow it.
func (f family) instead() string {
	if f == familyConfig {
		return ", or set PORCHLIGHT_HA_DISCOVERY=false"
	}
	return ""
}

// lasting reports whether what others write there matters for as long as the
// connection lasts.
func (f family) lasting() bool {
	return f == familyConfig || f == familyStatus || f == familyInstance
}
