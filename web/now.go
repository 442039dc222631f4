package web

import (
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"porchlight/presence"
)

const (
	// maxRows bounds each list of the page.
	maxRows = 500
	// newFor is how long a device stands out that nobody has said anything about.
	newFor = 7 * 24 * time.Hour
	maxNew = 20
)

// nowView is what now.html shows.
type nowView struct {
	layout
	Newest   string
	Problems []string
	Sensing  []sense

	Filter                         filter
	States, Groups, Kinds, Vendors options

	New        []row
	Home, Away template.HTML
	Nobody     string // why both lists are empty
}

// row is a device. The strings are as the devices said them: the template
// escapes them.
type row struct {
	ID                     presence.ID
	Name, Addr, MAC, Label string
	Groups                 []string
	For                    string // how long it has been so
	Since                  string // RFC 3339
	Why                    string

	First, FirstFor string // when it was first seen
}

// sense is an interface.
type sense struct {
	Interface string
	Blind     bool
	Text      string
}

// now is the page that shows who is home.
func (p *pages) now(w http.ResponseWriter, r *http.Request) {
	devices, summary, err := p.cfg.Source.Snapshot(r.Context())
	if err != nil {
		p.fault(w, r, http.StatusServiceUnavailable, "Porchlight does not answer",
			fmt.Errorf("it is starting, ending, or held up: %w", err))
		return
	}
	now := time.Now()
	v := nowView{layout: p.layout(r, headline(summary), "now"), Problems: summary.Problems, Filter: filterOf(r)}
	if n := summary.LastNew; n != nil {
		v.Newest = fmt.Sprintf("%s, %s ago", n.Name, presence.Words(now.Sub(n.Time)))
	}
	for _, i := range summary.Sensing {
		v.Sensing = append(v.Sensing, newSense(i, now))
	}
	v.States, v.Groups, v.Kinds, v.Vendors = v.Filter.options(devices)
	v.New = newcomers(devices, summary.BaselineAt, now)

	home, away := split(v.Filter.of(devices))
	v.Home, v.Away = listOf(home, v.Root, now), listOf(away, v.Root, now)
	switch {
	case len(home)+len(away) > 0:
	case len(devices) > 0:
		v.Nobody = "No device is like that."
	case len(summary.Problems) == 0:
		v.Nobody = "Nobody has been heard yet. Devices appear here as soon as they say something, or answer the first sweep."
	}
	p.render(w, http.StatusOK, "now.html", v)
}

func headline(s presence.Summary) string {
	if s.Known == 1 {
		return fmt.Sprintf("%d of 1 device home", s.Home)
	}
	return fmt.Sprintf("%d of %d devices home", s.Home, s.Known)
}

// newcomers are the devices that came after the first run's list and that nobody
// has said anything about, the newest first.
func newcomers(devices []presence.Device, baseline, now time.Time) (rows []row) {
	if baseline.IsZero() {
		return nil
	}
	var newest []presence.Device
	for _, d := range devices {
		if isNew(&d, baseline, now) {
			newest = append(newest, d)
		}
	}
	slices.SortFunc(newest, func(a, b presence.Device) int {
		return cmp.Or(b.FirstSeen.Compare(a.FirstSeen), cmp.Compare(a.ID, b.ID))
	})
	for _, d := range newest[:min(len(newest), maxNew)] {
		rows = append(rows, newRow(&d, now))
	}
	return rows
}

func isNew(d *presence.Device, baseline, now time.Time) bool {
	return d.Name == "" && !d.Known && len(d.FromFile) == 0 &&
		d.FirstSeen.After(baseline) && now.Sub(d.FirstSeen) < newFor
}

// split sorts those at home by name, and those away by when they left, the
// last one first.
func split(devices []presence.Device) (home, away []presence.Device) {
	for _, d := range devices {
		if d.State == presence.Home {
			home = append(home, d)
		} else {
			away = append(away, d)
		}
	}
	sortByName(home)
	slices.SortFunc(away, func(a, b presence.Device) int {
		return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(a.ID, b.ID))
	})
	return home, away
}

// sortByName sorts devices by what they are called, in any case.
func sortByName(devices []presence.Device) {
	type named struct {
		name   string
		device *presence.Device
	}
	all := make([]named, len(devices))
	for i, d := range devices {
		all[i] = named{strings.ToLower(d.DisplayName()), &d}
	}
	slices.SortFunc(all, func(a, b named) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.device.ID, b.device.ID))
	})
	for i := range all {
		devices[i] = *all[i].device
	}
}

// listOf lists devices, and says how many there are besides.
func listOf(devices []presence.Device, root string, now time.Time) template.HTML {
	var m markup
	for i := range devices[:min(len(devices), maxRows)] {
		r := newRow(&devices[i], now)
		m.row(root, &r)
	}
	if more := len(devices) - maxRows; more > 0 {
		m.add(`<li class="more">and % more</li>`+"\n", strconv.Itoa(more))
	}
	return m.html()
}

func (m *markup) row(root string, r *row) {
	m.add("<li>\n" + `<p class="name">`)
	m.device(root, r.ID, r.Name)
	m.add(" <time")
	if r.Since != "" {
		m.add(` datetime="%" title="since %"`, r.Since, r.Since)
	}
	m.add(">%</time></p>\n"+`<p class="where">`, r.For)
	if r.Addr != "" {
		m.add("<span>%</span> ", r.Addr)
	}
	m.add("<span>%</span>", r.MAC)
	if r.Label != "" {
		m.add(` <span class="label"><bdi>%</bdi></span>`, r.Label)
	}
	for _, g := range r.Groups {
		m.add(` <span class="label"><bdi>%</bdi></span>`, g)
	}
	m.add("</p>\n")
	if r.Why != "" {
		m.add(`<p class="why">%</p>`+"\n", r.Why)
	}
	m.add("</li>\n")
}

func newRow(d *presence.Device, now time.Time) row {
	r := row{ID: d.ID, Name: d.DisplayName(), MAC: d.MAC.String(), Label: d.Vendor, Groups: d.Groups, Why: d.Why}
	if d.MAC.Private() {
		r.Label = "private MAC"
	}
	if a := d.Address(); a.IsValid() {
		r.Addr = a.String()
	}
	if !d.FirstSeen.IsZero() {
		r.First, r.FirstFor = stamp(d.FirstSeen), presence.Words(now.Sub(d.FirstSeen))+" ago"
	}
	if d.Since.IsZero() {
		r.For = "not heard yet"
		return r
	}
	r.For, r.Since = presence.Words(now.Sub(d.Since)), stamp(d.Since)
	return r
}

// stamp is t for programs (RFC 3339, in UTC).
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func newSense(s presence.Sensing, now time.Time) sense {
	if !s.Blind {
		return sense{s.Interface, false, s.Interface + " hears"}
	}
	text := s.Interface + " hears nothing"
	if s.Why != "" {
		text += ": " + s.Why
	}
	if !s.At.IsZero() {
		text += ", for " + presence.Words(now.Sub(s.At))
	}
	return sense{s.Interface, true, text}
}
