package demo

import (
	"cmp"
	"time"

	"porchlight/presence"
)

// column is one of the table. It is left out on windows narrower than from.
type column struct {
	head        string
	width, from int
	cell        func(v *view, r *row, now time.Time) span
}

var allColumns = []column{
	{"", 1, 0, mark},
	{"STATE", 5, 0, func(_ *view, r *row, _ time.Time) span { return span{shown(r.state), stateStyle(r.state)} }},
	{"SINCE", 10, 52, func(_ *view, r *row, now time.Time) span { return span{age(r.Since, now), plain} }},
	{"NAME", 16, 0, func(_ *view, r *row, _ time.Time) span { return span{clean(r.name), plain} }},
	{"ADDRESS", 12, 78, func(_ *view, r *row, _ time.Time) span { return span{clean(r.IP), plain} }},
	{"MAC", 17, 110, maker},
	{"IN TRUTH", 15, 0, reality},
	{"AWAY AFTER", 10, 63, func(_ *view, r *row, _ time.Time) span {
		return span{presence.Words(time.Duration(r.AwayAfterS) * time.Second), plain}
	}},
}

// leastWhy is the room from which on the table has the reasons too.
const leastWhy = 24

// columnsFor returns the columns that fit, in order.
func columnsFor(columns int) (cols []column) {
	used := 1
	for _, c := range allColumns {
		if columns >= c.from {
			cols = append(cols, c)
			used += c.width + 1
		}
	}
	if rest := columns - used; rest >= leastWhy {
		cols = append(cols, column{"WHY", rest, 0, func(_ *view, r *row, _ time.Time) span { return span{clean(r.Why), faint} }})
	}
	return cols
}

// body is the table.
func (v *view) body(now time.Time, columns int) []line {
	cols := columnsFor(columns)
	head := line{{" ", plain}}
	for _, c := range cols {
		head = append(head, span{pad(c.head, c.width), faint}, span{" ", plain})
	}
	lines := []line{head}
	for _, r := range v.table() {
		l := line{{" ", plain}}
		for _, c := range cols {
			cell := c.cell(v, r, now)
			l = append(l, span{pad(cell.text, c.width), cell.style}, span{" ", plain})
		}
		lines = append(lines, l)
	}
	return lines
}

func mark(_ *view, r *row, _ time.Time) span {
	if r.state == presence.Home {
		return span{"●", green}
	}
	return span{"○", faint}
}

func shown(s presence.State) string {
	if s == presence.Home {
		return "home"
	}
	return "away"
}

func stateStyle(s presence.State) style {
	if s == presence.Home {
		return green
	}
	return faint
}

func age(since, now time.Time) string {
	if since.IsZero() {
		return ""
	}
	return lasted(now.Sub(since))
}

func maker(_ *view, r *row, _ time.Time) span {
	if r.PrivateMAC {
		return span{"private MAC", plain}
	}
	return span{clean(cmp.Or(r.Vendor, r.MAC)), plain}
}

// reality is where the device really is: yellow while Porchlight does not know
// it yet, red when it takes it for away by mistake.
func reality(v *view, r *row, now time.Time) span {
	t := v.truth[r.id]
	switch {
	case t == nil:
		return span{"?", faint}
	case t.state() == r.state && t.place == there && t.silent.IsZero():
		return span{t.words(now), plain}
	case t.state() == r.state:
		return span{t.words(now), faint}
	case t.place == out || t.awaited:
		return span{t.words(now), yellow}
	}
	return span{t.words(now), red}
}
