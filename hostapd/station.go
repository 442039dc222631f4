package hostapd

import (
	"bytes"
	"fmt"

	"porchlight/presence"
)

const (
	// maxStations is more than an access point can have: 2007 association
	// identifiers (IEEE 802.11-2020, 9.4.1.8).
	maxStations = 2048
	// listTries is how often a list is begun again, as one of it left meanwhile.
	listTries = 4
)

// list asks for all stations; those that count are true. whole is false when so
// many come and go that it may lack some.
func (c *conn) list() (stations map[presence.MAC]bool, whole bool, err error) {
	for range listTries {
		if stations, whole, err = c.listOnce(); whole || err != nil {
			break
		}
	}
	return stations, whole, err
}

func (c *conn) listOnce() (stations map[presence.MAC]bool, whole bool, err error) {
	stations = map[presence.MAC]bool{}
	for command := "STA-FIRST"; ; {
		answer, err := c.ask(command)
		switch {
		case err != nil:
			return nil, false, err
		case len(answer) == 0:
			return stations, true, nil
		}
		mac, authorized, ok := parseStation(answer)
		_, again := stations[mac]
		switch {
		case !ok && len(stations) == 0:
			return nil, false, errNoBSS // the global socket says FAIL, others UNKNOWN COMMAND
		case !ok && bytes.HasPrefix(answer, []byte("FAIL")), ok && again, len(stations) == maxStations:
			return stations, false, nil
		case !ok:
			return nil, false, fmt.Errorf("it answers %q to %s", answer[:min(len(answer), 64)], command)
		}
		stations[mac] = authorized
		command = "STA-NEXT " + mac.String()
	}
}
