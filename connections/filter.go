package connections

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Filter chooses packets, in two languages.
type Filter struct {
	Tcpdump   string `json:"tcpdump"`        // pcap-filter(7)
	Wireshark string `json:"wireshark"`      // wireshark-filter(4)
	Wide      string `json:"wide,omitempty"` // in words: what it chooses more; empty: nothing
}

// A filter is bounded: the kernel takes programs of up to 4096 instructions
// (BPF_MAXINSNS). A connection over IPv6 needs 70, a port of any host 6.
const (
	maxTerms = 50
	maxPorts = 8 * maxTerms
)

// ErrTooMany is returned for a filter that nobody could use.
var ErrTooMany = fmt.Errorf("a filter for more than %d connections, or %d ports, is too long for the kernel: choose fewer", maxTerms, maxPorts)

// flow is a set of packets: those between two ends. What is zero may be any.
type flow struct {
	protocol      string
	local, remote netip.Addr
	lport, rport  uint16
}

// FilterFor returns the filter for the packets of these connections, in both
// directions: for a listener or an unconnected socket all from and to its port.
func FilterFor(all []Connection) (Filter, error) { return filterOf(all, (*Connection).flow) }

func (c *Connection) flow() flow {
	f := flow{protocol: c.Protocol, local: c.Local.Addr().WithZone(""), lport: c.Local.Port()}
	if f.local.IsUnspecified() {
		f.local = netip.Addr{}
	}
	if c.Remote.IsValid() {
		f.remote, f.rport = c.Remote.Addr().WithZone(""), c.Remote.Port()
		if f.remote.Less(f.local) || f.remote == f.local && f.rport < f.lport { // on this machine each connection has two sockets
			f.local, f.lport, f.remote, f.rport = f.remote, f.rport, f.local, f.lport
		}
	}
	return f
}

// filterOf returns the filter for what of says of each connection. It takes no
// longer for the many that there cannot be one for.
func filterOf(all []Connection, of func(*Connection) flow) (Filter, error) {
	flows := map[flow]bool{}
	room := maxPorts
	for _, whole := range []bool{true, false} { // ports first
		for i := range all {
			f := of(&all[i])
			if f.ofPort() != whole || f.remote.IsValid() && f.within(flows) || flows[f] {
				continue
			}
			if room -= f.cost(); room < 0 {
				return Filter{}, ErrTooMany
			}
			flows[f] = true
		}
	}
	return join(slices.Collect(maps.Keys(flows)))
}

// ofPort reports whether all packets of a port are meant, wherever it is.
func (f flow) ofPort() bool { return !f.local.IsValid() && !f.remote.IsValid() }

// cost is how much of maxPorts it takes.
func (f flow) cost() int {
	if f.ofPort() {
		return 1
	}
	return maxPorts / maxTerms
}

// within reports whether all of a connection's packets are chosen by that of a
// whole port already.
func (f flow) within(flows map[flow]bool) bool {
	return flows[flow{protocol: f.protocol, lport: f.lport}] || flows[flow{protocol: f.protocol, lport: f.rport}]
}

// FilterForHosts returns the filter for all packets from and to these addresses.
func FilterForHosts(hosts []netip.Addr) (Filter, error) {
	flows := map[flow]bool{}
	for _, h := range hosts {
		flows[flow{remote: h.WithZone("").Unmap()}] = true
	}
	if len(flows) > maxTerms {
		return Filter{}, ErrTooMany
	}
	return join(slices.Collect(maps.Keys(flows)))
}

func join(flows []flow) (Filter, error) {
	if len(flows) == 0 {
		return Filter{}, errors.New("there is nothing to make a filter for")
	}
	slices.SortFunc(flows, func(x, y flow) int {
		return cmp.Or(strings.Compare(x.protocol, y.protocol), x.local.Compare(y.local), cmp.Compare(x.lport, y.lport), x.remote.Compare(y.remote), cmp.Compare(x.rport, y.rport))
	})
	var dump, shark []string
	for _, f := range flows {
		dump, shark = append(dump, f.tcpdump()), append(shark, f.wireshark())
	}
	return Filter{Tcpdump: either(dump, " or "), Wireshark: either(shark, " || ")}, nil
}

func either(terms []string, or string) string {
	if len(terms) == 1 {
		return terms[0]
	}
	return "(" + strings.Join(terms, ")"+or+"(") + ")"
}

func (f flow) tcpdump() string {
	switch {
	case f.protocol == "":
		return "host " + f.remote.String()
	case f.ofPort():
		return fmt.Sprintf("%s port %d", f.protocol, f.lport)
	}
	way := func(from, to string) string {
		var terms []string
		add := func(format string, is bool, v ...any) {
			if is {
				terms = append(terms, fmt.Sprintf(format, v...))
			}
		}
		add("%s host %s", f.local.IsValid(), from, f.local)
		add("%s port %d", f.lport != 0, from, f.lport)
		add("%s host %s", f.remote.IsValid(), to, f.remote)
		add("%s port %d", f.rport != 0, to, f.rport)
		return strings.Join(terms, " and ")
	}
	return fmt.Sprintf("%s and ((%s) or (%s))", f.protocol, way("src", "dst"), way("dst", "src"))
}

func (f flow) wireshark() string {
	ip := func(a netip.Addr) string {
		if a.Is4() {
			return "ip"
		}
		return "ipv6"
	}
	switch {
	case f.protocol == "":
		return fmt.Sprintf("%s.addr == %s", ip(f.remote), f.remote)
	case f.ofPort():
		return fmt.Sprintf("%s.port == %d", f.protocol, f.lport)
	}
	way := func(from, to string) string {
		var terms []string
		host := func(which string, a netip.Addr) {
			if a.IsValid() {
				terms = append(terms, fmt.Sprintf("%s.%s == %s", ip(a), which, a))
			}
		}
		port := func(which string, n uint16) {
			if n != 0 {
				terms = append(terms, fmt.Sprintf("%s.%sport == %d", f.protocol, which, n))
			}
		}
		host(from, f.local)
		port(from, f.lport)
		host(to, f.remote)
		port(to, f.rport)
		return strings.Join(terms, " && ")
	}
	return fmt.Sprintf("(%s) || (%s)", way("src", "dst"), way("dst", "src"))
}
