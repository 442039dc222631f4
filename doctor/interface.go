package doctor

import (
	"fmt"
	"net/netip"
	"strings"
)

// check looks at the interfaces that are listened on. set is what the user
// named; empty for the default route's. swept is set when the user named the
// networks to sweep.
func (n network) check(set []string, swept bool) []Finding {
	const check = "interface"
	names := n.chosen(set)
	if len(names) == 0 {
		return []Finding{fail(check, "No interface is set, and there is no default route to take one from.",
			"Set PORCHLIGHT_INTERFACES to one of "+n.candidates()+".")}
	}
	var found []Finding
	for _, name := range names {
		l, exists := n.link(name)
		if !exists {
			found = append(found, fail(check, fmt.Sprintf("There is no interface %s.", name),
				"Set PORCHLIGHT_INTERFACES to one of "+n.candidates()+"."))
			continue
		}
		if f, deaf := n.deaf(l); deaf {
			found = append(found, f)
			continue
		}
		limits := l.limits(swept)
		if len(limits) == 0 {
			limits = []Finding{ok(check, fmt.Sprintf("%s is up, with %s.", name, join(l.prefixes)))}
		}
		found = append(found, limits...)
	}
	return append(found, n.flux(names)...)
}

// deaf reports why nothing can be heard on l.
func (n network) deaf(l link) (Finding, bool) {
	const check = "interface"
	instead := "Set PORCHLIGHT_INTERFACES to one of " + n.candidates() + "."
	switch {
	case l.encap == "loopback":
		return fail(check, l.name+" is the loopback interface; no other device can be heard there.", instead), true
	case l.encap != "ether":
		return fail(check, fmt.Sprintf("%s is not an Ethernet interface (%s); there is no ARP and no DHCP on it.", l.name, l.sort()), instead), true
	case l.noARP:
		return fail(check, fmt.Sprintf("%s does not use ARP (%s), so devices cannot be asked there.", l.name, l.sort()), instead), true
	case !l.up:
		return fail(check, l.name+" is down.", "sudo ip link set "+l.name+" up"), true
	case !l.carrier:
		return fail(check, l.name+" has no carrier: the cable is not plugged in, or the Wi-Fi is not connected.",
			"Connect it; Porchlight goes on by itself then."), true
	}
	return Finding{}, false
}

// ready reports whether something can be heard on the interface.
func (n network) ready(name string) bool {
	l, exists := n.link(name)
	_, deaf := n.deaf(l)
	return exists && !deaf
}

// limits says what works on l only in part.
func (l link) limits(swept bool) (found []Finding) {
	const check = "interface"
	if l.master != "" {
		found = append(found, warn(check, fmt.Sprintf("%s is a port of %s.", l.name, l.master),
			"Set PORCHLIGHT_INTERFACES to "+l.master+"."))
	}
	if len(l.prefixes) == 0 && l.master == "" {
		text, remedy := " has no IPv4 address: devices are asked from 0.0.0.0, which a few do not answer", "Give it an address"
		if !swept {
			text, remedy = text+", and nothing is swept", remedy+", or set PORCHLIGHT_SWEEP_PREFIXES to the network that is to be swept"
		}
		found = append(found, warn(check, l.name+text+".", remedy+"."))
	}
	for _, p := range l.prefixes {
		if p.Bits() < 16 && !swept {
			found = append(found, warn(check, fmt.Sprintf("%s has %s, a network of more than 65,536 addresses; a sweep covers a /16 at most.", l.name, p),
				"Set PORCHLIGHT_SWEEP_PREFIXES to the parts where devices are."))
		}
	}
	if l.wireless {
		found = append(found, warn(check, l.name+" is Wi-Fi: when the access point isolates its clients from one another, they cannot be heard.",
			"Use a cable, or turn client isolation (guest mode) off in the access point."))
	}
	return found
}

// checkIPv6 says whether devices that have IPv6 only can be asked on the
// interface called name.
func (n network) checkIPv6(name string) Finding {
	const check = "ipv6"
	if l, _ := n.link(name); !l.linkLocal.IsValid() {
		return warn(check, name+" has no IPv6 link-local address: devices that have IPv6 only are heard there, but cannot be asked, and leave late.",
			"If IPv6 is switched off there: sudo sysctl -w net/ipv6/conf/"+name+"/disable_ipv6=0")
	}
	return ok(check, name+" has an IPv6 address to ask from.")
}

// sort says what kind of interface l is, for one that is not a plain one.
func (l link) sort() string {
	if l.kind == "" || l.kind == "device" {
		return l.encap
	}
	return l.kind
}

// candidates lists the interfaces that could be listened on.
func (n network) candidates() string {
	var names []string
	for _, l := range n.links {
		if l.encap == "ether" && !l.noARP && l.master == "" {
			names = append(names, l.name)
		}
	}
	if len(names) == 0 {
		return "the machine's network cards (none is here now)"
	}
	return strings.Join(names, ", ")
}

func join(prefixes []netip.Prefix) string {
	var s []string
	for _, p := range prefixes {
		s = append(s, p.String())
	}
	return strings.Join(s, ", ")
}
