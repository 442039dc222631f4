package devicefile

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"porchlight/presence"
)

// macList reads the MACs of a device that has several; mac, where that is given
// too, comes before them.
func (p *parser) macList(n *yaml.Node, d *presence.Declaration) {
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		p.fault(n, "macs", "want a list such as [02:00:5e:10:00:01, 02:00:5e:10:00:02]")
		return
	}
	if len(n.Content) > presence.MaxMACs {
		p.fault(n, "macs", "want at most %d", presence.MaxMACs)
		return
	}
	for _, m := range n.Content {
		d.MACs = append(d.MACs, p.mac(m, "macs"))
	}
}

// madeUp is the address of a device that is known by where it is reached only.
func (p *parser) madeUp(n *yaml.Node, d *presence.Declaration) (m presence.MAC) {
	switch {
	case d.Name == nil || *d.Name == "":
		p.fault(n, "name", "is missing: a device without a mac needs one")
	case d.Reach == nil: // which has been told
	case len(*d.Reach) == 0:
		p.fault(n, "mac", "is missing")
	default:
		to := (*d.Reach)[0].Addr
		m = presence.ReachMAC(to)
		if p.lines[m] > 0 {
			p.fault(n, "reach", "%s has an entry in line %d already", to, p.lines[m])
		} else {
			p.countWays(n, d.Reach)
		}
		p.lines[m] = n.Line
	}
	return m
}

// countWays tells of two devices that are reached in the same way: whoever answers
// would make both of them home.
func (p *parser) countWays(n *yaml.Node, ways *[]presence.Reach) {
	if ways == nil {
		return
	}
	for _, r := range *ways {
		if other := p.ways[r]; other != nil && other != n {
			p.fault(n, "reach", "%s is where the device in line %d is asked already", r, other.Line)
			return
		}
		p.ways[r] = n
	}
}

// followed reads true or false, or what the device is known by.
func followed(n *yaml.Node, c *presence.Change) string {
	const want = "want true, or any of host_name, client_id and fingerprint, such as {host_name: Annas-iPhone}"
	f := presence.Follow{}
	if n.Kind != yaml.MappingNode {
		var on *bool
		if n.Kind != yaml.ScalarNode || flag(n, &on) != "" {
			return want + got(n)
		}
		f.Same = *on
		c.Follow = &f
		return ""
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		to := map[string]*string{"host_name": &f.HostName, "client_id": &f.ClientID, "fingerprint": &f.Fingerprint}[key.Value]
		if to == nil || value.Kind != yaml.ScalarNode || isNull(value) || *to != "" {
			return want
		}
		s, fault := line(value.Value, 255)
		if fault != "" {
			return key.Value + ": " + fault
		}
		if *to = s; s == "" {
			return want
		}
	}
	if f = f.Clean(); f == (presence.Follow{}) {
		return want
	}
	c.Follow = &f
	return ""
}

// claim is what a device of the file follows.
type claim struct {
	line int
	presence.Follow
}

// countClaims tells of two devices that follow the same host name, client id or
// fingerprint, and nothing else that tells them apart: neither would be followed.
func (p *parser) countClaims(n *yaml.Node, f *presence.Follow) {
	if f == nil || f.Same || *f == (presence.Follow{}) {
		return
	}
	own := *f
	own.HostName = strings.ToLower(own.HostName)
	for _, c := range p.claims[own.HostName] {
		if apart(c.ClientID, own.ClientID) || apart(c.Fingerprint, own.Fingerprint) {
			continue
		}
		what := "host name " + f.HostName
		if f.HostName == "" {
			what = "client id or fingerprint"
		}
		p.fault(n, "follow", "the %s is what the device in line %d follows already", shown(what), c.line)
		return
	}
	p.claims[own.HostName] = append(p.claims[own.HostName], claim{n.Line, own})
}

// apart reports whether a device cannot have both a and b.
func apart(a, b string) bool { return a != "" && b != "" && a != b }
