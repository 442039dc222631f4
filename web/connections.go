package web

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"porchlight/config"
	"porchlight/connections"
	"porchlight/presence"
)

const (
	// rowsPerPage is how many connections a page lists.
	rowsPerPage = 200
	// maxPrograms is how many programs there are to choose from.
	maxPrograms = 300
	// fieldTime is how a browser writes a time that was chosen (WHATWG HTML, local
	// date and time string).
	fieldTime = "2006-01-02T15:04"
	// lookBeat is after how many seconds a page that shows the connections as they
	// are now is fetched again.
	lookBeat = 3
)

// connectionsView is what connections.html shows.
type connectionsView struct {
	layout
	Off       string // why there is nothing to show; empty: there is
	When      string // of when it is, in words
	Number    string // of the stored snapshot; empty: it is of now
	Missing   []string
	Recording string // in words
	selection selection
	Asked     askedConnections
	Views     []link
	Rows      template.HTML // of a table, with its head
	Nobody    string        // why there is none
	pager
	Filters filters
}

// askedConnections is what the form shows of what was asked for.
type askedConnections struct {
	Text, Remote, Device, Only, By string
	Listening                      bool
	Programs                       options
	Whole                          string // query without any choice; empty: nothing is chosen
}

// pager leads to the other parts of a long list.
type pager struct {
	Count         string // which of how many; empty: all
	Before, After string // queries; empty: there is none
}

// part returns where the page of q begins and ends in a list of n.
func (p *pager) part(q url.Values, n int, what string) (first, end int) {
	last := max(n-1, 0) / rowsPerPage
	page, _ := strconv.Atoi(q.Get("page")) // 0, the first, when it is no number
	page = min(max(page, 0), last)
	first = page * rowsPerPage
	end = min(first+rowsPerPage, n)
	if last > 0 {
		p.Count = fmt.Sprintf("%d to %d of %d %s", first+1, end, n, what)
	}
	if page > 0 {
		p.Before = chosenQuery(q, "page", strconv.Itoa(page-1))
	}
	if page < last {
		p.After = chosenQuery(q, "page", strconv.Itoa(page+1))
	}
	return first, end
}

// people returns the devices that connections can be with.
func (p *pages) people(ctx context.Context) (*people, error) {
	devices, _, err := p.cfg.Source.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("it is starting, ending, or held up: %w", err)
	}
	return newPeople(devices), nil
}

// snapshotOf returns the connections that text names: now, a number, or a time
// (config.ParseMoment).
func (p *pages) snapshotOf(ctx context.Context, text string, who *people) (*connections.Snapshot, error) {
	if text == "" || text == "now" {
		return p.looks.now(who)
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		at, err := config.ParseMoment(text, time.Now())
		if err != nil {
			return nil, badRequest("%s: want the number of a snapshot, now, or a time, such as 1h (ago) or 2026-03-01", presence.CleanText(text, maxAsked))
		}
		if number, err = p.cfg.Connections.Before(ctx, at); err != nil {
			return nil, err
		}
	}
	if number <= 0 {
		return nil, fault{http.StatusNotFound, connections.ErrEmpty}
	}
	s, err := p.looks.load(ctx, number)
	if err != nil {
		return nil, explainNone(err)
	}
	return s, nil
}

// explainNone is an error of a snapshot that is not there.
func explainNone(err error) error {
	if errors.Is(err, connections.ErrNone) || errors.Is(err, connections.ErrEmpty) {
		return fault{http.StatusNotFound, err}
	}
	return err
}

// statusOf is what an error is answered with.
func statusOf(err error) int {
	var f fault
	if errors.As(err, &f) {
		return f.status
	}
	return http.StatusServiceUnavailable
}

// connections shows what this machine is connected to, now or at a time.
func (p *pages) connections(w http.ResponseWriter, r *http.Request) {
	v := connectionsView{layout: p.layout(r, "Connections", "connections"), Recording: p.recording()}
	q := r.URL.Query()
	s, who, err := p.named(r.Context(), q.Get("snapshot"))
	switch {
	case errors.Is(err, errNoConnections):
		v.Off = err.Error()
	case err != nil:
		p.fault(w, r, statusOf(err), "The connections cannot be shown", err)
		return
	default:
		v.fill(q, s, who)
	}
	p.render(w, http.StatusOK, "connections.html", v)
}

// recording says whether the connections are recorded, or how they would be.
func (p *pages) recording() string {
	if p.cfg.RecordEvery > 0 {
		return "They are recorded every " + presence.Words(p.cfg.RecordEvery) + "."
	}
	return "They are not recorded: PORCHLIGHT_CONNECTIONS_INTERVAL=30s has a snapshot stored every 30 seconds, and says when a program begins to listen."
}

// fill gathers what there is to show of s.
func (v *connectionsView) fill(q url.Values, s *connections.Snapshot, who *people) {
	v.selection = selectionOf(q)
	all := v.selection.of(s.Connections)
	v.Title = countWords(all, len(s.Connections))
	v.Missing = s.Missing
	v.When = "This machine, as it is now."
	if s.Number > 0 {
		v.Number = strconv.FormatInt(s.Number, 10)
		v.When = fmt.Sprintf("This machine, as it was on %s: snapshot %d.", clock(s.Time), s.Number)
	} else {
		v.Beat = lookBeat
	}
	v.Asked = asked(q, &v.selection, s.Connections)
	by := q.Get("by")
	for _, o := range []struct{ by, text string }{{"", "each"}, {"program", "by program"}, {"remote", "by remote"}} {
		v.Views = append(v.Views, link{chosenQuery(q, "by", o.by), o.text, o.by == by})
	}
	m := rows{query: q, root: v.Root, who: who}
	switch by {
	case "program", "remote":
		groups := groupBy(all, by == "remote")
		first, end := v.part(q, len(groups), map[string]string{"program": "programs", "remote": "remote ends"}[by])
		m.groups(groups[first:end], by == "remote")
	default:
		v.Asked.By, v.Views[0].Here = "", true
		first, end := v.part(q, len(all), "connections")
		m.connections(all[first:end])
	}
	v.Rows = m.html()
	if len(all) == 0 {
		v.Nobody = "There is no connection and no listener."
		if v.selection.any() {
			v.Nobody = "No connection is like that."
		}
	}
	v.Filters = filtersOf(v.selection.filter(all, who))
}

// countWords says how many there are: "12 connections and 3 listeners".
func countWords(all []connections.Connection, of int) string {
	listeners := 0
	for i := range all {
		if all[i].Listening() {
			listeners++
		}
	}
	text := fmt.Sprintf("%s and %s", several(len(all)-listeners, "connection"), several(listeners, "listener"))
	if len(all) < of {
		text += fmt.Sprintf(", of %d in all", of)
	}
	return text
}

func several(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// asked is what the form shows.
func asked(q url.Values, s *selection, all []connections.Connection) askedConnections {
	programs := map[string]string{}
	for i := range all {
		if name := all[i].Program(); len(programs) < maxPrograms {
			programs[name] = name
		}
	}
	a := askedConnections{
		Text: presence.CleanText(q.Get("q"), maxAsked), Remote: s.Remote, Device: s.Device, Only: s.Only, By: q.Get("by"),
		Listening: s.Listening, Programs: choices(programs, s.Program),
	}
	if s.any() {
		a.Whole = chosenQuery(q, "q", "", "program", "", "remote", "", "device", "", "listening", "", "only", "")
	}
	return a
}
