package capture

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"porchlight/presence"
)

// Link is an interface as the kernel last described it.
type Link struct {
	Index    int
	MAC      presence.MAC
	Prefixes []netip.Prefix // its IPv4 addresses with the length of their subnets; never changed in place

	// LinkLocal is its IPv6 link-local address; invalid while it has none that
	// can be used, as when IPv6 is switched off.
	LinkLocal netip.Addr
}

// linkState is what decides whether an interface can hear. The zero value is
// an interface that does not exist.
type linkState struct {
	Link
	up, carrier bool
	encap       string // "ether", "loopback", or something without Ethernet frames
}

// blind says in words why name cannot hear; empty when it can.
func (s linkState) blind(name string) string {
	switch {
	case s.Index == 0:
		return name + " does not exist"
	case !s.up:
		return name + " is down"
	case !s.carrier:
		return "no carrier on " + name
	}
	return ""
}

func describe(a *netlink.LinkAttrs) linkState {
	mac, _ := presence.MACFrom(a.HardwareAddr)
	return linkState{
		Link:    Link{Index: a.Index, MAC: mac},
		up:      a.RawFlags&unix.IFF_UP != 0,
		carrier: a.RawFlags&unix.IFF_LOWER_UP != 0,
		encap:   a.EncapType,
	}
}

// concerns reports whether a message is about the interface called name, or
// about the one that s describes. The state itself is asked for: a message may
// have waited, and tell of a time before the last answer.
func (s linkState) concerns(name string, u netlink.LinkUpdate) bool {
	if u.IfInfomsg.Family != unix.AF_UNSPEC {
		return false // a bridge speaks about its port, not about the interface
	}
	a := u.Attrs()
	return a.Name == name || a.Index == s.Index
}

// linkWatch follows one interface by name.
type linkWatch struct {
	name   string
	handle *netlink.Handle
	links  chan netlink.LinkUpdate
	addrs  chan netlink.AddrUpdate
	done   chan struct{}
}

// watchLink subscribes first and lists then, so that no change is lost. Either
// channel closes when the kernel had more to say than the socket could hold:
// then watch anew.
func watchLink(name string) (*linkWatch, linkState, error) {
	w := &linkWatch{
		name:  name,
		links: make(chan netlink.LinkUpdate),
		addrs: make(chan netlink.AddrUpdate),
		done:  make(chan struct{}),
	}
	if err := netlink.LinkSubscribe(w.links, w.done); err != nil {
		return nil, linkState{}, fmt.Errorf("subscribing to link changes: %w", err)
	}
	if err := netlink.AddrSubscribe(w.addrs, w.done); err != nil {
		close(w.addrs)
		w.close()
		return nil, linkState{}, fmt.Errorf("subscribing to address changes: %w", err)
	}
	// A handle keeps its socket, and with it the network namespace.
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		w.close()
		return nil, linkState{}, fmt.Errorf("opening netlink: %w", err)
	}
	w.handle = h
	s, err := w.list()
	if err != nil {
		w.close()
		return nil, linkState{}, err
	}
	return w, s, nil
}

// list asks for the state of the interface now.
func (w *linkWatch) list() (linkState, error) {
	l, err := w.handle.LinkByName(w.name)
	if errors.As(err, &netlink.LinkNotFoundError{}) || errors.Is(err, syscall.ENODEV) {
		return linkState{}, nil
	}
	if err != nil {
		return linkState{}, fmt.Errorf("looking up interface %q: %w", w.name, err)
	}
	s := describe(l.Attrs())
	s.Prefixes, s.LinkLocal, err = w.addresses(s.Index)
	return s, err
}

// addresses asks for the IPv4 addresses of an interface, and for the IPv6
// link-local one.
func (w *linkWatch) addresses(index int) (ps []netip.Prefix, linkLocal netip.Addr, err error) {
	l := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}
	var addrs []netlink.Addr
	for range 5 { // a change during the dump interrupts it
		addrs, err = w.handle.AddrList(l, netlink.FAMILY_ALL)
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, netip.Addr{}, fmt.Errorf("listing the addresses of %q: %w", w.name, err)
	}
	for _, a := range addrs {
		ip, ok := netip.AddrFromSlice(a.IP)
		ip = ip.Unmap()
		bits, _ := a.Mask.Size()
		switch p := netip.PrefixFrom(ip, bits); {
		case !ok || !p.IsValid():
		case ip.Is4() && !slices.Contains(ps, p):
			ps = append(ps, p)
		case ip.Is6() && ip.IsLinkLocalUnicast() && a.Flags&notUsable == 0 && !linkLocal.IsValid():
			linkLocal = ip
		}
	}
	return ps, linkLocal, nil
}

// notUsable are the flags of an address that is still being checked for
// duplicates, or that has one.
const notUsable = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED

// close ends the subscriptions and waits until they have ended.
func (w *linkWatch) close() {
	close(w.done)
	for range w.links {
	}
	for range w.addrs {
	}
	if w.handle != nil {
		w.handle.Close()
	}
}
