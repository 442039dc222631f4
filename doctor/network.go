package doctor

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"porchlight/presence"
)

// network is what this network namespace looks like.
type network struct {
	links      []link
	routes     []route // IPv4 default routes, the preferred one first
	neighbours []neighbour
}

// link is an interface.
type link struct {
	name        string
	index       int
	kind        string // of rtnetlink: "device", "veth", "bridge", "tun", "wireguard" ...
	encap       string // "ether", "loopback", "none" ...
	up, carrier bool
	noARP       bool
	wireless    bool
	far         bool   // its other end is in another network namespace: eth0@if12
	master      string // the bridge or bond that it is a port of
	mac         presence.MAC
	prefixes    []netip.Prefix // IPv4 addresses with the length of their subnets
	linkLocal   netip.Addr     // of IPv6; invalid: none

	answersForAll bool // to ARP requests for addresses of other interfaces
}

type route struct {
	link    string
	gateway netip.Addr // invalid: on the link
	metric  int
}

type neighbour struct {
	link string
	addr netip.Addr
	mac  presence.MAC // zero: not known now
}

// readNetwork asks the kernel by netlink, which answers for the namespace of
// the calling thread; /proc and /sys answer for others.
func readNetwork() (network, error) {
	var n network
	links, err := again(netlink.LinkList)
	if err != nil {
		return n, fmt.Errorf("listing interfaces: %w", err)
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	for _, l := range links {
		n.links = append(n.links, describe(l, names))
	}
	addrs, err := again(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return n, fmt.Errorf("listing addresses: %w", err)
	}
	for _, a := range addrs {
		ip, _ := netip.AddrFromSlice(a.IP)
		ip = ip.Unmap()
		bits, _ := a.Mask.Size()
		i := slices.IndexFunc(n.links, func(l link) bool { return l.index == a.LinkIndex })
		switch {
		case i < 0:
		case ip.Is4():
			n.links[i].prefixes = append(n.links[i].prefixes, netip.PrefixFrom(ip, bits))
		case ip.IsLinkLocalUnicast():
			n.links[i].linkLocal = ip
		}
	}
	routes, err := again(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return n, fmt.Errorf("listing routes: %w", err)
	}
	n.routes = defaultRoutes(routes, names)
	neighbours, err := again(func() ([]netlink.Neigh, error) { return netlink.NeighList(0, netlink.FAMILY_V4) })
	if err != nil {
		return n, fmt.Errorf("listing neighbours: %w", err)
	}
	for _, nb := range neighbours {
		addr, _ := netip.AddrFromSlice(nb.IP.To4())
		mac, _ := presence.MACFrom(nb.HardwareAddr)
		if nb.State&unix.NUD_NOARP == 0 && addr.IsValid() {
			n.neighbours = append(n.neighbours, neighbour{names[nb.LinkIndex], addr, mac})
		}
	}
	return n, nil
}

// again repeats a dump that a change interrupted.
func again[T any](dump func() ([]T, error)) (list []T, err error) {
	for range 5 {
		if list, err = dump(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return list, err
}

func describe(l netlink.Link, names map[int]string) link {
	a := l.Attrs()
	mac, _ := presence.MACFrom(a.HardwareAddr)
	return link{
		name:     a.Name,
		index:    a.Index,
		kind:     l.Type(),
		encap:    a.EncapType,
		up:       a.RawFlags&unix.IFF_UP != 0,
		carrier:  a.RawFlags&unix.IFF_LOWER_UP != 0,
		noARP:    a.RawFlags&unix.IFF_NOARP != 0,
		wireless: wireless(a.Name),
		far:      a.NetNsID >= 0,
		master:   names[a.MasterIndex],
		mac:      mac,

		answersForAll: answersForAll(a.Name),
	}
}

// wireless reports whether the interface is a Wi-Fi station.
func wireless(name string) bool {
	for _, mark := range []string{"phy80211", "wireless"} {
		if _, err := os.Stat(filepath.Join("/sys/class/net", name, mark)); err == nil {
			return true
		}
	}
	return false
}

func defaultRoutes(all []netlink.Route, names map[int]string) (routes []route) {
	for _, r := range all {
		if r.Dst != nil {
			if ones, _ := r.Dst.Mask.Size(); ones > 0 {
				continue
			}
		}
		hops := []*netlink.NexthopInfo{{LinkIndex: r.LinkIndex, Gw: r.Gw}}
		if len(r.MultiPath) > 0 {
			hops = r.MultiPath
		}
		for _, hop := range hops {
			gateway, _ := netip.AddrFromSlice(hop.Gw.To4())
			if name := names[hop.LinkIndex]; name != "" {
				routes = append(routes, route{name, gateway, r.Priority})
			}
		}
	}
	slices.SortStableFunc(routes, func(a, b route) int { return a.metric - b.metric })
	return routes
}

func (n network) link(name string) (link, bool) {
	i := slices.IndexFunc(n.links, func(l link) bool { return l.name == name })
	if i < 0 {
		return link{}, false
	}
	return n.links[i], true
}

// chosen returns the interfaces to listen on: those that are set, else the one
// of the preferred default route.
func (n network) chosen(set []string) []string {
	if len(set) > 0 {
		return set
	}
	for _, r := range n.routes {
		if l, ok := n.link(r.link); ok && l.encap == "ether" && !l.noARP {
			return []string{r.link} // rather than a VPN or a modem
		}
	}
	if len(n.routes) == 0 {
		return nil
	}
	return []string{n.routes[0].link}
}

// Interfaces returns the interfaces to listen on: those that are set, else the
// one of the preferred default route; none when there is no such route.
func Interfaces(set []string) ([]string, error) {
	n, err := readNetwork()
	if err != nil {
		return nil, err
	}
	return n.chosen(set), nil
}

// askable returns a few addresses on the interface that somebody probably
// answers for: the gateway's first.
func (n network) askable(name string) []netip.Addr {
	const most = 8
	var addrs []netip.Addr
	add := func(link string, a netip.Addr) {
		if link == name && a.IsValid() && len(addrs) < most && !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	for _, r := range n.routes {
		add(r.link, r.gateway)
	}
	for _, nb := range n.neighbours {
		add(nb.link, nb.addr)
	}
	return addrs
}
