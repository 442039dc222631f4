package web

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"

	"porchlight/connections"
)

// rows writes tables of connections.
type rows struct {
	markup
	query url.Values // of the page that they are on
	root  string
	who   *people
}

func (m *rows) to(change ...string) string { return chosenQuery(m.query, change...) }

func (m *rows) connections(all []connections.Connection) {
	m.add(`<thead><tr><th scope="col">Program</th><th scope="col">State</th><th scope="col">Local</th><th scope="col">Remote</th><th scope="col">Runs since</th><th scope="col" class="number">Bytes</th><th scope="col" class="number">Round trip</th><th scope="col"><span class="unseen">Filter</span></th></tr></thead>
<tbody>
`)
	for i := range all {
		m.connection(&all[i])
	}
	m.add("</tbody>")
}

func (m *rows) connection(c *connections.Connection) {
	m.add("<tr>\n" + `<th scope="row">`)
	m.program(c)
	m.add(`</th><td class="one">%<br><span class="soft">%</span></td><td class="end">`, c.Protocol, string(c.State))
	m.end(c.Local, "")
	if c.Interface != "" {
		m.add(`<br><span class="soft"><bdi>%</bdi></span>`, c.Interface)
	}
	m.add(`</td><td class="end">`)
	m.remote(c)
	m.add(`</td><td class="one">`)
	if c.Process != nil && !c.Process.Started.IsZero() {
		m.add(`<time datetime="%">%</time>`, stamp(c.Process.Started), c.Process.Started.Local().Format("2 Jan 15:04"))
	}
	m.add(`</td><td class="number">`)
	if c.Sent > 0 {
		m.add("% sent", connections.BytesText(c.Sent))
	}
	if c.Received > 0 {
		m.add("<br>% received", connections.BytesText(c.Received))
	}
	m.add(`</td><td class="number">%</td>`, roundTrip(c.RTT))
	m.add(`<td><a href="%" aria-label="Filter for this connection, %">filter</a></td></tr>`+"\n", m.to("only", keyOf(c), "by", ""), keyOf(c))
}

// program is whose the connection is.
func (m *rows) program(c *connections.Connection) {
	var soft []string
	if p := c.Process; p != nil {
		m.add(`<a href="%"><bdi>%</bdi></a>`, m.to("program", p.Name, "by", ""), p.Name)
		soft = append(soft, strconv.Itoa(p.PID))
	} else {
		m.add(`<span class="soft">not known</span>`)
	}
	m.add(`<br><span class="soft">`)
	if u := userOf(c); u != "" {
		soft = append(soft, u)
	}
	if c.Process != nil && c.Process.Container != "" {
		soft = append(soft, shortContainer(c.Process.Container))
	}
	if c.Others > 0 {
		soft = append(soft, fmt.Sprintf("and %d more", c.Others))
	}
	for i, text := range soft {
		if i > 0 {
			m.add(" · ")
		}
		m.add("<bdi>%</bdi>", text)
	}
	m.add("</span>")
}

// shownContainer is how much of a container's name there is room for: engines
// show 12 of the 64 digits.
const shownContainer = 12 + len("containerd:")

func shortContainer(name string) string {
	if r := []rune(name); len(r) > shownContainer {
		return string(r[:shownContainer]) + "…"
	}
	return name
}

// remote is the other end, with the device there.
func (m *rows) remote(c *connections.Connection) {
	if !c.Remote.IsValid() {
		m.add(`<span class="soft">any</span>`)
		return
	}
	m.end(c.Remote, m.to("remote", c.Remote.Addr().WithZone("").String(), "by", ""))
	if c.Device != "" {
		m.add("<br>")
		m.device(m.root, m.who.id(c.Remote.Addr(), c.Device), c.Device)
	}
}

// end is an address, which leads to a query if there is one, and a port.
func (m *rows) end(e netip.AddrPort, to string) {
	host := "any"
	if a := e.Addr(); !a.IsUnspecified() {
		host = a.String()
		if a.Is6() {
			host = "[" + host + "]"
		}
	}
	if to == "" {
		m.add("<bdi>%</bdi>", host)
	} else {
		m.add(`<a href="%"><bdi>%</bdi></a>`, to, host)
	}
	m.add(`<wbr>:%`, strconv.Itoa(int(e.Port())))
}

func roundTrip(microseconds uint64) string {
	if microseconds == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f ms", float64(microseconds)/1000)
}
