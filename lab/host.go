package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/socket"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Host is a machine on the LAN: a namespace of its own with one interface and
// lo. Its methods are safe for concurrent use.
type Host struct {
	lab   *Lab
	ns    *namespace
	iface string
	mac   MAC
	conn  *socket.Conn // sends raw frames

	attached bool // by one more interface to the machine of another Host (Attach)

	mu   sync.Mutex
	port *port
	addr netip.Prefix // invalid: none
}

// hostConfig is what the options of a host decide.
type hostConfig struct {
	mac         MAC
	addr        netip.Addr
	hostName    string
	noHostName  bool
	vendorClass string
	ipv6Only    bool
}

// HostOption chooses something about a host.
type HostOption func(name string, c *hostConfig)

// PrivateMAC gives the host a made-up, locally administered MAC, always the
// same for the same name. It is the default.
func PrivateMAC(name string, c *hostConfig) { c.mac = privateMAC(name) }

// VendorMAC gives the host a made-up MAC with the prefix of a real vendor,
// always the same for the same name.
func VendorMAC(name string, c *hostConfig) { c.mac = vendorMAC(name) }

// WithMAC gives the host this MAC.
func WithMAC(mac MAC) HostOption { return func(_ string, c *hostConfig) { c.mac = mac } }

// WithAddr gives the host this static address, with the LAN's prefix length.
func WithAddr(a netip.Addr) HostOption { return func(_ string, c *hostConfig) { c.addr = a } }

// WithHostName is what a client calls itself in DHCP (option 12) instead of
// its name in the lab; empty: it sends none.
func WithHostName(s string) HostOption {
	return func(_ string, c *hostConfig) { c.hostName, c.noHostName = s, s == "" }
}

// WithVendorClass is what a client says of itself in DHCP option 60 instead of
// udhcpc's own.
func WithVendorClass(s string) HostOption { return func(_ string, c *hostConfig) { c.vendorClass = s } }

// IPv6Only leaves a client without IPv4: it joins with the link-local address
// that the kernel gives it. The lab needs Options.IPv6.
func IPv6Only(_ string, c *hostConfig) { c.ipv6Only = true }

func configure(name string, opts []HostOption) hostConfig {
	c := hostConfig{}
	PrivateMAC(name, &c)
	for _, o := range opts {
		o(name, &c)
	}
	return c
}

// newHost makes a host that is connected and up, with a static address if c has one.
func (l *Lab) newHost(iface string, c hostConfig) (*Host, error) {
	ns, err := newNamespace(l.opts.IPv6)
	if err != nil {
		return nil, err
	}
	h := &Host{lab: l, ns: ns, iface: iface, mac: c.mac}
	if err := h.connect(c); err != nil {
		_ = h.Close()
		return nil, err
	}
	return h, nil
}

func (h *Host) connect(c hostConfig) (err error) {
	if h.port, err = h.lab.sw.connect(h.ns, h.iface, h.mac); err != nil {
		return err
	}
	if h.conn, err = h.ns.rawSocket(); err != nil {
		return err
	}
	if !c.addr.IsValid() {
		return nil
	}
	return h.setAddr(netip.PrefixFrom(c.addr, h.lab.opts.Prefix.Bits()))
}

// Interface returns the name of the host's interface.
func (h *Host) Interface() string { return h.iface }

// MAC returns the host's hardware address.
func (h *Host) MAC() MAC { return h.mac }

// Addr returns the host's address; invalid when it has none.
func (h *Host) Addr() netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.addr.Addr()
}

// LinkLocal returns the IPv6 link-local address of the host's interface; invalid
// while it has none that is checked for duplicates.
func (h *Host) LinkLocal() (a netip.Addr, err error) {
	err = h.ns.linked(h.iface, func(nl *netlink.Handle, link netlink.Link) error {
		addrs, err := nl.AddrList(link, unix.AF_INET6)
		for _, x := range addrs {
			if ip, ok := netip.AddrFromSlice(x.IP); ok && ip.IsLinkLocalUnicast() && x.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0 {
				a = ip
			}
		}
		return err
	})
	return a, err
}

// Do runs f in the host's namespace, on a thread of its own, and returns its
// error. Sockets that f opens stay there; goroutines that f starts do not.
// Children are better started by Command: they would die with f's thread if
// they have a PDEATHSIG.
func (h *Host) Do(f func() error) error { return h.ns.do(f) }

// Command returns a command that runs in the host's namespace; ctx kills it.
func (h *Host) Command(ctx context.Context, name string, args ...string) *Cmd {
	return h.ns.command(ctx, name, args...)
}

// Dial connects from the host's namespace. The address is numeric.
func (h *Host) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = h.Do(func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Say sends a frame, Ethernet header included, from the host's interface. It
// returns the time just before the send.
func (h *Host) Say(frame []byte) (sent time.Time, err error) {
	to := &unix.SockaddrLinklayer{}
	err = h.ns.linked(h.iface, func(_ *netlink.Handle, link netlink.Link) error {
		to.Ifindex = link.Attrs().Index // another one after Recreate
		return nil
	})
	if err != nil {
		return time.Time{}, err
	}
	sent = time.Now()
	if err := h.conn.Sendto(context.Background(), frame, 0, to); err != nil {
		return sent, fmt.Errorf("sending a frame on %q: %w", h.iface, err)
	}
	return sent, nil
}

// Announce sends an ARP announcement for the host's address (RFC 5227,
// section 2.3). The kernel by itself announces nothing.
func (h *Host) Announce() (sent time.Time, err error) {
	a := h.Addr()
	if !a.IsValid() {
		return time.Time{}, fmt.Errorf("announcing %q: it has no address", h.iface)
	}
	return h.Say(Announcement(h.mac, a).Frame())
}

// Unplug pulls the cable: the host loses carrier.
func (h *Host) Unplug() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.port.setCarrier(false)
}

// Plug puts the cable back and waits until frames pass.
func (h *Host) Plug(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.port.setCarrier(true); err != nil {
		return err
	}
	return h.port.waitReady(ctx)
}

// Down takes the host's interface down, as an administrator does. Its address
// stays.
func (h *Host) Down() error { return h.ns.setUp(h.iface, false) }

// Up takes the host's interface up and waits until frames pass.
func (h *Host) Up(ctx context.Context) error {
	if err := h.ns.setUp(h.iface, true); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.port.waitReady(ctx)
}

// Delete removes the host's interface, as when a USB adapter is pulled.
func (h *Host) Delete() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.port.remove()
}

// Recreate makes the interface anew after Delete: same name, MAC and address,
// another index. It waits until frames pass.
func (h *Host) Recreate(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, err := h.lab.sw.connect(h.ns, h.iface, h.mac)
	if err != nil {
		return err
	}
	h.port = p
	if h.addr.IsValid() {
		if err := h.ns.replaceAddr(h.iface, h.addr); err != nil {
			return err
		}
	}
	return p.waitReady(ctx)
}

func (h *Host) setBridged(in bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.port.setBridged(in)
}

// setAddr makes a the host's only address; an invalid one leaves it none.
func (h *Host) setAddr(a netip.Prefix) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.ns.replaceAddr(h.iface, a); err != nil {
		return err
	}
	h.addr = a
	return nil
}

// Close removes the host: its processes, its interface, its namespace; of one
// that was attached only the interface. Lab.Close does it too.
func (h *Host) Close() error {
	if h.conn != nil {
		_ = h.conn.Close()
	}
	if !h.attached {
		h.ns.close()
		return nil
	}
	if h.port != nil {
		_ = h.Delete() // it may be gone with the machine
	}
	return nil
}
