package web

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"porchlight/connections"
)

const (
	// entriesPerPage is how many stored snapshots a page lists.
	entriesPerPage = 20
	// maxFresh bounds each list of what is new.
	maxFresh = 30
)

// changesView is what changes.html shows.
type changesView struct {
	layout
	Off       string
	A, B      side
	From, To  string // as they were asked for; empty: they were not
	Spans     []link // such as the last hour
	Said      []string
	Listeners template.HTML
	Programs  template.HTML
	Hosts     template.HTML
	More      string // what is new and not listed
	Asked     askedConnections
	Rows      template.HTML
	Nobody    string
	pager
	Filters   filters
	Entries   []entryRow
	Older     string // query of the page before; empty: there is none
	Newest    string // query of the first page; empty: this is it
	Recording string
}

// side is one of the two that are compared.
type side struct {
	Value, Text string
	Field       string // its time in a field; empty: now
}

// entryRow is a stored snapshot, and where it leads to.
type entryRow struct {
	Number, Time, Connections, Listeners, Size, Note string
	Show, From, To                                   string // queries
	IsA, IsB                                         bool
}

// choosePair returns what is compared: without a choice the last hour.
func choosePair(q url.Values) (a, b string) {
	a, b = q.Get("a"), q.Get("b")
	if a == "" {
		a = "1h"
	}
	if b == "" {
		b = "now"
	}
	return a, b
}

// pair returns two snapshots, with the connections that s lets through.
func (p *pages) pair(ctx context.Context, q url.Values, s *selection, who *people) (pair [2]connections.Snapshot, err error) {
	a, b := choosePair(q)
	for i, text := range []string{a, b} {
		one, err := p.snapshotOf(ctx, text, who)
		if err != nil {
			return pair, err
		}
		pair[i] = *one
		pair[i].Connections = s.of(one.Connections)
	}
	return pair, nil
}

// changes shows two snapshots side by side.
func (p *pages) changes(w http.ResponseWriter, r *http.Request) {
	v := changesView{layout: p.layout(r, "What changed", "connections"), Recording: p.recording()}
	if err := p.fillChanges(r.Context(), r.URL.Query(), &v); err != nil {
		p.fault(w, r, statusOf(err), "The connections cannot be compared", err)
		return
	}
	p.render(w, http.StatusOK, "changes.html", v)
}

func (p *pages) fillChanges(ctx context.Context, q url.Values, v *changesView) error {
	if p.cfg.Connections == nil {
		v.Off = errNoConnections.Error()
		return nil
	}
	if err := p.listEntries(ctx, q, v); err != nil {
		return err
	}
	if len(v.Entries) == 0 && q.Get("before") == "" {
		v.Off = "No snapshot is stored yet, and it takes one to compare with. " + v.Recording + " To store one now: porchlight connections snapshot."
		return nil
	}
	who, err := p.people(ctx)
	if err != nil {
		return err
	}
	s := selectionOf(q)
	pair, err := p.pair(ctx, q, &s, who)
	if err != nil {
		return err
	}
	v.compare(q, &pair, &s, who)
	return nil
}

// compare gathers what there is to show of the two.
func (v *changesView) compare(q url.Values, pair *[2]connections.Snapshot, s *selection, who *people) {
	for i, m := range []*side{&v.A, &v.B} {
		*m = nameOf(&pair[i])
		for _, text := range pair[i].Missing {
			v.Said = append(v.Said, m.Text+": "+text)
		}
	}
	if v.B.Value == "now" {
		v.Beat = lookBeat
	}
	for e := range v.Entries {
		v.Entries[e].IsA, v.Entries[e].IsB = v.Entries[e].Number == v.A.Value, v.Entries[e].Number == v.B.Value
	}
	d := connections.Compare(&pair[0], &pair[1])
	v.Said = append(v.Said, d.Notes...)
	v.Title = fmt.Sprintf("%d opened, %d closed, %d changed", len(d.Opened), len(d.Closed), len(d.Changed))
	for _, span := range []struct{ a, text string }{{"1h", "the last hour"}, {"24h", "day"}, {"7d", "week"}} {
		v.Spans = append(v.Spans, link{chosenQuery(q, "a", span.a, "b", "now"), span.text, q.Get("a") == span.a || q.Get("a") == "" && span.a == "1h"})
	}
	v.From, v.To = q.Get("a"), q.Get("b")
	v.Asked = asked(q, s, slices.Concat(pair[0].Connections, pair[1].Connections))
	v.fresh(q, &d, who)
	both := pairsOf(&d)
	first, end := v.part(q, len(both), "changes")
	m := rows{query: q, root: v.Root, who: who}
	for i := range both[first:end] {
		m.change(&both[first+i])
	}
	v.Rows = m.html()
	if len(both) == 0 {
		v.Nobody = "Nothing has changed."
		if s.any() {
			v.Nobody = "Nothing like that has changed."
		}
	}
	v.Filters = filtersOf(filterOfChanges(both))
}

// nameOf says which one it is.
func nameOf(s *connections.Snapshot) side {
	if s.Number == 0 {
		return side{"now", "now", ""}
	}
	return side{strconv.FormatInt(s.Number, 10), fmt.Sprintf("snapshot %d, %s", s.Number, clock(s.Time)), s.Time.Local().Add(time.Minute).Format(fieldTime)}
}

// fresh lists what is there for the first time.
func (v *changesView) fresh(q url.Values, d *connections.Diff, who *people) {
	var listeners, programs, hosts rows
	listeners.query, programs.query, hosts.query = q, q, q
	for i := range d.NewListeners[:min(len(d.NewListeners), maxFresh)] {
		c := &d.NewListeners[i]
		listeners.add("<li>")
		listeners.program(c)
		listeners.add(" % ", c.Protocol)
		listeners.end(c.Local, "")
		listeners.add("</li>")
	}
	for _, name := range d.NewPrograms[:min(len(d.NewPrograms), maxFresh)] {
		programs.add(`<li><a href="%"><bdi>%</bdi></a></li>`, programs.to("program", name), name)
	}
	for _, h := range d.NewHosts[:min(len(d.NewHosts), maxFresh)] {
		hosts.add(`<li><a href="%">%</a>`, hosts.to("remote", h.WithZone("").String()), h.String())
		if known := who.byAddr[h.WithZone("")]; known != nil {
			hosts.add(" ")
			hosts.device(v.Root, known.ID, known.DisplayName())
		}
		hosts.add("</li>")
	}
	v.Listeners, v.Programs, v.Hosts = listeners.html(), programs.html(), hosts.html()
	if more := max(len(d.NewListeners)-maxFresh, 0) + max(len(d.NewPrograms)-maxFresh, 0) + max(len(d.NewHosts)-maxFresh, 0); more > 0 {
		v.More = fmt.Sprintf("and %d more, which the table has", more)
	}
}

// both is a connection before and after; one of them is nil.
type both struct {
	before, after *connections.Connection
	what          []string
}

func (b *both) last() *connections.Connection {
	if b.after != nil {
		return b.after
	}
	return b.before
}

// pairsOf puts what changed side by side, sorted by program; those at the end whose
// program is not known, as there may be very many that are just closed.
func pairsOf(d *connections.Diff) (all []both) {
	for i := range d.Opened {
		all = append(all, both{after: &d.Opened[i]})
	}
	for i := range d.Closed {
		all = append(all, both{before: &d.Closed[i]})
	}
	for i := range d.Changed {
		c := &d.Changed[i]
		all = append(all, both{&c.Before, &c.Now, c.What})
	}
	slices.SortStableFunc(all, func(x, y both) int {
		a, b := x.last(), y.last()
		if a.Listening() != b.Listening() {
			if a.Listening() {
				return -1
			}
			return 1
		}
		if known := a.Program() != ""; known != (b.Program() != "") {
			if known {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Program(), b.Program())
	})
	return all
}

func filterOfChanges(all []both) (connections.Filter, error) {
	if len(all) == 0 {
		return connections.Filter{}, errNothing
	}
	changed := make([]connections.Connection, len(all))
	for i := range all {
		changed[i] = *all[i].last()
	}
	return connections.FilterForMany(changed)
}

// change is a row with both sides.
func (m *rows) change(b *both) {
	kind := "changed"
	switch {
	case b.before == nil:
		kind = "opened"
	case b.after == nil:
		kind = "closed"
	}
	m.add(`<tr class="%"><th scope="row">%</th><td>`, kind, kind)
	m.side(b.before)
	m.add("</td><td>")
	m.side(b.after)
	for _, what := range b.what {
		m.add(`<br><span class="soft"><bdi>%</bdi></span>`, what)
	}
	m.add("</td></tr>\n")
}

// side is a connection as it was at one of the two times.
func (m *rows) side(c *connections.Connection) {
	if c == nil {
		m.add(`<span class="soft">–</span>`)
		return
	}
	m.program(c)
	m.add(`<br>% <span class="soft">%</span> `, c.Protocol, string(c.State))
	m.end(c.Local, "")
	if c.Remote.IsValid() {
		m.add(" ↔ ")
		m.remote(c)
	}
}

// listEntries lists the stored snapshots.
func (p *pages) listEntries(ctx context.Context, q url.Values, v *changesView) error {
	before, _ := strconv.ParseInt(q.Get("before"), 10, 64) // 0, any, when it is no number
	all, err := p.cfg.Connections.Newest(ctx, before, entriesPerPage+1)
	if err != nil {
		return err
	}
	if before > 0 {
		v.Newest = chosenQuery(q, "before", "")
	}
	for i := range all {
		if i == entriesPerPage {
			v.Older = chosenQuery(q, "before", strconv.FormatInt(all[i-1].Number, 10))
			break
		}
		e := &all[i]
		number := strconv.FormatInt(e.Number, 10)
		row := entryRow{
			Number: number, Time: clock(e.Time), Connections: strconv.Itoa(e.Connections), Listeners: strconv.Itoa(e.Listeners), Size: connections.BytesText(uint64(e.Bytes)),
			Show: "?snapshot=" + number, From: chosenQuery(q, "a", number, "before", q.Get("before")), To: chosenQuery(q, "b", number, "before", q.Get("before")),
		}
		if i+1 < len(all) && all[i+1].Boot != e.Boot {
			row.Note = "the first after a restart of the machine"
		}
		v.Entries = append(v.Entries, row)
	}
	return nil
}
