package lab

import "net/netip"

// Attach connects h's machine to l by one more interface. h may be of another
// lab: each lab is a segment, and a machine that is attached to several of them
// is in each. What is returned is the machine as that segment sees it: its
// methods are about the new interface, its commands run on the same machine.
func (l *Lab) Attach(h *Host, iface string, opts ...HostOption) (*Host, error) {
	c := configure(iface, opts)
	a := &Host{lab: l, ns: h.ns, iface: iface, mac: c.mac, attached: true}
	err := a.connect(c)
	if err == nil {
		err = l.adopt(a)
	}
	if err != nil {
		_ = a.Close()
		return nil, err
	}
	return a, nil
}

// Move carries the client to another segment, where it is away until it joins.
// It takes its MAC and its name along, and says nothing.
func (c *Client) Move(to *Lab) error {
	c.verbs.Lock()
	defer c.verbs.Unlock()
	if err := c.drop(); err != nil {
		return err
	}
	if err := c.recable(to); err != nil {
		return err
	}
	return c.Down()
}

func (h *Host) recable(to *Lab) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.port.remove(); err != nil {
		return err
	}
	p, err := to.sw.connect(h.ns, h.iface, h.mac)
	if err != nil {
		return err
	}
	h.lab, h.port, h.addr = to, p, netip.Prefix{}
	return nil
}
