package main

import (
	"log/slog"
	"slices"

	"github.com/vishvananda/netlink"

	"porchlight/bridge"
	"porchlight/config"
	"porchlight/hostapd"
)

// newHostapd returns who listens to this machine's own access points. b is made
// after it.
func newHostapd(names []string, cfg config.Config, b **bridge.Bridge, log *slog.Logger) *hostapd.Watcher {
	return hostapd.New(hostapd.Config{
		Sockets:   cfg.HostapdSockets,
		Interface: func(ap string) string { return hearsOf(ap, names) },
		Sight:     lateEar{b}.Sight,
		Lost:      func(ap string) { (*b).LoseAP(ap) },
		Log:       log,
	})
}

// hearsOf returns which of the interfaces that are listened to hears the
// stations of an access point: its own, or the bridge that it is in, or another
// one in that. A single one is taken to, where hostapd runs elsewhere.
func hearsOf(ap string, names []string) string {
	if slices.Contains(names, ap) {
		return ap
	}
	if link, err := netlink.LinkByName(ap); err == nil && link.Attrs().MasterIndex != 0 {
		for _, name := range names {
			l, err := netlink.LinkByName(name)
			if err == nil && (l.Attrs().Index == link.Attrs().MasterIndex || l.Attrs().MasterIndex == link.Attrs().MasterIndex) {
				return name
			}
		}
	}
	if len(names) == 1 {
		return names[0]
	}
	return ""
}
