package lab

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"
)

// lanSwitch is a bridge in a namespace of its own.
type lanSwitch struct {
	*namespace
	bridge int // interface index

	ports atomic.Int64 // made so far
}

func newSwitch(ipv6 bool) (*lanSwitch, error) {
	ns, err := newNamespace(ipv6)
	if err != nil {
		return nil, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "switch"
	snooping := false
	bridge := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}
	err = ns.netlink(func(h *netlink.Handle) error { return h.LinkAdd(bridge) })
	if err == nil {
		err = ns.setUp(attrs.Name, true)
	}
	if err != nil {
		ns.close()
		return nil, fmt.Errorf("making the bridge: %w", err)
	}
	return &lanSwitch{namespace: ns, bridge: bridge.Index}, nil
}

// port is the switch's end of a cable.
type port struct {
	sw   *lanSwitch
	link netlink.Link
}

// connect lays a cable from the switch into ns, where its end has the given
// name and MAC. Both ends are up.
func (s *lanSwitch) connect(ns *namespace, name string, mac MAC) (*port, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("port%d", s.ports.Add(1))
	attrs.MasterIndex = s.bridge
	veth := &netlink.Veth{
		LinkAttrs:        attrs,
		PeerName:         name,
		PeerHardwareAddr: hw(mac),
		PeerNamespace:    netlink.NsFd(ns.handle),
	}
	err := s.netlink(func(h *netlink.Handle) error { return h.LinkAdd(veth) })
	if err != nil {
		return nil, fmt.Errorf("making the veth pair for %q: %w", name, err)
	}
	p := &port{sw: s, link: veth}
	if err := ns.setUp(name, true); err != nil {
		return nil, err
	}
	return p, p.setCarrier(true)
}

// setCarrier takes the switch's end up or down: the other end sees carrier
// come or go.
func (p *port) setCarrier(up bool) error { return p.sw.setUp(p.link.Attrs().Name, up) }

// setBridged takes the port into the bridge or out of it. Outside, no frame
// passes either way, and neither end sees a change of carrier.
func (p *port) setBridged(in bool) error {
	return p.sw.netlink(func(h *netlink.Handle) error {
		if in {
			return h.LinkSetMasterByIndex(p.link, p.sw.bridge)
		}
		return h.LinkSetNoMaster(p.link)
	})
}

// remove deletes the cable, both ends of it.
func (p *port) remove() error {
	return p.sw.netlink(func(h *netlink.Handle) error { return h.LinkDel(p.link) })
}

// waitReady waits until the port forwards: the kernel tells the bridge of a
// new carrier from a work queue.
func (p *port) waitReady(ctx context.Context) error {
	err := poll(ctx, time.Millisecond, func() (up bool, err error) {
		err = p.sw.linked(p.link.Attrs().Name, func(_ *netlink.Handle, link netlink.Link) error {
			up = link.Attrs().OperState == netlink.OperUp
			return nil
		})
		return up, err
	})
	if err != nil {
		return fmt.Errorf("waiting for carrier on port %s: %w", p.link.Attrs().Name, err)
	}
	return nil
}

// poll calls ready until it is true or fails, or ctx ends.
func poll(ctx context.Context, every time.Duration, ready func() (bool, error)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ok, err := ready()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
