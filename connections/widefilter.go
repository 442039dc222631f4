package connections

import (
	"errors"
	"net/netip"
)

// FilterForMany is FilterFor where a filter may choose more than these
// connections when there are too many of them, which its Wide says: all to and
// from the same services, of the same hosts, or of the services' ports.
func FilterForMany(all []Connection) (Filter, error) {
	f, err := FilterFor(all)
	for _, wider := range []struct {
		what string
		of   func(*Connection) flow
	}{
		{"services", func(c *Connection) flow { s := c.service(); return s.flow() }},
		{"hosts", (*Connection).host},
		{"ports", (*Connection).servicePort},
	} {
		if !errors.Is(err, ErrTooMany) {
			break
		}
		f, err = filterOf(all, wider.of)
		f.Wide = "it chooses all packets of the same " + wider.what + ", as there are too many connections for a filter of just these"
	}
	if err != nil {
		return Filter{}, err
	}
	return f, nil
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

// host is all of the remote host; what has none is as ever.
func (c *Connection) host() flow {
	if !c.Remote.IsValid() {
		return c.flow()
	}
	return flow{remote: c.Remote.Addr().WithZone("")}
}

// servicePort is all of a service's port, wherever it is.
func (c *Connection) servicePort() flow {
	s := c.service()
	return flow{protocol: c.Protocol, lport: max(s.Local.Port(), s.Remote.Port())}
}
