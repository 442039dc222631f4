package lookup

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"porchlight/presence"
)

// dnsTime is how long the DNS server may take.
const dnsTime = 5 * time.Second

// DNS asks by reverse DNS (PTR, RFC 1035, section 3.5).
type DNS struct{ resolver *net.Resolver }

// NewDNS returns a source that asks server; an invalid one stands for those
// that the system is set to.
func NewDNS(server netip.AddrPort) *DNS {
	r := &net.Resolver{PreferGo: true}
	if server.IsValid() {
		r.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, server.String())
		}
	}
	return &DNS{r}
}

// Name implements Source.
func (*DNS) Name() presence.NameSource { return presence.NameFromDNS }

// Ask implements Source.
func (s *DNS) Ask(ctx context.Context, a netip.Addr, _ string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, dnsTime)
	defer cancel()
	names, err := s.resolver.LookupAddr(ctx, a.String())
	if fault := (*net.DNSError)(nil); errors.As(err, &fault) && fault.IsNotFound {
		return "", nil
	}
	for _, n := range names {
		if name := presence.CleanHostName(n); name != "" && !madeOf(name, a) {
			return name, nil
		}
	}
	return "", err
}

// madeOf reports whether a name is only the address in other words, such as
// ip-192-168-1-50: DNS servers make them up.
func madeOf(name string, a netip.Addr) bool {
	digits := strings.ReplaceAll(a.String(), ".", "-")
	first, _, _ := strings.Cut(a.String(), ".")
	return strings.Contains(name, digits) || name == first
}
