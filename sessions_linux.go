package main

import (
	"net/netip"
	"slices"
	"time"

	"porchlight/history"
	"porchlight/presence"
)

type sessionsCmd struct {
	JSON bool `xor:"form" help:"Print JSON Lines."`
	CSV  bool `xor:"form" help:"Print CSV."`
	chosenDevices
	span
	At       moment `xor:"question" placeholder:"TIME" help:"Who was home then?"`
	Absences bool   `xor:"question" help:"The longest absences instead."`
	Last     int    `short:"n" default:"50" help:"How many to print; 0: all."`
}

// sessionLine is a session, or an absence, in the output.
type sessionLine struct {
	ID        presence.ID  `json:"id"`
	Name      string       `json:"name"`
	From      time.Time    `json:"from"`
	To        time.Time    `json:"to,omitzero"` // zero: it goes on
	LengthS   float64      `json:"length_s"`
	Home      bool         `json:"home"` // false: an absence
	WhyBegan  string       `json:"why_began,omitempty"`
	WhyEnded  string       `json:"why_ended,omitempty"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
}

// Run lists who was home from when to when, the newest last.
func (c sessionsCmd) Run(a *app) error {
	reader, known, err := a.knownDevices()
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	found, err := c.find(a, reader.Queries, known)
	if err != nil {
		return err
	}
	if !c.JSON && !c.CSV {
		rows := sessionRows(found)
		if c.Absences { // the sessions before and after say why
			for i := range rows {
				rows[i] = rows[i][:4]
			}
		}
		return table(a.stdout, rows)
	}
	out, err := newLines(a.stdout, c.CSV, sessionLine{})
	for _, line := range found {
		if err == nil {
			err = out.print(line)
		}
	}
	return err
}

func (c sessionsCmd) find(a *app, q *history.Queries, known []presence.Device) (found []sessionLine, err error) {
	var ids []presence.ID
	if c.chosenDevices.any() {
		if ids, err = c.ids(a, q, known); err != nil {
			return nil, err
		}
	}
	from, to, err := c.times()
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if c.Absences {
		found, err = c.absences(a, q, from, to, now)
	} else {
		found, err = c.sessions(a, q, from, to, now)
	}
	if err != nil {
		return nil, err
	}
	if ids != nil {
		found = slices.DeleteFunc(found, func(l sessionLine) bool { return !slices.Contains(ids, l.ID) })
	}
	if n := len(found); c.Last > 0 && n > c.Last {
		if c.Absences {
			found = found[:c.Last] // the longest
		} else {
			found = found[n-c.Last:] // the newest
		}
	}
	return found, c.name(a, q, known, found)
}

func (c sessionsCmd) sessions(a *app, q *history.Queries, from, to, now time.Time) (found []sessionLine, err error) {
	var sessions []history.Session
	at, err := c.At.at(now)
	switch {
	case err != nil:
		return nil, err
	case c.At.text != "":
		sessions, err = q.HomeAt(a.ctx, at)
	default:
		sessions, err = q.AllSessions(a.ctx, from, to)
	}
	for _, s := range sessions {
		found = append(found, sessionLine{
			ID: s.Device, From: s.From, To: s.To, LengthS: length(s.From, s.To, now), Home: true,
			WhyBegan: s.WhyBegan, WhyEnded: s.WhyEnded, Addresses: s.Addresses,
		})
	}
	slices.SortStableFunc(found, func(x, y sessionLine) int { return x.From.Compare(y.From) })
	return found, err
}

// everyAbsence is more than there can be.
const everyAbsence = 1 << 20

func (c sessionsCmd) absences(a *app, q *history.Queries, from, to, now time.Time) (found []sessionLine, err error) {
	limit := c.Last
	if limit == 0 || c.chosenDevices.any() {
		limit = everyAbsence
	}
	absences, err := q.LongestAbsences(a.ctx, from, to, now, limit)
	for _, x := range absences {
		found = append(found, sessionLine{ID: x.Device, From: x.From, To: x.To, LengthS: length(x.From, x.To, now)})
	}
	return found, err
}

func length(from, to, now time.Time) float64 {
	if to.IsZero() {
		to = now
	}
	return to.Sub(from).Round(time.Second).Seconds()
}

// name says what the devices are called, or were if they are forgotten.
func (c sessionsCmd) name(a *app, q *history.Queries, known []presence.Device, found []sessionLine) error {
	names := map[presence.ID]string{}
	for i := range known {
		names[known[i].ID] = known[i].DisplayName()
	}
	for i := range found {
		id := found[i].ID
		if _, is := names[id]; !is {
			names[id] = string(id)
			once, err := q.Names(a.ctx, id)
			if err != nil {
				return err
			}
			if len(once) > 0 {
				names[id] = once[len(once)-1].Name
			}
		}
		found[i].Name = names[id]
	}
	return nil
}

func sessionRows(found []sessionLine) [][]string {
	rows := [][]string{{"FROM", "TO", "LENGTH", "NAME", "WHY", "AND WHY IT ENDED"}}
	for _, l := range found {
		rows = append(rows, []string{
			when(l.From), when(l.To), presence.Words(time.Duration(l.LengthS) * time.Second), l.Name, l.WhyBegan, l.WhyEnded,
		})
	}
	return rows
}
