package connections

import (
	"errors"
	"net/netip"
)

// FilterForMany is FilterFor where a filter may choose more than these
// connections when there are too many of them: all to and from the same services,
// or all of the same hosts. Wide says in words what it chooses more; empty:
// nothing.
func FilterForMany(all []Connection) (f Filter, wide string, err error) {
	if f, err = FilterFor(all); !errors.Is(err, ErrTooMany) {
		return f, "", err
	}
	services := make([]Connection, len(all))
	var hosts []netip.Addr
	for i := range all {
		services[i] = all[i].service()
		if remote := all[i].Remote.Addr(); remote.IsValid() {
			hosts = append(hosts, remote)
		}
	}
	if f, err = FilterFor(services); !errors.Is(err, ErrTooMany) {
		return f, "it chooses all packets of the same services, as there are too many connections for a filter of just these", err
	}
	f, err = FilterForHosts(hosts)
	return f, "it chooses all packets of the same hosts, as there are too many connections for a filter of just these", err
}

// service is a connection without what its client made up: of ours the port, of
// others' all.
func (c *Connection) service() Connection {
	s := Connection{Protocol: c.Protocol, Local: c.Local, Remote: c.Remote}
	switch {
	case !c.Remote.IsValid():
	case c.Local.Port() < c.Remote.Port():
		s.Remote = netip.AddrPort{}
	default:
		s.Local = netip.AddrPortFrom(c.Local.Addr(), 0)
	}
	return s
}
