package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"net/url"
	"slices"
	"time"

	"porchlight/config"
	"porchlight/connections"
	"porchlight/presence"
	"porchlight/traffic"
)

// Traffic is where the pages get what passed this machine's interfaces. Its
// methods are called from any goroutine.
type Traffic interface {
	// Buckets returns what passed between two times by equal spans of time, the
	// oldest first (traffic.NewBuckets).
	Buckets(ctx context.Context, since, until time.Time, step time.Duration) ([]traffic.Round, error)
}

// trafficSpan is a stretch of time that the page shows.
type trafficSpan struct {
	stretchOf
	step time.Duration // of a slot
	rows int           // of the table, about: a day of 25 hours has one more
}

// trafficSpans are those of the timeline.
var trafficSpans = []trafficSpan{
	{spans[0], 15 * time.Minute, 24},
	{spans[1], 2 * time.Hour, 7},
	{spans[2], 4 * time.Hour, 30},
}

// of returns when it begins and ends: it ends with a day, or of one day with the
// hour that is now, so that people know the hours and days that it is divided into.
func (s trafficSpan) of(day string, now time.Time) (from, to time.Time) {
	_, to = stretch(day, s.Days, now)
	if to.Equal(now) {
		y, m, d := now.Local().Date()
		to = time.Date(y, m, d+1, 0, 0, 0, 0, time.Local)
		if s.Days == 1 {
			midnight := time.Date(y, m, d, 0, 0, 0, 0, time.Local)
			to = midnight.Add(now.Sub(midnight).Truncate(time.Hour) + time.Hour)
		}
	}
	return to.Local().AddDate(0, 0, -s.Days), to
}

// whenFormat is how it is written: it tells whose clock it is.
const whenFormat = "Mon 2 Jan 15:04 MST"

const (
	// maxTalkers is how many hosts, and how many devices, the page lists.
	maxTalkers = 10
	// tellMissing is how much time is told of when it was not recorded: a restart,
	// and the round that is not over, are no news.
	tellMissing = 10 * time.Minute
)

// trafficView is what traffic.html shows.
type trafficView struct {
	layout
	Off              string // why there is nothing to show
	When, Recording  string // in words
	Said             []string
	Spans            []link
	Span, Day        string
	Interfaces, Unit options
	Earlier, Later   string // queries; Later is empty when it would be the future
	Areas            template.HTML
	Cut              string // what of the picture is cut off; empty: nothing
	Protocols        []protocolRow
	Times            []timeRow
	Devices, Hosts   template.HTML
	Ticks            []string
	Ports            template.HTML
	MorePorts        string
	Every            bool // interface, not one that was chosen
}

// protocolRow is what passed of a protocol.
type protocolRow struct{ Name, In, Out, PacketsIn, PacketsOut, Share string }

// timeRow is what passed in a part of the time.
type timeRow struct{ From, In, Out, Packets, Note string }

// traffic shows what passed over a day, a week or a month.
func (p *pages) traffic(w http.ResponseWriter, r *http.Request) {
	v := trafficView{layout: p.layout(r, "Traffic", "traffic"), Recording: p.trafficRecording()}
	if p.cfg.Traffic == nil {
		v.Off = v.Recording
		p.render(w, http.StatusOK, "traffic.html", v)
		return
	}
	q, now := r.URL.Query(), time.Now()
	wrong := presence.CleanText(q.Get("day"), maxAsked)
	if _, err := time.Parse(time.DateOnly, wrong); err == nil {
		wrong = ""
	} else {
		q.Del("day")
	}
	which := max(slices.IndexFunc(trafficSpans, func(s trafficSpan) bool { return s.Name == q.Get("span") }), 0)
	s := trafficSpans[which]
	from, to := s.of(q.Get("day"), now)
	who, err := p.people(r.Context())
	if err != nil {
		p.fault(w, r, http.StatusServiceUnavailable, "Porchlight does not answer", err)
		return
	}
	step := s.reads(from, to)
	rounds, err := p.buckets.between(r.Context(), from, to, step, now)
	if errors.Is(err, traffic.ErrEmpty) {
		v.Off = v.Recording + " So far nothing was."
		p.render(w, http.StatusOK, "traffic.html", v)
		return
	}
	if err != nil {
		p.fault(w, r, http.StatusServiceUnavailable, "The traffic cannot be read", err)
		return
	}
	if step != s.step {
		rounds = s.byClock(rounds)
	}
	v.Span, v.Day = s.Name, q.Get("day")
	for i, other := range trafficSpans {
		v.Spans = append(v.Spans, link{trafficQuery(q, "span", other.Name), other.Name, i == which})
	}
	v.Earlier = trafficQuery(q, "day", from.Add(-1).Local().Format(time.DateOnly))
	if to.Before(now) {
		v.Later = trafficQuery(q, "day", to.Local().AddDate(0, 0, s.Days-1).Format(time.DateOnly))
	}
	v.When = from.Local().Format(whenFormat) + " to " + earlier(to, now).Local().Format(whenFormat)
	v.Ticks = s.ticks(from, to)
	v.fill(q, &trafficPicture{s, from, to, now, rounds}, who)
	if wrong != "" {
		v.Said = append(v.Said, fmt.Sprintf("%s is no day such as 2026-03-01: this is up to now", wrong))
	}
	p.render(w, http.StatusOK, "traffic.html", v)
}

// trafficRecording says whether traffic is recorded, or how it would be.
func (p *pages) trafficRecording() string {
	switch p.cfg.TrafficMode {
	case "always":
		return "It is recorded always."
	case "attended":
		return "It is recorded while somebody is at this machine."
	}
	return "Traffic is not recorded: PORCHLIGHT_TRAFFIC=always counts what passes, PORCHLIGHT_TRAFFIC=attended while somebody is at this machine."
}

// trafficQuery returns the query with one value changed.
func trafficQuery(q url.Values, name, value string) string {
	to := url.Values{}
	for _, n := range []string{"span", "day", "interface", "of"} {
		if q.Get(n) != "" {
			to.Set(n, q.Get(n))
		}
	}
	to.Set(name, value)
	return "?" + to.Encode()
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// trafficPicture is what is shown.
type trafficPicture struct {
	span          trafficSpan
	from, to, now time.Time
	rounds        []traffic.Round // one for each slot
}

// fill gathers what there is to show.
func (v *trafficView) fill(q url.Values, t *trafficPicture, who *people) {
	total := traffic.Merge(t.rounds)
	on := presence.CleanText(q.Get("interface"), maxAsked)
	names := map[string]string{}
	for k := range total.Counts {
		names[k.Interface] = k.Interface
	}
	v.Interfaces = choices(names, on)
	v.Interfaces[0].Text = "all"
	of := q.Get("of")
	u, known := units[of]
	if !known {
		of, u = "", units[""]
	}
	v.Unit = options{{"", "bytes", of == ""}, {"packets", "packets", of == "packets"}}
	v.Every = on == ""

	in, out := amount(&total, traffic.In, on), amount(&total, traffic.Out, on)
	v.Title = fmt.Sprintf("%s in, %s out", bytesWords(float64(in.Bytes)), bytesWords(float64(out.Bytes)))
	v.Said = t.said(&total)
	slots := slotsOf(t.rounds, on, u)
	picture := newAreas(slots, t, u)
	v.Cut = picture.cutWords()
	v.Areas = picture.draw(fmt.Sprintf("Traffic by protocol from %s: %s in %s packets, %s in %s packets. The tables below have the numbers.", v.When,
		bytesWords(float64(in.Bytes))+" came", short(float64(in.Packets)), bytesWords(float64(out.Bytes))+" went", short(float64(out.Packets))))
	v.Protocols = protocolRows(&total, on, in.Bytes+out.Bytes)
	v.Times = t.times(on)
	v.Devices, v.Hosts = talkerRows(v.Root, total.Devices, who), talkerRows(v.Root, total.Hosts, who)
	v.Ports, v.MorePorts = t.ports(&total)
}

// amount is what passed in a direction on one interface, or on all.
func amount(r *traffic.Round, d traffic.Direction, on string) (c traffic.Count) {
	for k, n := range r.Counts {
		if k.Direction == d && (on == "" || k.Interface == on) {
			c.Add(n)
		}
	}
	return c
}

// said is what to know about the numbers.
func (t *trafficPicture) said(total *traffic.Round) (said []string) {
	missing := earlier(t.to, t.now).Sub(t.from) - total.Counted
	switch {
	case total.Counted <= 0:
		said = append(said, "nothing was recorded in this time")
	case missing >= tellMissing:
		said = append(said, fmt.Sprintf("of %s in this time nothing is known: it was not recorded", presence.Words(missing)))
	}
	if total.Dropped > 0 {
		all := total.Dropped
		for _, c := range total.Counts {
			all += c.Packets
		}
		said = append(said, fmt.Sprintf("%d packets (%s) came faster than they could be counted, and are not in these numbers", total.Dropped, percent(float64(total.Dropped)/float64(all))))
	}
	return said
}

// protocolRows are what passed by protocol, without those of which nothing did.
func protocolRows(total *traffic.Round, on string, bytes uint64) (rows []protocolRow) {
	for _, p := range traffic.Protocols() {
		var both [2]traffic.Count
		for k, c := range total.Counts {
			if k.Protocol == p && (on == "" || k.Interface == on) {
				both[k.Direction].Add(c)
			}
		}
		in, out := both[traffic.In], both[traffic.Out]
		if in.Packets+out.Packets == 0 {
			continue
		}
		rows = append(rows, protocolRow{
			p.String(), bytesWords(float64(in.Bytes)), bytesWords(float64(out.Bytes)), short(float64(in.Packets)), short(float64(out.Packets)),
			percent(float64(in.Bytes+out.Bytes) / float64(max(bytes, 1))),
		})
	}
	return rows
}

// times is what passed over time, in fewer parts than the picture has.
func (t *trafficPicture) times(on string) (rows []timeRow) {
	each := max((len(t.rounds)+t.span.rows/2)/t.span.rows, 1)
	for part := range slices.Chunk(t.rounds, each) {
		if part[0].Start.After(t.now) {
			break
		}
		var in, out traffic.Count
		var counted, length time.Duration
		for i := range part {
			in.Add(amount(&part[i], traffic.In, on))
			out.Add(amount(&part[i], traffic.Out, on))
			counted, length = counted+part[i].Counted, length+part[i].Length
		}
		row := timeRow{From: t.span.begin(part[0].Start), Note: "not recorded"}
		if counted > 0 {
			row.In, row.Out = bytesWords(float64(in.Bytes)), bytesWords(float64(out.Bytes))
			row.Packets, row.Note = short(float64(in.Packets+out.Packets)), ""
		}
		if length = min(length, t.now.Sub(part[0].Start)); counted > 0 && counted < length*98/100 {
			row.Note = fmt.Sprintf("recorded for %s of %s", presence.Words(counted), presence.Words(length))
		}
		rows = append(rows, row)
	}
	return rows
}

// begin writes when a part of the time begins: where that is a day by its name
// alone.
func (s trafficSpan) begin(t time.Time) string {
	t = t.Local()
	if s.Days > 1 && t.Hour()+t.Minute() == 0 {
		return t.Format("Mon 2 Jan")
	}
	return t.Format("Mon 2 Jan 15:04")
}

// talkerRows are the busiest, with a bar of how busy each is beside the first.
func talkerRows(root string, all []traffic.Talker, who *people) template.HTML {
	var m markup
	var most uint64
	for i := range all {
		most = max(most, all[i].In.Bytes+all[i].Out.Bytes)
	}
	for i := range all[:min(len(all), maxTalkers)] {
		t := &all[i]
		m.add(`<tr><th scope="row">`)
		switch {
		case t.Device != "":
			m.device(root, who.id(t.Addr, t.Device), t.Device)
		default:
			m.add(`<a href="%connections?remote=%">%</a>`, root, url.QueryEscape(t.Addr.String()), t.Addr.String())
		}
		m.add(`</th><td class="number">%</td><td class="number">%</td><td class="long"><svg class="share" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true"><rect class="in" width="`, bytesWords(float64(t.In.Bytes)), bytesWords(float64(t.Out.Bytes)))
		in := round(1000 * float64(t.In.Bytes) / float64(max(most, 1)))
		m.decimal(in)
		m.add(`" height="10"/><rect class="out" x="`)
		m.decimal(in)
		m.add(`" width="`)
		m.decimal(round(1000 * float64(t.Out.Bytes) / float64(max(most, 1))))
		m.add(`" height="10"/></svg></td></tr>` + "\n")
	}
	return m.html()
}

// bytesWords is a number of bytes for people.
func bytesWords(f float64) string {
	return cmp.Or(connections.BytesText(uint64(max(f, 0)+0.5)), "0 B")
}

// short is a number for people.
func short(f float64) string {
	switch {
	case f < 10 && f != math.Trunc(f):
		return fmt.Sprintf("%.1f", f)
	case f < 10_000:
		return fmt.Sprintf("%.0f", f)
	case f < 1e6:
		return fmt.Sprintf("%.1f thousand", f/1e3)
	case f < 1e9:
		return fmt.Sprintf("%.1f million", f/1e6)
	}
	return fmt.Sprintf("%.1f billion", f/1e9)
}

func percent(share float64) string {
	if share > 0 && share < 0.01 {
		return "under 1 %"
	}
	return fmt.Sprintf("%.0f %%", 100*share)
}

// maxParts is how many parts the API answers with.
const maxParts = 400

func (p *pages) apiTraffic(_ context.Context, r *http.Request) (any, error) {
	if p.cfg.Traffic == nil {
		return nil, fault{http.StatusNotFound, errors.New(p.trafficRecording())}
	}
	from, to, err := pastOf(r)
	if err != nil {
		return nil, err
	}
	step := to.Sub(from) / 24
	if text := r.URL.Query().Get("step"); text != "" {
		if step, err = config.ParseDuration(text); err != nil || step <= 0 {
			return nil, badRequest("step: want a time such as 15m or 1d")
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), trafficTime)
	defer cancel()
	rounds, err := p.cfg.Traffic.Buckets(ctx, from, to, max(step, (to.Sub(from)+maxParts-1)/maxParts))
	if err != nil && !errors.Is(err, traffic.ErrEmpty) {
		return nil, err
	}
	lines := []traffic.Line{}
	for i := range rounds {
		lines = append(lines, traffic.NewLine(&rounds[i]))
	}
	return lines, nil
}
