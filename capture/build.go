package capture

import (
	eth "github.com/mdlayher/ethernet" // the tests have a function called ethernet

	"porchlight/presence"
)

// Build returns an Ethernet frame, padded to the least length, tagged with at
// most two vids, outermost first.
func Build(to, from presence.MAC, etherType uint16, payload []byte, vids []uint16) ([]byte, error) {
	f := eth.Frame{Destination: to[:], Source: from[:], EtherType: eth.EtherType(etherType), Payload: payload}
	if n := len(vids); n > 0 {
		f.VLAN = &eth.VLAN{ID: vids[n-1]}
		if n > 1 {
			f.ServiceVLAN = &eth.VLAN{ID: vids[0]}
		}
	}
	return f.MarshalBinary()
}
