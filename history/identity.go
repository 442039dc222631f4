package history

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"porchlight/presence"
)

// heardWithin is how exactly it is stored when a device was last heard by each of
// its MACs: that alone is no reason to write more often than once a day.
const heardWithin = 24 * time.Hour

// samePorts reports whether a and b differ at most in when each was last heard.
func samePorts(a, b []presence.Port) bool {
	return slices.EqualFunc(a, b, func(a, b presence.Port) bool {
		return a.MAC == b.MAC && a.Origin == b.Origin && a.Interface == b.Interface && a.Addr == b.Addr &&
			slices.Equal(a.IPv6, b.IPv6) && a.Heard.Sub(b.Heard).Abs() < heardWithin
	})
}

// fromJSON is how v stands in a column; empty when there is nothing.
func fromJSON(v any, none bool) (string, error) {
	if none {
		return "", nil
	}
	b, err := json.Marshal(v)
	return string(b), err
}

// identityArgs are the values of what tells devices apart: ports, merged_into,
// resembles and set_follow.
func (d *stored) identityArgs() ([]any, error) {
	ports, err := fromJSON(d.ports, len(d.ports) == 0)
	if err != nil {
		return nil, fmt.Errorf("MACs of device %s: %w", d.ID, err)
	}
	follow, err := fromJSON(d.Follow, d.Follow == nil)
	if err != nil {
		return nil, fmt.Errorf("what device %s follows: %w", d.ID, err)
	}
	return []any{ports, string(d.mergedInto), string(d.Resembles), follow}, nil
}

// setIdentity takes over the JSON columns. What cannot be read is left out: the
// rest of the device still counts.
func (d *stored) setIdentity(ports, follow string) {
	if ports != "" && json.Unmarshal([]byte(ports), &d.ports) != nil {
		d.ports = nil
	}
	if follow != "" && json.Unmarshal([]byte(follow), &d.Follow) != nil {
		d.Follow = nil
	}
}
