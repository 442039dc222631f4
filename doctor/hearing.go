package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"porchlight/arpwatch"
	"porchlight/presence"
)

const (
	listenFor = 3 * time.Second
	askEvery  = 400 * time.Millisecond
)

// listener is what checkHearing needs of an arpwatch.Watcher.
type listener interface {
	Run(context.Context) error
	Probe(presence.Probe) error
}

// checkHearing listens on an interface and asks a few addresses by ARP, until
// anybody is heard.
func checkHearing(ctx context.Context, name string, addrs []netip.Addr) Finding {
	heard := make(chan presence.Sighting, 1)
	w, err := arpwatch.New(arpwatch.Config{
		Interface: name,
		Sight: func(s presence.Sighting) {
			select {
			case heard <- s:
			default:
			}
		},
	})
	if err != nil {
		return fail("hearing", fmt.Sprintf("Listening on %s is not possible: %v.", name, err), "Please report this.")
	}
	return hearing(ctx, w, name, addrs, heard)
}

// hearing runs l on the calling goroutine, so that it stays in the network
// namespace of a locked thread.
func hearing(ctx context.Context, l listener, name string, addrs []netip.Addr, heard <-chan presence.Sighting) Finding {
	const check = "hearing"
	ctx, cancel := context.WithTimeout(ctx, listenFor)
	defer cancel()
	first := make(chan *presence.Sighting, 1)
	go func() {
		defer cancel()
		first <- ask(ctx, l, name, addrs, heard)
	}()
	err := l.Run(ctx)
	cancel()
	s := <-first
	switch {
	case s != nil:
		return ok(check, fmt.Sprintf("%s hears: %s from %s.", name, s.Kind, s.MAC))
	case err != nil:
		return fail(check, fmt.Sprintf("Listening on %s failed: %v.", name, err), "See the other findings.")
	case len(addrs) == 0:
		return warn(check, fmt.Sprintf("Nothing was heard on %s in %d s, and no neighbour is known that could be asked.", name, int(listenFor.Seconds())),
			"Check that it is the interface of your LAN.")
	}
	return warn(check, fmt.Sprintf("Nobody answers on %s; asked in %d s: %s.", name, int(listenFor.Seconds()), joinAddrs(addrs)),
		"Check the cable, the VLAN of the switch's port, and client isolation in the access point.")
}

// ask asks until somebody is heard; nil when ctx ended before.
func ask(ctx context.Context, l listener, name string, addrs []netip.Addr, heard <-chan presence.Sighting) *presence.Sighting {
	ticks := time.NewTicker(askEvery)
	defer ticks.Stop()
	for {
		select {
		case s := <-heard:
			return &s
		case <-ctx.Done():
			return nil
		case <-ticks.C:
			for _, a := range addrs {
				// What cannot be sent shows in what is not heard.
				_ = l.Probe(presence.Probe{Interface: name, Addr: a, Broadcast: true})
			}
		}
	}
}

func joinAddrs(addrs []netip.Addr) string {
	var s []string
	for _, a := range addrs {
		s = append(s, a.String())
	}
	return strings.Join(s, ", ")
}
