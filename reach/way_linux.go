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
	// a router is asked while all is well, to know whether it answers pings at all:
	// routerTries times, as one ping may be lost.
	routerFresh, routerAgain = time.Second, 10 * time.Minute
	routerTries              = 3
)

// routers remembers which routers answer pings: their silence says something.
type routers struct {
	ping  func(context.Context, netip.Addr) error
	mu    sync.Mutex
	known map[netip.Addr]router
}

type router struct {
	met, answered time.Time
	silent        bool // when it was met last
}

// way returns nil when, as far as this machine can know, the way to a is open:
// there is a route, and the router that it begins with answers. Without that
// nobody's silence says anything. The kernel takes up to a minute to notice that
// a router is gone, so one that answers pings is asked.
func (r *routers) way(ctx context.Context, a netip.Addr) error {
	first, gone, err := routerTo(a)
	switch {
	case err != nil || !first.IsValid():
		return err
	case !gone && r.get(first).met.IsZero(): // so its silence says nothing
		r.meet(ctx, first)
		return nil
	case !gone && (r.get(first).answered.IsZero() || r.answers(ctx, first)):
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("the router %s does not answer", first)
}

// learn finds out now and then whether the router on the way to a, who has just
// answered, answers pings.
func (r *routers) learn(ctx context.Context, a netip.Addr) {
	first, _, err := routerTo(a)
	if err == nil && first.IsValid() {
		r.meet(ctx, first)
	}
}

// meet finds out whether a router answers pings, if it was not asked lately. One
// that did and is silent twice, while others are reached through it, does no more:
// its silence would keep all of them home.
func (r *routers) meet(ctx context.Context, a netip.Addr) {
	now := time.Now()
	due := false
	r.set(a, func(k *router) {
		if due = now.Sub(k.met) > routerAgain; due {
			k.met = now
		}
	})
	if !due {
		return
	}
	for range routerTries {
		if r.answers(ctx, a) {
			return
		}
	}
	if ctx.Err() != nil {
		return
	}
	r.set(a, func(k *router) {
		if k.silent {
			k.answered = time.Time{}
		}
		k.silent = true
	})
}

func (r *routers) get(a netip.Addr) router {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[a]
}

func (r *routers) set(a netip.Addr, change func(*router)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[netip.Addr]router{}
	}
	k := r.known[a]
	change(&k)
	r.known[a] = k
}

// answers reports whether a router answers a ping, or just did.
func (r *routers) answers(ctx context.Context, a netip.Addr) bool {
	now := time.Now()
	if now.Sub(r.get(a).answered) < routerFresh {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, routerTime)
	defer cancel()
	if r.ping(ctx, a) != nil {
		return false
	}
	r.set(a, func(k *router) { k.answered, k.silent = now, false })
	return true
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
