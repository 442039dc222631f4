package web

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
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

// barsWidth is the width of the picture in its own units. What is closer
// together than one of them is drawn as one, so that a picture of any span has a
// bounded size.
const barsWidth = 1000

// timelineView is what timeline.html shows.
type timelineView struct {
	layout
	Filter                         filter
	States, Groups, Kinds, Vendors []option
	Spans                          []link
	Span                           string
	Earlier, Later                 string // queries; Later is empty when it would be the future
	Title2                         string // what it shows, in words
	Ticks                          []string
	Rows                           []timelineRow
	More                           int
	Day                            string
}

// link is one of several to choose from.
type link struct {
	To, Text string
	Here     bool
}

// timelineRow is the presence of one device.
type timelineRow struct {
	ID   presence.ID
	Name string
	Home bool
	Bars []span
}

// span is a stretch of a row.
type span struct {
	X, Width float64
	Class    string // home, or the kind of a gap
	Title    string // when and why
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
	past, err := p.cfg.History.Timeline(r.Context(), from, to)
	if err != nil {
		p.fault(w, r, http.StatusServiceUnavailable, "The history cannot be read", err)
		return
	}
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
	for i := range s.Ticks {
		v.Ticks = append(v.Ticks, from.Add(to.Sub(from)*time.Duration(i)/time.Duration(s.Ticks)).Local().Format(s.Tick))
	}
	chosen := v.Filter.of(devices)
	slices.SortFunc(chosen, byName)
	v.More = max(len(chosen)-maxRows, 0)
	sessions := byDevice(past.Sessions)
	for _, d := range chosen[:min(len(chosen), maxRows)] {
		v.Rows = append(v.Rows, newTimelineRow(&d, sessions[d.ID], past.Gaps, from, to, now))
	}
	p.render(w, http.StatusOK, "timeline.html", v)
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
	for _, n := range []string{"span", "day", "q", "state", "group", "kind", "vendor"} {
		if q.Get(n) != "" {
			to.Set(n, q.Get(n))
		}
	}
	to.Set(name, value)
	return "?" + to.Encode()
}

func byDevice(all []history.Session) map[presence.ID][]history.Session {
	of := map[presence.ID][]history.Session{}
	for _, s := range all {
		of[s.Device] = append(of[s.Device], s)
	}
	return of
}

// newTimelineRow draws the sessions of d, and over them what nobody could know.
func newTimelineRow(d *presence.Device, sessions []history.Session, gaps []history.Gap, from, to, now time.Time) timelineRow {
	row := timelineRow{ID: d.ID, Name: d.DisplayName(), Home: d.State == presence.Home}
	scale := barsWidth / to.Sub(from).Seconds()
	place := func(begin, end time.Time) (x, width float64) {
		if end.IsZero() || end.After(to) {
			end = to
		}
		if end.After(now) {
			end = now
		}
		if begin.Before(from) {
			begin = from
		}
		x = round(begin.Sub(from).Seconds() * scale)
		return x, round(max(end.Sub(begin).Seconds()*scale, 0.5))
	}
	for _, s := range sessions {
		x, width := place(s.From, s.To)
		row.add(span{x, width, "home", "home " + spanWords(s.From, s.To) + ". " + s.WhyBegan + endWords(s.WhyEnded)})
	}
	for _, g := range gaps {
		if g.Interface != "" && d.Interface != "" && !within(d.Interface, g.Interface) {
			continue
		}
		x, width := place(g.From, g.To)
		row.add(span{x, width, string(g.Kind), strings.TrimSpace(gapWords(g)) + ", " + spanWords(g.From, g.To)})
	}
	return row
}

// add draws s, or makes the one before it longer when they cannot be told apart.
func (row *timelineRow) add(s span) {
	if n := len(row.Bars); n > 0 {
		last := &row.Bars[n-1]
		if last.Class == s.Class && s.X-(last.X+last.Width) < 1 {
			end := max(last.X+last.Width, s.X+s.Width)
			if first, _, several := strings.Cut(last.Title, ", and more"); !several {
				last.Title = first + ", and more, up to: " + s.Title
			}
			last.Width = round(end - last.X)
			return
		}
	}
	row.Bars = append(row.Bars, s)
}

// within reports whether frames of the interface of a device come through name.
func within(of, name string) bool {
	for trunk := range presence.Trunks(of) {
		if trunk == name {
			return true
		}
	}
	return false
}

func endWords(why string) string {
	if why == "" {
		return ""
	}
	return ". " + why
}

func gapWords(g history.Gap) string {
	words := map[history.GapKind]string{
		history.Blind: "could not hear", history.Outage: "all fell silent together",
		history.Stopped: "Porchlight did not run", history.Asleep: "this machine slept",
	}[g.Kind]
	if g.Interface != "" {
		words += " on " + g.Interface
	}
	if g.Why != "" {
		words += fmt.Sprintf(" (%s)", g.Why)
	}
	return words
}

func round(f float64) float64 { return math.Round(f*10) / 10 }
