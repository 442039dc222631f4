package web

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"porchlight/history"
	"porchlight/presence"
)

// stretchOf is a stretch of time that one can choose.
type stretchOf struct {
	Name  string
	Days  int
	Ticks int    // parts that it is divided into
	Tick  string // how the begin of a part is written
}

// The stretches of time that the timeline shows.
var spans = []stretchOf{
	{"day", 1, 8, "15:04"},
	{"week", 7, 7, "Mon 2"},
	{"month", 30, 10, "2 Jan"},
}

// lanesPerPage bounds what one page costs: a month of a lane is some 7 kB.
const lanesPerPage = 100

// timelineView is what timeline.html shows.
type timelineView struct {
	layout
	Filter                         filter
	States, Groups, Kinds, Vendors options
	Spans                          []link
	Span                           string
	Earlier, Later                 string // queries; Later is empty when it would be the future
	Title2                         string // what it shows, in words
	Ticks                          []string
	Lanes                          template.HTML // one for each device
	Count                          string        // which of how many it shows; empty: all
	Before, After                  string        // queries of the other parts; empty: there is none
	Day                            string
}

// link is one of several to choose from.
type link struct {
	To, Text string
	Here     bool
}

// timeline shows when each device was home.
func (p *pages) timeline(w http.ResponseWriter, r *http.Request) {
	devices, _, err := p.cfg.Source.Snapshot(r.Context())
	if err != nil {
		p.fault(w, r, http.StatusServiceUnavailable, "Porchlight does not answer", err)
		return
	}
	q := r.URL.Query()
	now := time.Now()
	which := max(slices.IndexFunc(spans, func(s stretchOf) bool { return s.Name == q.Get("span") }), 0)
	s := spans[which]
	from, to := stretch(q.Get("day"), s.Days, now)
	v := timelineView{
		layout: p.layout(r, "Timeline", "timeline"), Filter: filterOf(r), Span: s.Name, Day: q.Get("day"),
		Title2: clock(from) + " to " + clock(to),
	}
	v.States, v.Groups, v.Kinds, v.Vendors = v.Filter.options(devices)
	for i, other := range spans {
		v.Spans = append(v.Spans, link{changed(q, "span", other.Name), other.Name, i == which})
	}
	v.Earlier = changed(q, "day", from.Add(-1).Local().Format(time.DateOnly))
	if to.Before(now) {
		v.Later = changed(q, "day", to.Local().AddDate(0, 0, s.Days-1).Format(time.DateOnly))
	}
	v.Ticks = s.ticks(from, to)
	chosen := v.Filter.of(devices)
	sortByName(chosen)
	if v.Lanes, err = p.lanes(r, v.part(q, chosen), from, to, now); err != nil {
		p.fault(w, r, http.StatusServiceUnavailable, "The history cannot be read", err)
		return
	}
	p.render(w, http.StatusOK, "timeline.html", v)
}

// part returns the devices of the page that q asks for.
func (v *timelineView) part(q url.Values, chosen []presence.Device) []presence.Device {
	last := max(len(chosen)-1, 0) / lanesPerPage
	page, _ := strconv.Atoi(q.Get("page")) // 0, the first, when it is no number
	page = min(max(page, 0), last)
	first := page * lanesPerPage
	end := min(first+lanesPerPage, len(chosen))
	if last > 0 {
		v.Count = fmt.Sprintf("%d to %d of %d devices", first+1, end, len(chosen))
	}
	if page > 0 {
		v.Before = changed(q, "page", strconv.Itoa(page-1))
	}
	if page < last {
		v.After = changed(q, "page", strconv.Itoa(page+1))
	}
	return chosen[first:end]
}

// lanes are the pictures of devices, one below the other.
func (p *pages) lanes(r *http.Request, devices []presence.Device, from, to, now time.Time) (template.HTML, error) {
	if len(devices) == 0 {
		return "", nil
	}
	ids := make([]presence.ID, len(devices))
	for i, d := range devices {
		ids[i] = d.ID
	}
	past, err := p.cfg.History.Timeline(r.Context(), from, to, ids...)
	if err != nil {
		return "", err
	}
	sessions, picture := byDevice(past.Sessions), newPicture(from, to, now, past.Gaps)
	var m markup
	for i := range devices {
		d := &devices[i]
		m.lane(rootOf(r), d, picture, sessions[d.ID])
	}
	return m.html(), nil
}

// ticks are the begins of the parts, as one writes them. A day that has 23 hours
// or 25 is divided as the clock on the wall is not; of longer stretches each part
// begins on a day of its own.
func (s stretchOf) ticks(from, to time.Time) (ticks []string) {
	for i := range s.Ticks {
		at := from.Local().AddDate(0, 0, i*s.Days/s.Ticks)
		if s.Days == 1 {
			at = from.Add(to.Sub(from) * time.Duration(i) / time.Duration(s.Ticks)).Local()
		}
		ticks = append(ticks, at.Format(s.Tick))
	}
	return ticks
}

// stretch returns the time from the begin of a day to the end of the last of so
// many. Without a day, or with one to come, it ends now.
func stretch(day string, days int, now time.Time) (from, to time.Time) {
	to = now
	if d, err := time.ParseInLocation(time.DateOnly, day, time.Local); err == nil && d.Before(now) && d.Year() > 1970 {
		if end := d.AddDate(0, 0, 1); end.Before(now) {
			to = end
		}
	}
	return to.Local().AddDate(0, 0, -days), to
}

// changed returns the query with one value changed.
func changed(q url.Values, name, value string) string {
	to := url.Values{}
	for _, n := range []string{"span", "day", "page", "q", "state", "group", "kind", "vendor"} {
		if q.Get(n) != "" {
			to.Set(n, q.Get(n))
		}
	}
	to.Set(name, value)
	return "?" + to.Encode()
}

// byDevice divides sessions that are ordered by device.
func byDevice(all []history.Session) map[presence.ID][]history.Session {
	of := map[presence.ID][]history.Session{}
	for len(all) > 0 {
		id := all[0].Device
		n := slices.IndexFunc(all, func(s history.Session) bool { return s.Device != id })
		if n < 0 {
			n = len(all)
		}
		of[id], all = all[:n], all[n:]
	}
	return of
}
