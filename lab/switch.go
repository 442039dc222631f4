package lab

import (
	"context"
	"errors"
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

func newSwitch(snooping bool) (*lanSwitch, error) {
	ns, err := newNamespace(snooping) // without it a switch says nothing itself
	if err != nil {
		return nil, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "switch"
	bridge := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}
	err = ns.netlink(func(h *netlink.Handle) error { return h.LinkAdd(bridge) })
	if err == nil && snooping {
		err = ns.askForMembers(attrs.Name)
	}
	if err == nil {
		err = ns.setUp(attrs.Name, true)
	}
	if err != nil {
		ns.close()
		return nil, fmt.Errorf("making the bridge: %w", err)
	}
	return &lanSwitch{namespace: ns, bridge: bridge.Index}, nil
}

// askForMembers has a bridge ask who is in which group, without which it does
// not rely on what it has overheard: often at first, and for quick answers.
func (n *namespace) askForMembers(bridge string) error {
	const tenth = "10" // of a second, in hundredths
	out, err := n.command(context.Background(), "ip", "link", "set", bridge, "type", "bridge", "mcast_querier", "1",
		"mcast_query_response_interval", tenth, "mcast_startup_query_interval", tenth, "mcast_query_interval", "1000").CombinedOutput()
	if err != nil {
		return fmt.Errorf("making it ask for members: %w: %s", err, out)
	}
	return nil
}

// readyWithin is how long what takes a moment may take on a busy machine: the
// kernel to let frames through a new cable, or a broker to end.
const readyWithin = time.Minute

// port is the switch's end of a cable.
type port struct {
	sw   *lanSwitch
	link netlink.Link
	// The other end.
	ns   *namespace
	name string
}

// connect lays a cable from the switch into ns, where its end has the given
// name and MAC. Both ends are up, and frames pass.
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
	p := &port{sw: s, link: veth, ns: ns, name: name}
	if err := ns.setUp(name, true); err != nil {
		return nil, err
	}
	if err := p.setCarrier(true); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	return p, p.waitReady(ctx)
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

// waitReady waits until both ends carry frames. The kernel tells the bridge,
// and the queueing discipline of the other end, of a new carrier from a work
// queue; until then they drop in silence.
func (p *port) waitReady(ctx context.Context) error {
	err := poll(ctx, time.Millisecond, func() (bool, error) {
		near, err1 := p.sw.operUp(p.link.Attrs().Name)
		far, err2 := p.ns.operUp(p.name)
		return near && far, errors.Join(err1, err2)
	})
	if err != nil {
		return fmt.Errorf("waiting for carrier on %q: %w", p.name, err)
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
