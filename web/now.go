package web

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
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
	States, Groups, Kinds, Vendors []option

	New        []row
	Home, Away list
	Nobody     string // why both lists are empty
}

// list is some devices, and how many there are besides.
type list struct {
	Root string
	Rows []row
	More int
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
	v.Home, v.Away = newList(home, v.Root, now), newList(away, v.Root, now)
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
	slices.SortFunc(home, byName)
	slices.SortFunc(away, func(a, b presence.Device) int {
		return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(a.ID, b.ID))
	})
	return home, away
}

func byName(a, b presence.Device) int {
	return cmp.Or(
		cmp.Compare(strings.ToLower(a.DisplayName()), strings.ToLower(b.DisplayName())),
		cmp.Compare(a.ID, b.ID))
}

func newList(devices []presence.Device, root string, now time.Time) list {
	shown := min(len(devices), maxRows)
	l := list{Root: root, More: len(devices) - shown}
	for _, d := range devices[:shown] {
		l.Rows = append(l.Rows, newRow(&d, now))
	}
	return l
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
