package traffic

// The ports of DHCP (RFC 2131, section 4.1) and DHCPv6 (RFC 8415, section 7.2).
const (
	portDHCPServer   = 67
	portDHCPClient   = 68
	portDHCPv6Client = 546
	portDHCPv6Server = 547
)

const (
	minDHCP       = 240 // bytes: all fields and the magic cookie, which is not seen
	maxDHCPv6Type = 36  // RFC 7653 and others
)

// isDHCP says whether a datagram on DHCP's or DHCPv6's ports is that.
func isDHCP(h *head) bool {
	b := h.body
	switch {
	case h.either(portDHCPServer) || h.either(portDHCPClient):
		return h.length >= minDHCP && len(b) > 2 && (b[0] == 1 || b[0] == 2) && b[2] <= 16
	case h.either(portDHCPv6Client) || h.either(portDHCPv6Server):
		return h.length >= 4 && len(b) > 0 && b[0] > 0 && b[0] <= maxDHCPv6Type
	}
	return false
}
