package web

import (
	"context"
	"html/template"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"porchlight/history"
	"porchlight/presence"
)

// eventsPerPage is how many events a page lists.
const eventsPerPage = 100

// eventsView is what events.html shows.
type eventsView struct {
	layout
	List  template.HTML // empty: there is none
	Types options
	Of    string // the device or program that is asked for, as it was written
	Day   string
	Older string // query of the page before; empty: there is none
	Newer bool   // this is not the newest page
}

// events is the event log, the newest first.
func (p *pages) events(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	v := eventsView{
		layout: p.layout(r, "Events", "events"),
		Of:     presence.CleanText(q.Get("device"), presence.MaxName), Day: q.Get("day"), Newer: q.Get("before") != "",
	}
	types := map[string]string{}
	for _, t := range presence.EventTypes() {
		types[string(t)] = strings.ReplaceAll(string(t), "_", " ")
	}
	v.Types = choices(types, q.Get("type"))
	f := history.EventFilter{}
	if t := q.Get("type"); t != "" {
		f.Types = []presence.EventType{presence.EventType(t)}
	}
	if day, err := time.ParseInLocation(time.DateOnly, v.Day, time.Local); err == nil {
		f.Until = day.AddDate(0, 0, 1)
	} else {
		v.Day = ""
	}
	page := history.Page{Limit: eventsPerPage + 1}
	page.Before, _ = strconv.ParseInt(q.Get("before"), 10, 64)
	list, err := p.findAny(r.Context(), f, v.Of, page)
	if err != nil {
		p.fault(w, r, http.StatusServiceUnavailable, "The events cannot be read", err)
		return
	}
	if len(list) > eventsPerPage {
		list = list[1:]
		v.Older = olderThan(q, list[0].Seq)
	}
	v.List = eventList(v.Root, list)
	p.render(w, http.StatusOK, "events.html", v)
}

// find returns events of the devices that are called so; of all when of is empty.
func (p *pages) find(ctx context.Context, f history.EventFilter, of string, page history.Page) ([]presence.Event, error) {
	if of != "" {
		ids, err := p.cfg.History.Lookup(ctx, of)
		if err != nil || len(ids) == 0 {
			return nil, err
		}
		f.Devices = ids
	}
	return p.cfg.History.Find(ctx, f, page)
}

// findAny is find, and takes of for a program of this machine when no device is
// called so.
func (p *pages) findAny(ctx context.Context, f history.EventFilter, of string, page history.Page) ([]presence.Event, error) {
	list, err := p.find(ctx, f, of, page)
	if err == nil && len(list) == 0 && of != "" {
		f.Program = of
		return p.find(ctx, f, "", page)
	}
	return list, err
}

// olderThan is the query of the page that ends before seq.
func olderThan(q url.Values, seq int64) string {
	older := url.Values{}
	for _, name := range []string{"type", "device", "day"} {
		if q.Get(name) != "" {
			older.Set(name, q.Get(name))
		}
	}
	older.Set("before", strconv.FormatInt(seq, 10))
	return "?" + older.Encode()
}

// eventList lists events, the newest first.
func eventList(root string, events []presence.Event) template.HTML {
	if len(events) == 0 {
		return ""
	}
	var m markup
	m.add(`<ol class="events" reversed>` + "\n")
	for _, e := range slices.Backward(events) {
		m.event(root, &e)
	}
	m.add("</ol>")
	return m.html()
}

func (m *markup) event(root string, e *presence.Event) {
	m.add(`<li class="%"><time datetime="%">%</time> <b>%</b> `, string(e.Type), stamp(e.Time), clock(e.Time), strings.ReplaceAll(string(e.Type), "_", " "))
	if e.ID != "" || e.Name != "" {
		m.device(root, e.ID, e.Name)
	}
	if e.Interface != "" && e.Socket == nil {
		m.add(" %", e.Interface)
	}
	m.socket(root, e)
	m.addr(e.Addr)
	m.add(`<br><span class="why">%</span>`+"\n", e.Why)
	if len(e.Devices) > 0 {
		m.add("<details><summary>%</summary><ul>", several(len(e.Devices), "device"))
		for _, f := range e.Devices {
			m.add("<li>")
			m.device(root, f.ID, f.Name)
			m.addr(f.Addr)
			m.add("</li>")
		}
		m.add("</ul></details>")
	}
	m.add("</li>\n")
}

// socket is what an event about this machine tells of a program.
func (m *markup) socket(root string, e *presence.Event) {
	s := e.Socket
	if s == nil {
		return
	}
	m.add(`<a href="%connections?program=%"><bdi>%</bdi></a>`, root, url.QueryEscape(s.Program), e.Subject())
	m.add(` <span class="soft">`)
	if s.User != "" {
		m.add("user <bdi>%</bdi> ", s.User)
	}
	if s.Container != "" {
		m.add("in <bdi>%</bdi> ", s.Container)
	}
	m.add("</span>")
}

func (m *markup) addr(a netip.Addr) {
	if a.IsValid() {
		m.add(` <span class="soft">%</span>`, a.String())
	}
}

// clockFormat is for people, by the clock on the wall where Porchlight runs.
const clockFormat = "Mon 2 Jan 15:04:05"

func clock(t time.Time) string { return t.Local().Format(clockFormat) }

// spanWords is how long something went on, as one says it.
func spanWords(from, to time.Time) string {
	var m markup
	m.span(from, to)
	return string(m.b)
}

// span writes the same; there is nothing in it to escape.
func (m *markup) span(from, to time.Time) {
	if to.IsZero() {
		m.add("since ")
		m.b = from.Local().AppendFormat(m.b, clockFormat)
		return
	}
	m.b = from.Local().AppendFormat(m.b, clockFormat)
	m.add(" to ")
	m.b = to.Local().AppendFormat(m.b, clockFormat)
	m.add(", %", presence.Words(to.Sub(from)))
}
