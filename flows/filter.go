package flows

import "porchlight/connections"

// Filter returns the filter for the packets of these flows, as
// connections.FilterForMany does.
func Filter(all []Entry) (connections.Filter, error) {
	var ends []connections.Connection
	for i := range all {
		x := &all[i]
		protocol := connections.UDP
		if x.protocol&0xff == tcp {
			protocol = connections.TCP
		}
		ends = append(ends, connections.Connection{Protocol: protocol, Local: x.Local, Remote: x.Remote})
	}
	return connections.FilterForMany(ends)
}
