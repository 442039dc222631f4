package leases

import (
	"slices"
	"strings"

	"porchlight/presence"
)

// dhcpd reads the lease file of ISC dhcpd and of OpenBSD's (dhcpd.leases(5)):
// declarations such as
//
//	lease 192.168.1.50 {
//	  ends 4 2026/11/20 16:00:00;
//	  binding state active;
//	  hardware ethernet 00:16:3e:00:00:01;
//	  client-hostname "kettle";
//	}
//
// Each change of a lease is added at the end, so the last one counts. Other
// declarations are passed over.
type dhcpd struct {
	book
	statement []string // the words so far of the one that is being read
	depth     int      // of braces
	lease     *dhcpdLease
}

type dhcpdLease struct {
	presence.Told
	state     string // empty: OpenBSD's have none, and are in force
	abandoned bool
}

func newDhcpd() *dhcpd { return &dhcpd{book: newBook()} }

// maxWords bounds a statement; what is read here has at most three words.
const maxWords = 16

var dhcpdWords = []string{
	"lease", "host", "group", "subgroup", "server-duid", "authoring-byte-order", "failover", "ia-na", "ia-ta", "ia-pd", "default-duid",
}

func isDhcpd(line string) bool {
	words, ok := splitDhcpd(line)
	return ok && len(words) >= 3 && slices.Contains(dhcpdWords, words[0])
}

func (d *dhcpd) line(text string) bool {
	words, ok := splitDhcpd(text)
	for _, word := range words {
		switch word {
		case ";":
			d.end()
		case "{":
			ok = d.open() && ok
		case "}":
			ok = d.close() && ok
		default:
			if len(d.statement) < maxWords {
				d.statement = append(d.statement, word)
			}
		}
	}
	return ok
}

// open begins a declaration.
func (d *dhcpd) open() (ok bool) {
	head := d.statement
	d.statement = nil
	d.depth++
	if len(head) != 2 || head[0] != "lease" {
		return true
	}
	// Leases stand in nothing else: what is still open was torn off.
	ok = d.depth == 1
	d.depth, d.lease = 1, nil
	a, valid := hostAddr(head[1])
	if valid && a.Is4() {
		d.lease = &dhcpdLease{Told: presence.Told{Addr: a}}
	}
	return ok && valid
}

// end takes a statement of a lease.
func (d *dhcpd) end() {
	words := d.statement
	d.statement = nil
	if d.lease == nil || d.depth != 1 || len(words) == 0 {
		return
	}
	last := words[len(words)-1]
	switch {
	case len(words) == 3 && words[0] == "hardware" && words[1] == "ethernet":
		d.lease.MAC, _ = stationMAC(last)
	case len(words) == 3 && words[0] == "binding" && words[1] == "state":
		d.lease.state = last
	case len(words) == 2 && words[0] == "client-hostname":
		d.lease.Name = hostName(unescapeDhcpd(last))
	case len(words) == 1 && last == "abandoned":
		d.lease.abandoned = true
	}
}

// close ends a declaration.
func (d *dhcpd) close() (ok bool) {
	d.statement = nil
	if d.depth == 0 {
		return false
	}
	d.depth--
	if d.depth > 0 || d.lease == nil {
		return true
	}
	l := d.lease
	d.lease = nil
	if l.abandoned || l.state != "" && l.state != "active" || l.MAC == (presence.MAC{}) {
		d.drop(l.Addr)
		return true
	}
	return d.put(l.Told)
}

// splitDhcpd cuts a line into words, texts (with their opening quote, still
// escaped) and the characters ; { and }. ok is false when a text does not end.
func splitDhcpd(line string) (words []string, ok bool) {
	for {
		line = strings.TrimLeft(line, " \t")
		switch {
		case line == "" || line[0] == '#':
			return words, true
		case line[0] == ';' || line[0] == '{' || line[0] == '}':
			words, line = append(words, line[:1]), line[1:]
		case line[0] == '"':
			n := textEnd(line)
			if n < 0 {
				return words, false
			}
			words, line = append(words, line[:n]), line[n+1:]
		default:
			n := strings.IndexAny(line, " \t;{}\"")
			if n < 0 {
				n = len(line)
			}
			words, line = append(words, line[:n]), line[n:]
		}
	}
}

// textEnd returns the place of the quote that ends the text that s begins with.
func textEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// unescapeDhcpd returns what a text says: \" and \\ stand for themselves, \012
// for a byte by its octal number. A word is left as it is.
func unescapeDhcpd(s string) string {
	s, quoted := strings.CutPrefix(s, `"`)
	if !quoted {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if n, digits := octal(s[i:]); digits == 3 {
			b.WriteByte(n)
			i += 2
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(s string) (n byte, digits int) {
	for digits < min(3, len(s)) && '0' <= s[digits] && s[digits] <= '7' {
		n = n<<3 | (s[digits] - '0')
		digits++
	}
	return n, digits
}
