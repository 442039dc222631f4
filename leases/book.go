package leases

import (
	"cmp"
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"porchlight/presence"
)

// book is the leases in force, by address.
type book struct {
	leases map[netip.Addr]entry
	n      int
}

type entry struct {
	presence.Told
	n int // its place in the order of the file
}

func newBook() book { return book{leases: map[netip.Addr]entry{}} }

// put notes a lease, in place of what was known of its address. It reports
// false when there is no room.
func (b *book) put(t presence.Told) bool {
	if _, known := b.leases[t.Addr]; !known && len(b.leases) >= maxEntries {
		return false
	}
	b.n++
	b.leases[t.Addr] = entry{t, b.n}
	return true
}

// drop forgets the lease of an address.
func (b *book) drop(a netip.Addr) { delete(b.leases, a) }

func (b *book) told() []presence.Told {
	entries := slices.SortedFunc(maps.Values(b.leases), func(x, y entry) int { return cmp.Compare(x.n, y.n) })
	told := make([]presence.Told, len(entries))
	for i, e := range entries {
		told[i] = e.Told
	}
	return told
}

// blank reports whether there is nothing in a line but blanks and a comment.
func blank(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || line[0] == '#'
}

// hostName makes what a file says of a device fit to be its host name. It is
// empty when the file says nothing.
func hostName(s string) string {
	if s == "*" { // dnsmasq's way to say so
		return ""
	}
	return presence.CleanHostName(s)
}

// hostAddr reads the address of one station.
func hostAddr(s string) (a netip.Addr, ok bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	a = a.Unmap()
	return a, a.IsGlobalUnicast() || a.IsLinkLocalUnicast()
}

// stationMAC reads the MAC of one station; zero when it is none.
func stationMAC(s string) (m presence.MAC, ok bool) {
	const length = len("00:16:3e:00:00:01")
	m, err := presence.ParseMAC(s)
	if len(s) != length || err != nil || !m.Station() {
		return presence.MAC{}, false
	}
	return m, true
}

// duidMAC returns the MAC in a DUID of the types LLT and LL (RFC 8415, sections
// 11.2 and 11.4), written as hex digits with colons; zero when there is none.
func duidMAC(s string) presence.MAC {
	b, err := hex.DecodeString(strings.ReplaceAll(s, ":", ""))
	if err != nil || len(b) < 4 || b[0] != 0 || b[2] != 0 || b[3] != 1 { // hardware type 1: Ethernet
		return presence.MAC{}
	}
	var m presence.MAC
	switch {
	case b[1] == 1 && len(b) == 14:
		m = presence.MAC(b[8:])
	case b[1] == 3 && len(b) == 10:
		m = presence.MAC(b[4:])
	}
	if !m.Station() {
		return presence.MAC{}
	}
	return m
}
