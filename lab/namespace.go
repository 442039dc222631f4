package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"

	"github.com/mdlayher/socket"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// ErrNeedsRoot is returned when the lab may not make network namespaces.
var ErrNeedsRoot = errors.New("the virtual LAN needs root to make network namespaces: run it with sudo")

// namespace is an anonymous network namespace with a thread inside. It exists
// as long as it is not closed, or as long as the process lives.
type namespace struct {
	*thread
	handle netns.NsHandle

	mu sync.RWMutex
	nl *netlink.Handle // nil: closed
}

// newNamespace makes a namespace with lo up.
func newNamespace(ipv6 bool) (*namespace, error) {
	n := &namespace{thread: newThread(), handle: netns.None()}
	err := n.thread.run(func() (err error) {
		if n.handle, err = netns.New(); err != nil {
			if errors.Is(err, unix.EPERM) {
				return ErrNeedsRoot
			}
			return fmt.Errorf("making a network namespace: %w", err)
		}
		if n.nl, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			return fmt.Errorf("opening netlink in a new namespace: %w", err)
		}
		if !ipv6 {
			if err := silenceIPv6(); err != nil {
				return err
			}
		}
		return n.setUp("lo", true)
	})
	if err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

// silenceIPv6 keeps the interfaces that the calling thread's namespace will
// get from speaking IPv6.
func silenceIPv6() error {
	for _, scope := range []string{"all", "default"} {
		err := os.WriteFile("/proc/sys/net/ipv6/conf/"+scope+"/disable_ipv6", []byte("1"), 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("switching IPv6 off: %w", err)
		}
	}
	return nil
}

func (n *namespace) close() {
	n.thread.close()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.nl != nil {
		n.nl.Close()
		n.nl = nil
	}
	if n.handle.IsOpen() {
		n.handle.Close()
	}
}

// netlink calls f with the namespace's netlink handle. A closed handle would
// open itself again in the host's namespace, so nothing else may hold it.
func (n *namespace) netlink(f func(*netlink.Handle) error) error {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.nl == nil {
		return errClosed
	}
	return f(n.nl)
}

// linked calls f with the interface of that name.
func (n *namespace) linked(name string, f func(*netlink.Handle, netlink.Link) error) error {
	return n.netlink(func(h *netlink.Handle) error {
		link, err := h.LinkByName(name)
		if err != nil {
			return fmt.Errorf("finding interface %q: %w", name, err)
		}
		return f(h, link)
	})
}

// setUp sets the administrative state of an interface.
func (n *namespace) setUp(name string, up bool) error {
	return n.linked(name, func(h *netlink.Handle, link netlink.Link) error {
		set := h.LinkSetDown
		if up {
			set = h.LinkSetUp
		}
		if err := set(link); err != nil {
			return fmt.Errorf("setting interface %q up=%t: %w", name, up, err)
		}
		return nil
	})
}

// setMAC gives the interface, which must be down, another address.
func (n *namespace) setMAC(name string, mac MAC) error {
	return n.linked(name, func(h *netlink.Handle, link netlink.Link) error {
		if err := h.LinkSetHardwareAddr(link, net.HardwareAddr(mac[:])); err != nil {
			return fmt.Errorf("giving interface %q the address %s: %w", name, mac, err)
		}
		return nil
	})
}

// operUp reports whether the interface is operational (RFC 2863).
func (n *namespace) operUp(name string) (up bool, err error) {
	err = n.linked(name, func(_ *netlink.Handle, link netlink.Link) error {
		up = link.Attrs().OperState == netlink.OperUp
		return nil
	})
	return up, err
}

// replaceAddr makes a the interface's only IPv4 address; an invalid one leaves
// it none.
func (n *namespace) replaceAddr(name string, a netip.Prefix) error {
	return n.linked(name, func(h *netlink.Handle, link netlink.Link) error {
		old, err := h.AddrList(link, unix.AF_INET)
		if err != nil {
			return fmt.Errorf("listing the addresses of %q: %w", name, err)
		}
		for _, o := range old {
			if a.IsValid() && o.IP.Equal(a.Addr().AsSlice()) {
				continue
			}
			if err := h.AddrDel(link, &o); err != nil {
				return fmt.Errorf("removing address %v from %q: %w", o.IPNet, name, err)
			}
		}
		if !a.IsValid() {
			return nil
		}
		ipnet := &net.IPNet{IP: a.Addr().AsSlice(), Mask: net.CIDRMask(a.Bits(), 32)}
		if err := h.AddrReplace(link, &netlink.Addr{IPNet: ipnet}); err != nil {
			return fmt.Errorf("setting address %v on %q: %w", a, name, err)
		}
		return nil
	})
}

// do runs f on a thread of its own in the namespace; the thread ends with f.
// runtime.Goexit in f (t.Fatal) ends the caller too, as if it had called f.
func (n *namespace) do(f func() error) (err error) {
	done := make(chan struct{})
	returned := false
	ownThread(func() {
		defer close(done)
		if err = n.enter(); err == nil {
			err = f()
		}
		returned = true
	})
	<-done
	if !returned {
		runtime.Goexit()
	}
	return err
}

// enter moves the calling thread into the namespace.
func (n *namespace) enter() error {
	return n.netlink(func(*netlink.Handle) error {
		if err := netns.Set(n.handle); err != nil {
			return fmt.Errorf("entering a network namespace: %w", err)
		}
		return nil
	})
}

// rawSocket opens a packet socket in the namespace that hears nothing yet.
func (n *namespace) rawSocket() (conn *socket.Conn, err error) {
	err = n.netlink(func(*netlink.Handle) error {
		conn, err = socket.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0, "lab", &socket.Config{NetNS: int(n.handle)})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening a packet socket: %w", err)
	}
	return conn, nil
}
