package capture

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Interface is one of this machine's.
type Interface struct {
	Index    int
	Name     string
	Loopback bool

	// Twice says why its packets are seen again on another one; empty: they are
	// not.
	Twice string
}

// Interfaces follows the interfaces of a network namespace.
type Interfaces struct {
	handle  *netlink.Handle
	updates chan netlink.LinkUpdate
	done    chan struct{}
}

// WatchInterfaces begins to follow the interfaces of the calling thread's
// network namespace. The caller closes it.
func WatchInterfaces() (*Interfaces, error) {
	w := &Interfaces{updates: make(chan netlink.LinkUpdate, 64), done: make(chan struct{})}
	if err := netlink.LinkSubscribe(w.updates, w.done); err != nil {
		return nil, fmt.Errorf("subscribing to link changes: %w", err)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("opening netlink: %w", err)
	}
	w.handle = h
	return w, nil
}

// Changed tells that List may have something new to say. It is closed when the
// kernel had more to tell than the socket could hold: then watch anew.
func (w *Interfaces) Changed() <-chan netlink.LinkUpdate { return w.updates }

// List asks for the interfaces that there are now, and forgets what Changed had
// to tell until here.
func (w *Interfaces) List() ([]Interface, error) {
	for {
		select {
		case _, ok := <-w.updates:
			if ok {
				continue
			}
		default:
		}
		break
	}
	var links []netlink.Link
	var err error
	for range 5 { // a change during the dump interrupts it
		links, err = w.handle.LinkList()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listing the interfaces: %w", err)
	}
	return describeAll(links), nil
}

// describeAll says which of the links are seen again on which.
func describeAll(links []netlink.Link) (all []Interface) {
	byIndex := make(map[int]netlink.Link, len(links))
	for _, l := range links {
		byIndex[l.Attrs().Index] = l
	}
	for _, l := range links {
		a := l.Attrs()
		all = append(all, Interface{
			Index: a.Index, Name: a.Name,
			Loopback: a.RawFlags&unix.IFF_LOOPBACK != 0,
			Twice:    twice(l, byIndex),
		})
	}
	return all
}

// twice says why a link's packets are seen again on another one.
func twice(l netlink.Link, all map[int]netlink.Link) string {
	if l.Type() == "vrf" {
		// Those that come in it shows to none but who asks for it alone, and then as
		// packets that go out.
		return "a VRF, above its ports"
	}
	if m := masterOf(l, all); m != nil {
		return "a port of " + m.Attrs().Name
	}
	a := l.Attrs()
	// A VLAN on a port has its packets before the master of the port does, which
	// gets the others only.
	if below := all[a.ParentIndex]; l.Type() == "vlan" && a.NetNsID == -1 && below != nil && masterOf(below, all) == nil {
		return "a VLAN on " + below.Attrs().Name
	}
	return ""
}

// masterOf returns the link on which all is seen again that passes this one, as
// far as it is for this machine; nil: there is none.
func masterOf(l netlink.Link, all map[int]netlink.Link) netlink.Link {
	m := all[l.Attrs().MasterIndex]
	if m == nil {
		return nil
	}
	switch m.Type() {
	case "bridge", "bond", "team":
		return m
	}
	return nil
}

// Close ends the subscription, and waits until it has ended.
func (w *Interfaces) Close() {
	close(w.done)
	for range w.updates {
	}
	if w.handle != nil {
		w.handle.Close()
	}
}
