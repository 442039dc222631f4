package reach

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// routerTime is how long a router may take to answer a ping.
	routerTime = time.Second
	// routerFresh is how long such an answer is good for, and routerAgain how often
	// a router is asked while all is well, to know whether it answers pings at all.
	routerFresh, routerAgain = time.Second, 10 * time.Minute
)

// routers remembers which routers answer pings: their silence says something.
type routers struct {
	mu    sync.Mutex
	known map[netip.Addr]router
}

type router struct{ asked, answered time.Time }

// way returns nil when, as far as this machine can know, the way to a is open:
// there is a route, and the router that it begins with answers. Without that
// nobody's silence says anything. The kernel takes up to a minute to notice that
// a router is gone, so one that answers pings is asked.
func (r *routers) way(ctx context.Context, a netip.Addr) error {
	first, gone, err := routerTo(a)
	switch {
	case err != nil || !first.IsValid():
		return err
	case !gone && r.get(first).asked.IsZero(): // it was never asked before, so its silence says nothing
		r.ping(ctx, first)
		return nil
	case !gone && (r.get(first).answered.IsZero() || r.ping(ctx, first)):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("the router %s does not answer", first)
}

// learn finds out now and then whether the router on the way to a answers pings.
func (r *routers) learn(ctx context.Context, a netip.Addr) {
	first, _, err := routerTo(a)
	if err == nil && first.IsValid() && time.Since(r.get(first).asked) > routerAgain {
		r.ping(ctx, first)
	}
}

func (r *routers) get(a netip.Addr) router {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[a]
}

// ping reports whether a router answers, or just did.
func (r *routers) ping(ctx context.Context, a netip.Addr) bool {
	was := r.get(a)
	if time.Since(was.answered) < routerFresh {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, routerTime)
	defer cancel()
	now := time.Now()
	was.asked = now
	answers := ping(ctx, a) == nil
	if answers {
		was.answered = now
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[netip.Addr]router{}
	}
	r.known[a] = was
	return answers
}

// routerTo returns the router that the way to a begins with; it is invalid when
// a is on a network of this machine's own, or in a tunnel. gone is set when the
// kernel has given it up. The error says that there is no route.
func routerTo(a netip.Addr) (first netip.Addr, gone bool, err error) {
	routes, err := netlink.RouteGet(a.AsSlice())
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EACCES):
		return first, false, errNoRoute
	case len(routes) == 0: // for another reason: it cannot be known
		return first, false, nil //nolint:nilerr // no reason to doubt the way
	}
	link := routes[0].LinkIndex
	first, ok := netip.AddrFromSlice(routes[0].Gw)
	if !ok {
		return netip.Addr{}, false, nil
	}
	first = first.Unmap()
	family := netlink.FAMILY_V4
	if first.Is6() {
		family = netlink.FAMILY_V6
	}
	neighbours, _ := netlink.NeighList(link, family)
	for _, n := range neighbours {
		if at, _ := netip.AddrFromSlice(n.IP); at.Unmap() == first {
			gone = n.State&(unix.NUD_FAILED|unix.NUD_INCOMPLETE) != 0
		}
	}
	if first.IsLinkLocalUnicast() && first.Is6() {
		i, err := net.InterfaceByIndex(link)
		if err != nil {
			return netip.Addr{}, false, nil //nolint:nilerr // it has just gone, and the route with it
		}
		first = first.WithZone(i.Name)
	}
	return first, gone, nil
}
