package dhcpwatch

import (
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"porchlight/presence"
)

// Limits of what a client may tell. Real ones stay well below.
const (
	maxVendorClass = 64 // bytes
	maxClientID    = 32 // bytes, twice as many hex digits
	maxParameters  = 64 // option codes in a fingerprint
)

// clientOptions reads what a client says of itself (RFC 2132).
func clientOptions(o dhcpv4.Options) *presence.DHCP {
	id := o.Get(dhcpv4.OptionClientIdentifier)
	return &presence.DHCP{
		HostName:    hostName(o),
		VendorClass: presence.CleanText(string(o.Get(dhcpv4.OptionClassIdentifier)), maxVendorClass),
		ClientID:    hex.EncodeToString(id[:min(len(id), maxClientID)]),
		Fingerprint: fingerprint(o.Get(dhcpv4.OptionParameterRequestList)),
	}
}

// hostName returns the name of option 12, else that of option 81.
func hostName(o dhcpv4.Options) string {
	name := presence.CleanText(string(o.Get(dhcpv4.OptionHostName)), presence.MaxName)
	if name == "" {
		name = fqdnHost(o.Get(dhcpv4.OptionFQDN))
	}
	return name
}

// fqdnHost returns the host of the Client FQDN option (RFC 4702, section 2):
// flags, two bytes of no meaning, and a domain name. Its first label is the
// host; the rest is the domain, if there is one.
func fqdnHost(option []byte) string {
	const (
		nameAt   = 3
		flagWire = 0x04 // E: the name stands in the wire format of RFC 1035, else it is ASCII
	)
	if len(option) < nameAt {
		return ""
	}
	flags, name := option[0], option[nameAt:]
	if flags&flagWire == 0 {
		host, _, _ := strings.Cut(string(name), ".")
		return presence.CleanText(host, presence.MaxName)
	}
	if len(name) == 0 {
		return ""
	}
	// Compression is not allowed here, so a length above 63 is a mistake.
	length := int(name[0])
	if length > 63 || length >= len(name) {
		return ""
	}
	return presence.CleanText(string(name[1:1+length]), presence.MaxName)
}

// fingerprint renders the parameter request list in the client's own order,
// which is what tells operating systems apart: "1,3,6,15".
func fingerprint(codes []byte) string {
	var b strings.Builder
	for i, code := range codes[:min(len(codes), maxParameters)] {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(code)))
	}
	return b.String()
}
