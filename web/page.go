package web

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"porchlight/presence"
)

// maxRows bounds each list of the page.
const maxRows = 500

// page is what page.html shows.
type page struct {
	Version  string
	Summary  string
	Newest   string
	Problems []string
	Sensing  []sense
	Home     list
	Away     list
	Known    int
}

type list struct {
	Rows []row
	More int // that are not shown
}

// row is a device. The strings are as the devices said them: the template
// escapes them.
type row struct {
	Name, Addr, MAC, Label string
	For                    string // how long it has been so
	Since                  string // RFC 3339
	Why                    string
}

// sense is an interface.
type sense struct {
	Interface string
	Blind     bool
	Text      string
}

// newPage returns the handler of the page.
func newPage(cfg Config) (http.Handler, error) {
	t, err := template.ParseFS(files, "page.html")
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), sourceTime)
		defer cancel()
		status, view := http.StatusOK, page{Version: cfg.Version}
		devices, summary, err := cfg.Source.Snapshot(ctx)
		if err != nil {
			status = http.StatusServiceUnavailable
			view.Summary = "Porchlight does not answer"
			view.Problems = []string{"It is starting, ending, or held up: " + err.Error() + "."}
		} else {
			view.fill(devices, summary, time.Now())
		}
		var b bytes.Buffer // so that a fault does not leave half a page
		if err := t.Execute(&b, view); err != nil {
			cfg.Log.Error("the page cannot be rendered", "err", err)
			http.Error(w, "the page cannot be rendered; see the log", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write(b.Bytes())
	}), nil
}

func (p *page) fill(devices []presence.Device, s presence.Summary, now time.Time) {
	p.Known = s.Known
	p.Summary = fmt.Sprintf("%d of %d devices home", s.Home, s.Known)
	if s.Known == 1 {
		p.Summary = fmt.Sprintf("%d of 1 device home", s.Home)
	}
	if n := s.LastNew; n != nil {
		p.Newest = fmt.Sprintf("%s, %s ago", n.Name, presence.Words(now.Sub(n.Time)))
	}
	p.Problems = s.Problems
	for _, i := range s.Sensing {
		p.Sensing = append(p.Sensing, newSense(i, now))
	}
	home, away := split(devices)
	p.Home, p.Away = newList(home, now), newList(away, now)
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
	slices.SortFunc(home, func(a, b presence.Device) int {
		return cmp.Or(
			cmp.Compare(strings.ToLower(a.DisplayName()), strings.ToLower(b.DisplayName())),
			cmp.Compare(a.ID, b.ID))
	})
	slices.SortFunc(away, func(a, b presence.Device) int {
		return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(a.ID, b.ID))
	})
	return home, away
}

func newList(devices []presence.Device, now time.Time) (l list) {
	shown := min(len(devices), maxRows)
	l.More = len(devices) - shown
	for _, d := range devices[:shown] {
		l.Rows = append(l.Rows, newRow(&d, now))
	}
	return l
}

func newRow(d *presence.Device, now time.Time) row {
	r := row{Name: d.DisplayName(), MAC: d.MAC.String(), Label: d.Vendor, Why: d.Why}
	if d.MAC.Private() {
		r.Label = "private MAC"
	}
	if a := d.Address(); a.IsValid() {
		r.Addr = a.String()
	}
	if d.Since.IsZero() {
		r.For = "not heard yet"
		return r
	}
	r.For = presence.Words(now.Sub(d.Since))
	r.Since = d.Since.UTC().Format(time.RFC3339)
	return r
}

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

// newAsset returns the handler of a file that comes with the program.
func newAsset(name string) (http.Handler, error) {
	b, err := files.ReadFile(path.Join("static", name))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "no-cache") // ask each time whether it has changed
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(b))
	}), nil
}
