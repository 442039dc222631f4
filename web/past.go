package web

import (
	"context"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"porchlight/history"
	"porchlight/presence"
)

const (
	pastDays   = 30 // of sessions
	pastEvents = 20
)

// devicePast is what the history says of a device.
type devicePast struct {
	Root, Fault string
	ID          presence.ID
	Week        template.HTML // the bars of the last week
	Ticks       []string
	Sessions    []sessionRow // the newest first
	Names       []fact
	Leases      []fact
	Events      template.HTML
}

type sessionRow struct{ When, Addresses, Why string }

// pastOf gathers what the history says of d.
func (p *pages) pastOf(ctx context.Context, d *presence.Device, now time.Time) (v devicePast, err error) {
	v = devicePast{Root: "../", ID: d.ID}
	q := p.cfg.History
	sessions, err := q.Sessions(ctx, d.ID, now.AddDate(0, 0, -pastDays), now)
	if err != nil {
		return v, err
	}
	week := now.Local().AddDate(0, 0, -7)
	gaps, err := q.Gaps(ctx, week, now)
	if err != nil {
		return v, err
	}
	for i := range 7 {
		v.Ticks = append(v.Ticks, week.AddDate(0, 0, i).Format("Mon 2"))
	}
	recent := slices.DeleteFunc(slices.Clone(sessions), func(s history.Session) bool { return !s.Open() && s.To.Before(week) })
	var picture markup
	picture.bars(d, newPicture(week, now, now, gaps), recent)
	v.Week = picture.html()
	for _, s := range slices.Backward(sessions) {
		var addrs []string
		for _, a := range s.Addresses {
			addrs = append(addrs, a.String())
		}
		v.Sessions = append(v.Sessions, sessionRow{spanWords(s.From, s.To), strings.Join(addrs, ", "), s.WhyBegan + endWords(s.WhyEnded)})
	}
	names, err := q.Names(ctx, d.ID)
	if err != nil {
		return v, err
	}
	for _, n := range slices.Backward(names) {
		v.Names = append(v.Names, fact{fmt.Sprintf("%s, since %s", strings.ReplaceAll(n.Kind, "_", " "), clock(n.Since)), n.Name})
	}
	leases, err := q.Leases(ctx, d.ID)
	if err != nil {
		return v, err
	}
	for _, l := range leases {
		v.Leases = append(v.Leases, fact{l.Addr.String(), fmt.Sprintf("%s, last by %s", spanWords(l.First, l.Last), l.Said)})
	}
	events, err := q.Find(ctx, history.EventFilter{Devices: []presence.ID{d.ID}}, history.Page{Limit: pastEvents})
	v.Events = eventList(v.Root, events)
	return v, err
}
