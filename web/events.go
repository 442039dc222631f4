package web

import (
	"context"
	"fmt"
	"net/http"
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
	Rows  []eventRow
	Types []option
	Of    string // the device that is asked for, as it was written
	Day   string
	Older string // query of the page before; empty: there is none
	Newer bool   // this is not the newest page
}

// eventRow is an event.
type eventRow struct {
	Seq                   int64
	At, When              string // for programs, for people
	Type, Words           string
	ID                    presence.ID
	Name, Interface, Addr string
	Why                   string
	More                  []presence.Found
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
	list, err := p.find(r.Context(), f, v.Of, page)
	if err != nil {
		p.fault(w, r, http.StatusServiceUnavailable, "The events cannot be read", err)
		return
	}
	if len(list) > eventsPerPage {
		list = list[1:]
		v.Older = olderThan(q, list[0].Seq)
	}
	v.Rows = eventRows(list)
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

// eventRows turns events round: the newest first.
func eventRows(list []presence.Event) (rows []eventRow) {
	for _, e := range slices.Backward(list) {
		row := eventRow{
			Seq: e.Seq, At: stamp(e.Time), When: clock(e.Time), Type: string(e.Type), Words: strings.ReplaceAll(string(e.Type), "_", " "),
			ID: e.ID, Name: e.Name, Interface: e.Interface, Why: e.Why, More: e.Devices,
		}
		if e.Addr.IsValid() {
			row.Addr = e.Addr.String()
		}
		rows = append(rows, row)
	}
	return rows
}

// clock is t for people, by the clock on the wall where Porchlight runs.
func clock(t time.Time) string { return t.Local().Format("Mon 2 Jan 15:04:05") }

// span is how long something went on, as one says it.
func spanWords(from, to time.Time) string {
	if to.IsZero() {
		return fmt.Sprintf("since %s", clock(from))
	}
	return fmt.Sprintf("%s to %s, %s", clock(from), clock(to), presence.Words(to.Sub(from)))
}
