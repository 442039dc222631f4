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
	Up       bool

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
		i := Interface{
			Index: a.Index, Name: a.Name,
			Loopback: a.RawFlags&unix.IFF_LOOPBACK != 0,
			Up:       a.RawFlags&unix.IFF_UP != 0,
		}
		if m := byIndex[a.MasterIndex]; m != nil && mirrors(m.Type()) {
			i.Twice = fmt.Sprintf("a port of %s", m.Attrs().Name)
		} else if below := byIndex[a.ParentIndex]; below != nil && a.NetNsID == -1 && l.Type() == "vlan" {
			i.Twice = fmt.Sprintf("a VLAN on %s", below.Attrs().Name)
		}
		all = append(all, i)
	}
	return all
}

// mirrors reports whether what passes a port of such a master passes the master
// too, as far as it is for this machine.
func mirrors(kind string) bool {
	return kind == "bridge" || kind == "bond" || kind == "team" || kind == "vrf"
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
