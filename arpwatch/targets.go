package arpwatch

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"porchlight/capture"
)

// maxSweep is the largest subnet, as prefix length, that a sweep asks through.
const maxSweep = 16

// maxTargets bounds what several prefixes can add up to.
const maxTargets = 4 << maxSweep

// ownRanges is what to sweep on an interface by itself: its subnets, of one
// larger than a /16 only the /16 around its address. Link-local addresses
// (RFC 3927) are left out: their 65,024 possible hosts are no subnet that
// anyone planned.
func ownRanges(link capture.Link, log *slog.Logger) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range link.Prefixes {
		switch {
		case p.Addr().IsLinkLocalUnicast() || p.Bits() == 32:
			continue
		case p.Bits() < maxSweep:
			cut := netip.PrefixFrom(p.Addr(), maxSweep)
			log.Info("subnet is too large to sweep: asking the part around the own address", "subnet", p.Masked(), "part", cut.Masked())
			p = cut
		}
		out = append(out, p)
	}
	return out
}

// checkRanges refuses prefixes that a sweep cannot ask through.
func checkRanges(ps []netip.Prefix) error {
	n := 0
	for _, p := range ps {
		if !p.IsValid() || !p.Addr().Is4() {
			return fmt.Errorf("prefix %s: not an IPv4 prefix such as 192.168.1.0/24", p)
		}
		if p.Bits() < maxSweep {
			return fmt.Errorf("prefix %s: at most a /%d can be swept: name the parts in use", p, maxSweep)
		}
		n += 1 << (32 - p.Bits())
	}
	if n > maxTargets {
		return fmt.Errorf("%d addresses are too many: at most %d at once: name fewer prefixes", n, maxTargets)
	}
	return nil
}

// hosts lists every host address of the prefixes in rising order, each once:
// without the network and broadcast addresses (which a /31, RFC 3021, and a
// /32 do not have), without what cannot be a host, and without the link's own.
func hosts(ps []netip.Prefix, link capture.Link) []netip.Addr {
	var out []netip.Addr
	for _, p := range ps {
		first := binary.BigEndian.Uint32(p.Masked().Addr().AsSlice())
		size := uint32(1) << (32 - p.Bits())
		from, to := uint32(0), size
		if size > 2 {
			from, to = 1, size-1
		}
		for i := from; i < to; i++ {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], first+i)
			if a := netip.AddrFrom4(b); host(a) && !own(link, a) {
				out = append(out, a)
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// own reports whether a is one of the link's own addresses.
func own(link capture.Link, a netip.Addr) bool {
	return slices.ContainsFunc(link.Prefixes, func(p netip.Prefix) bool { return p.Addr() == a })
}
