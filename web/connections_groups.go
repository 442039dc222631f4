package web

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"porchlight/connections"
)

// group is what one program does, or all with one remote end.
type group struct {
	program string
	addr    netip.Addr // of the remote end
	device  string

	connections, listeners int
	sent, received         uint64
	users                  map[string]bool // or programs, of a remote end
	ends                   map[netip.Addr]bool
	ports                  map[string]bool // that are listened on, as protocol and number
}

// groupBy divides connections by program or by the remote end, those with most
// connections first. Of a remote end there are those only that have one.
func groupBy(all []connections.Connection, remote bool) []group {
	type key struct {
		program string
		addr    netip.Addr
	}
	at := map[key]int{}
	var groups []group
	for i := range all {
		c := &all[i]
		k, member := key{program: c.Program()}, userOf(c)
		if remote {
			if !c.Remote.IsValid() {
				continue
			}
			k, member = key{addr: c.Remote.Addr().WithZone("")}, c.Program()
		}
		n, known := at[k]
		if !known {
			n = len(groups)
			at[k] = n
			groups = append(groups, group{program: k.program, addr: k.addr, users: map[string]bool{}, ends: map[netip.Addr]bool{}, ports: map[string]bool{}})
		}
		groups[n].add(c, member)
	}
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(b.connections+b.listeners, a.connections+a.listeners), cmp.Compare(a.program, b.program), a.addr.Compare(b.addr))
	})
	return groups
}

func (g *group) add(c *connections.Connection, member string) {
	if c.Listening() {
		g.listeners++
		g.ports[c.Protocol+" "+strconv.Itoa(int(c.Local.Port()))] = true
	} else {
		g.connections++
	}
	if c.Remote.IsValid() {
		g.ends[c.Remote.Addr()] = true
	}
	g.sent += c.Sent
	g.received += c.Received
	g.device = cmp.Or(g.device, c.Device)
	if member != "" {
		g.users[member] = true
	}
}

// maxNamed is how many names a cell has room for.
const maxNamed = 6

// few are some of the names, and how many more there are.
func few(names map[string]bool) string {
	all := make([]string, 0, len(names))
	for name := range names {
		all = append(all, name)
	}
	slices.Sort(all)
	if more := len(all) - maxNamed; more > 0 {
		all = append(all[:maxNamed], "and "+strconv.Itoa(more)+" more")
	}
	return strings.Join(all, ", ")
}

func (m *rows) groups(groups []group, remote bool) {
	if remote {
		m.add(`<thead><tr><th scope="col">Remote end</th><th scope="col" class="number">Connections</th><th scope="col">Programs</th><th scope="col" class="number">Sent</th><th scope="col" class="number">Received</th></tr></thead>` + "\n<tbody>\n")
	} else {
		m.add(`<thead><tr><th scope="col">Program</th><th scope="col">Users</th><th scope="col" class="number">Connections</th><th scope="col" class="number">Remote ends</th><th scope="col">Listens on</th><th scope="col" class="number">Sent</th><th scope="col" class="number">Received</th></tr></thead>` + "\n<tbody>\n")
	}
	for i := range groups {
		m.group(&groups[i], remote)
	}
	m.add("</tbody>")
}

func (m *rows) group(g *group, remote bool) {
	m.add(`<tr><th scope="row">`)
	switch {
	case remote:
		m.add(`<a href="%"><bdi>%</bdi></a>`, m.to("remote", g.addr.String(), "by", ""), g.addr.String())
		if g.device != "" {
			m.add("<br>")
			m.device(m.root, m.who.id(g.addr, g.device), g.device)
		}
	case g.program == "":
		m.add(`<span class="soft">not known</span>`)
	default:
		m.add(`<a href="%"><bdi>%</bdi></a>`, m.to("program", g.program, "by", ""), g.program)
	}
	m.add("</th>")
	if remote {
		m.add(`<td class="number">%</td><td><bdi>%</bdi></td>`, strconv.Itoa(g.connections), few(g.users))
	} else {
		m.add(`<td><bdi>%</bdi></td><td class="number">%</td><td class="number">%</td><td>%</td>`, few(g.users), strconv.Itoa(g.connections), strconv.Itoa(len(g.ends)), few(g.ports))
	}
	m.add(`<td class="number">%</td><td class="number">%</td></tr>`+"\n", connections.BytesText(g.sent), connections.BytesText(g.received))
}
