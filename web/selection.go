package web

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"porchlight/connections"
	"porchlight/presence"
)

// selection chooses connections. An empty field lets all through.
type selection struct {
	Text      string // in anything that the page shows of it, in any case
	Program   string
	Remote    string // an address, a network, or a part of a device's name
	Device    string // its name
	Listening bool
	Only      string // one connection, as keyOf names it

	network       netip.Prefix // that Remote is, if it is one
	protocol      string       // of Only
	local, remote netip.AddrPort
}

// maxAsked bounds what one asks for, in bytes: more than any name has.
const maxAsked = 128

// selectionOf reads a query: q, program, remote, device, listening, only.
func selectionOf(q url.Values) selection {
	get := func(name string) string { return presence.CleanText(q.Get(name), maxAsked) }
	s := selection{
		Text: strings.ToLower(get("q")), Program: get("program"), Remote: get("remote"), Device: get("device"),
		Listening: q.Get("listening") != "", Only: get("only"),
	}
	if a, err := netip.ParseAddr(s.Remote); err == nil {
		a = a.Unmap().WithZone("")
		s.network = netip.PrefixFrom(a, a.BitLen())
	} else if p, err := netip.ParsePrefix(s.Remote); err == nil {
		s.network = p
	}
	if parts := strings.Split(s.Only, ","); len(parts) == 3 {
		s.protocol = parts[0]
		s.local, _ = netip.ParseAddrPort(parts[1]) // zero: none is like that
		s.remote, _ = netip.ParseAddrPort(parts[2])
	}
	return s
}

// keyOf names a connection, for Only.
func keyOf(c *connections.Connection) string {
	key := c.Protocol + "," + c.Local.String() + ","
	if c.Remote.IsValid() {
		key += c.Remote.String()
	}
	return key
}

// any reports whether anything is chosen.
func (s *selection) any() bool {
	return s.Text+s.Program+s.Remote+s.Device+s.Only != "" || s.Listening
}

// of returns the connections that s lets through.
func (s *selection) of(all []connections.Connection) (chosen []connections.Connection) {
	if !s.any() {
		return all
	}
	var line []byte
	for i := range all {
		c := &all[i]
		if !s.fits(c) {
			continue
		}
		if s.Text != "" {
			line = appendSearched(line[:0], c)
			if !strings.Contains(string(line), s.Text) {
				continue
			}
		}
		chosen = append(chosen, *c)
	}
	return chosen
}

func (s *selection) fits(c *connections.Connection) bool {
	return (s.Program == "" || c.Program() == s.Program) &&
		(s.Device == "" || c.Device == s.Device) &&
		(s.Remote == "" || s.atRemote(c)) &&
		(!s.Listening || c.Listening()) &&
		(s.Only == "" || c.Protocol == s.protocol && c.Local == s.local && c.Remote == s.remote)
}

func (s *selection) atRemote(c *connections.Connection) bool {
	if s.network.IsValid() {
		return s.network.Contains(c.Remote.Addr().WithZone("").Unmap())
	}
	return strings.Contains(strings.ToLower(c.Device), strings.ToLower(s.Remote))
}

// appendSearched appends what one can search of c, in lower case. The command
// line is not among it: it is not shown either.
func appendSearched(line []byte, c *connections.Connection) []byte {
	add := func(text string) { line = append(append(line, strings.ToLower(text)...), '\n') }
	add(c.Protocol)
	add(string(c.State))
	line = append(c.Local.AppendTo(line), '\n')
	if c.Remote.IsValid() {
		line = append(c.Remote.AppendTo(line), '\n')
	}
	add(c.Device)
	add(c.Interface)
	add(userOf(c))
	if p := c.Process; p != nil {
		add(p.Name)
		add(p.Container)
		line = fmt.Appendf(line, "%d\n", p.PID)
	}
	return line
}

// userOf is whose process it is, or who made the socket.
func userOf(c *connections.Connection) string {
	if c.Process != nil && c.Process.User != "" {
		return c.Process.User
	}
	return c.User
}

// filters are the filters for the packets of what is chosen; Fault says why
// there are none.
type filters struct {
	connections.Filter
	Fault string
}

var errNothing = errors.New("there is no such connection")

// filter returns the filter for the chosen connections. Of a device or an address
// alone it is for all that it says, connected or not.
func (s *selection) filter(chosen []connections.Connection, who *people) (connections.Filter, error) {
	rest := *s
	rest.Device, rest.Remote = "", ""
	switch one := s.network.IsValid() && s.network.IsSingleIP(); {
	case rest.any():
	case s.Device != "" && s.Remote == "":
		if hosts := who.addresses(s.Device); len(hosts) > 0 {
			return connections.FilterForHosts(hosts)
		}
	case s.Device == "" && one:
		return connections.FilterForHosts([]netip.Addr{s.network.Addr()})
	}
	if len(chosen) == 0 {
		return connections.Filter{}, errNothing
	}
	return connections.FilterForMany(chosen)
}

func filtersOf(f connections.Filter, err error) filters {
	if err != nil {
		return filters{Fault: err.Error()}
	}
	return filters{Filter: f}
}

// selectable are the values that a selection and its pages have in a query.
var selectable = []string{"snapshot", "a", "b", "by", "q", "program", "remote", "device", "listening", "only", "page", "before"}

// chosenQuery returns the query with these names changed to these values; the
// page is the first again unless it is among them.
func chosenQuery(q url.Values, change ...string) string {
	to := url.Values{}
	for _, name := range selectable {
		if value := q.Get(name); value != "" && name != "page" {
			to.Set(name, value)
		}
	}
	for pair := range slices.Chunk(change, 2) {
		if to.Set(pair[0], pair[1]); pair[1] == "" {
			to.Del(pair[0])
		}
	}
	return "?" + to.Encode()
}
