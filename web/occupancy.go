package web

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"time"

	"porchlight/traffic"
)

// maxPorts is how many ports the page shows.
const maxPorts = 40

// port is one that was listened on, by a program.
type port struct {
	protocol string
	number   uint16
	program  string
}

func portOf(p *traffic.Port) port { return port{p.Protocol, p.Port, p.Program} }

// ports draws which ports were listened on over time, those first that were for
// longest. more says how many are left out.
func (t *trafficPicture) ports(total *traffic.Round) (lanes template.HTML, more string) {
	all := slices.Clone(total.Ports)
	slices.SortFunc(all, func(a, b traffic.Port) int {
		return cmp.Or(cmp.Compare(b.Held, a.Held), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Program, b.Program))
	})
	if n := len(all) - maxPorts; n > 0 {
		all, more = all[:maxPorts], fmt.Sprintf("and %d more, which were listened on for less long", n)
	}
	slices.SortStableFunc(all, func(a, b traffic.Port) int { return cmp.Compare(a.Port, b.Port) })
	held := t.held()
	var m markup
	for i := range all {
		p := &all[i]
		share := min(float64(p.Held)/float64(max(total.Counted, 1)), 1)
		m.add(`<div class="lane"><span><b>%</b> % <bdi>%</bdi></span>`+"\n", strconv.Itoa(int(p.Port)), p.Protocol, cmp.Or(p.Program, "not known"))
		m.add(`<svg id="lane-%" class="bars heat" tabindex="0" viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" aria-label="% %, %: listened on for % of the time">`,
			strconv.Itoa(i), p.Protocol, strconv.Itoa(int(p.Port)), cmp.Or(p.Program, "program not known"), percent(share))
		t.lane(&m, held, portOf(p))
		m.add("</svg></div>\n")
	}
	return m.html(), more
}

// held is for how much of each slot a port was listened on.
func (t *trafficPicture) held() []map[port]time.Duration {
	all := make([]map[port]time.Duration, len(t.rounds))
	for i := range t.rounds {
		all[i] = make(map[port]time.Duration, len(t.rounds[i].Ports))
		for j := range t.rounds[i].Ports {
			all[i][portOf(&t.rounds[i].Ports[j])] += t.rounds[i].Ports[j].Held
		}
	}
	return all
}

// shades is how many there are of the heat map: 1 is for a moment, 5 for nearly
// all of the time.
const shades = 5

// lane draws one port: slots that follow each other and look the same are one.
func (t *trafficPicture) lane(m *markup, held []map[port]time.Duration, p port) {
	for first := 0; first < len(t.rounds); {
		class := t.shade(held, p, first)
		last := first
		for last+1 < len(t.rounds) && t.shade(held, p, last+1) == class {
			last++
		}
		if class != "" {
			t.cell(m, held, p, class, first, last)
		}
		first = last + 1
	}
}

// shade is the class of a slot; empty: nothing is drawn.
func (t *trafficPicture) shade(held []map[port]time.Duration, p port, i int) string {
	r := &t.rounds[i]
	switch {
	case r.Counted <= 0 && r.Start.Add(r.Length).After(t.now):
		return ""
	case r.Counted <= 0:
		return "stopped"
	case held[i][p] <= 0:
		return "free"
	}
	share := float64(held[i][p]) / float64(r.Counted)
	return "h" + strconv.Itoa(int(min(max(math.Ceil(share*shades-0.05), 1), shades)))
}

func (t *trafficPicture) cell(m *markup, held []map[port]time.Duration, p port, class string, first, last int) {
	x := func(at time.Time) float64 {
		return round(at.Sub(t.from).Seconds() / t.to.Sub(t.from).Seconds() * barsWidth)
	}
	from, to := t.rounds[first].Start, t.rounds[last].Start.Add(t.rounds[last].Length)
	m.add(`<rect class="%" x="`, class)
	m.decimal(x(from))
	m.add(`" width="`)
	m.decimal(round(x(to) - x(from)))
	m.add(`" height="20"><title>`)
	var sum, counted time.Duration
	for i := first; i <= last; i++ {
		sum, counted = sum+held[i][p], counted+t.rounds[i].Counted
	}
	switch class {
	case "stopped":
		m.add("not recorded, ")
	case "free":
		m.add("not listened on, ")
	default:
		m.add("listened on for % of the time, ", percent(min(float64(sum)/float64(max(counted, 1)), 1)))
	}
	m.span(from, earlier(to, t.now))
	m.add("</title></rect>")
}
