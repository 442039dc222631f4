package reach

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// way returns nil when, as far as this machine can know, the way to a is open:
// there is a route, and the router that it begins with answers. Without that
// nobody's silence says anything.
func way(a netip.Addr) error {
	routes, err := netlink.RouteGet(a.AsSlice())
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EACCES):
		return errNoRoute
	case err != nil || len(routes) == 0:
		return nil // it cannot be known
	}
	router, ok := netip.AddrFromSlice(routes[0].Gw)
	if !ok {
		return nil // on a network of this machine's own, or into a tunnel
	}
	router = router.Unmap()
	family := netlink.FAMILY_V4
	if router.Is6() {
		family = netlink.FAMILY_V6
	}
	neighbours, err := netlink.NeighList(routes[0].LinkIndex, family)
	if err != nil {
		return nil
	}
	for _, n := range neighbours {
		if at, _ := netip.AddrFromSlice(n.IP); at.Unmap() == router && n.State&(unix.NUD_FAILED|unix.NUD_INCOMPLETE) != 0 {
			return fmt.Errorf("the router %s does not answer", router)
		}
	}
	return nil
}
