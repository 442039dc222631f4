package doctor

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// By default Linux answers ARP on each interface for the addresses of all of
// them (arp_ignore in the kernel's ip-sysctl.rst). Where two are on one segment,
// that is called ARP flux: devices learn one interface's MAC for the other's
// address.

const fluxRemedy = "sudo sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2"

// flux finds interfaces on one subnet, one of which at least is listened on.
func (n network) flux(names []string) (found []Finding) {
	for i, a := range n.links {
		for _, b := range n.links[i+1:] {
			if !slices.Contains(names, a.name) && !slices.Contains(names, b.name) {
				continue
			}
			if p, shared := sharedSubnet(a, b); shared && (a.answersForAll || b.answersForAll) {
				found = append(found, warn("interface",
					fmt.Sprintf("%s and %s are both on %s: either answers for the other's address (ARP flux), and this machine may show up as a device.", a.name, b.name, p),
					"Turn one of them off, or: "+fluxRemedy))
			}
		}
	}
	return found
}

// Flux says in words, remedy included, which of the interfaces that are listened
// on are on one segment and answer for each other's addresses. crossed are pairs
// of interfaces of which one has heard the other's own frames.
func Flux(names []string, crossed [][2]string) ([]string, error) {
	n, err := readNetwork()
	if err != nil {
		return nil, err
	}
	return n.fluxAmong(names, crossed), nil
}

func (n network) fluxAmong(names []string, crossed [][2]string) (all []string) {
	for i, name := range names {
		a, _ := n.link(name)
		for _, other := range names[i+1:] {
			b, _ := n.link(other)
			p, shared := sharedSubnet(a, b)
			where := "are both on " + p.String()
			if !shared {
				shared = slices.Contains(crossed, [2]string{name, other}) || slices.Contains(crossed, [2]string{other, name})
				where = "hear each other, so they are on one segment"
			}
			if shared && (a.answersForAll || b.answersForAll) {
				all = append(all, fmt.Sprintf("%s and %s %s: either answers for the other's address (ARP flux): leave one of them out, or: %s",
					name, other, where, fluxRemedy))
			}
		}
	}
	return all
}

func sharedSubnet(a, b link) (netip.Prefix, bool) {
	if !a.up || !b.up || !a.carrier || !b.carrier || a.encap != "ether" || b.encap != "ether" {
		return netip.Prefix{}, false
	}
	for _, p := range a.prefixes {
		for _, q := range b.prefixes {
			if p.Overlaps(q) {
				return p.Masked(), true
			}
		}
	}
	return netip.Prefix{}, false
}

// answersForAll reports whether the kernel answers on the interface for the
// addresses of others: the greater of a setting for all and for one counts.
func answersForAll(name string) bool {
	set := func(key string) bool {
		return sysctl("all", key) > 0 || sysctl(name, key) > 0
	}
	return !set("arp_ignore") && !set("arp_filter")
}

// sysctl reads an IPv4 setting of an interface; 0 where it cannot be read. The
// kernel answers for the network namespace of the calling thread.
func sysctl(name, key string) int {
	text, _ := os.ReadFile(filepath.Join("/proc/sys/net/ipv4/conf", name, key))
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}
