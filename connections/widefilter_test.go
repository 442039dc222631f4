package connections

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// For more connections than a filter can have it chooses their services, then
// their hosts, then their ports.
func TestFilterForMany(t *testing.T) {
	some := func(n int, local, remote string) (all []Connection) {
		for i := range n {
			c := Connection{Protocol: TCP}
			for end, text := range map[*netip.AddrPort]string{&c.Local: local, &c.Remote: remote} {
				*end = netip.MustParseAddrPort(strings.NewReplacer("PORT", fmt.Sprint(50000+i), "198.18.HOST", fmt.Sprintf("198.18.%d.%d", i/256, i%256), "HOST", fmt.Sprint(i+1), "WELL", fmt.Sprint(1000+i)).Replace(text))
			}
			all = append(all, c)
		}
		return all
	}
	listeners := func(n int) (all []Connection) {
		for i := range n {
			all = append(all, Connection{Protocol: TCP, State: Listen, Local: netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(2000+i))})
		}
		return all
	}
	for name, test := range map[string]struct {
		all     []Connection
		dump    string
		wide    string
		tooMany bool
	}{
		"few":            {some(1, "192.0.2.1:PORT", "192.0.2.9:443"), "tcp and ((src host 192.0.2.1 and src port 50000 and dst host 192.0.2.9 and dst port 443) or (dst host 192.0.2.1 and dst port 50000 and src host 192.0.2.9 and src port 443))", "", false},
		"of clients":     {some(60, "192.0.2.1:PORT", "192.0.2.9:443"), "tcp and ((src host 192.0.2.1 and dst host 192.0.2.9 and dst port 443) or (dst host 192.0.2.1 and src host 192.0.2.9 and src port 443))", "the same services", false},
		"of a server":    {some(60, "192.0.2.1:22", "192.0.2.HOST:PORT"), "tcp and ((src host 192.0.2.1 and src port 22) or (dst host 192.0.2.1 and dst port 22))", "the same services", false},
		"of many":        {some(60, "192.0.2.1:PORT", "192.0.2.9:WELL"), "host 192.0.2.9", "the same hosts", false},
		"of many hosts":  {some(60, "192.0.2.1:PORT", "192.0.2.HOST:443"), "tcp port 443", "the same ports", false},
		"of too many":    {some(maxPorts+1, "192.0.2.1:PORT", "198.18.HOST:WELL"), "", "", true},
		"many listeners": {listeners(maxPorts + 1), "", "", true},
		// A listener is with no host.
		"a listener too": {append(some(60, "192.0.2.1:PORT", "192.0.2.9:WELL"), listeners(1)...), "(host 192.0.2.9) or (tcp port 2000)", "the same hosts", false},
	} {
		f, err := FilterForMany(test.all)
		if errors.Is(err, ErrTooMany) != test.tooMany || f.Tcpdump != test.dump || !strings.Contains(f.Wide, test.wide) || (f.Wide == "") != (test.wide == "") {
			t.Errorf("%s: %q, %q, %v", name, f.Tcpdump, f.Wide, err)
		}
		if err == nil {
			compiled(t, f.Tcpdump)
		}
	}
	if _, err := FilterForMany(nil); err == nil {
		t.Error("a filter for nothing")
	}
}
