package leases

import (
	"net/netip"
	"slices"
	"strings"

	"porchlight/presence"
)

// hosts reads a hosts file (hosts(5)): an address and its names, of which the
// first one counts, as does the first of several lines about one address.
type hosts struct {
	known map[netip.Addr]bool
	all   []presence.Told
}

func newHosts() *hosts { return &hosts{known: map[netip.Addr]bool{}} }

// nobodys are names that every machine has for itself.
var nobodys = []string{"localhost", "broadcasthost"}

func (h *hosts) line(text string) bool {
	text, _, _ = strings.Cut(text, "#")
	f := strings.Fields(text)
	if len(f) < 2 {
		return false
	}
	if _, err := netip.ParseAddr(f[0]); err != nil {
		return false
	}
	a, ok := hostAddr(f[0])
	name := hostName(f[1])
	if !ok || name == "" || h.known[a] || slices.Contains(nobodys, strings.ToLower(name)) {
		return true
	}
	if len(h.all) >= maxEntries {
		return false
	}
	h.known[a] = true
	h.all = append(h.all, presence.Told{Addr: a, Name: name})
	return true
}

func (h *hosts) told() []presence.Told { return h.all }
