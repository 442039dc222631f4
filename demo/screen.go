package demo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"porchlight/presence"
)

// style is how a span looks: an SGR sequence (ECMA-48) without colours when
// they are not wanted.
type style string

const (
	plain  style = ""
	bold   style = "1"
	faint  style = "2"
	green  style = "32"
	yellow style = "33"
	red    style = "1;31"
	blue   style = "36"
	title  style = "1;7"
)

// span is a piece of a line.
type span struct {
	text string
	style
}

// line is one line of the screen.
type line []span

// text returns the line, clipped to columns.
func (l line) text(columns int, colour bool) string {
	var b strings.Builder
	for _, s := range l {
		t := clip(s.text, columns)
		columns -= width(t)
		if colour && s.style != plain && t != "" {
			fmt.Fprintf(&b, "\x1b[%sm%s\x1b[0m", s.style, t)
		} else {
			b.WriteString(t)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// The least that can be drawn on, and how much of it is not table or events.
const (
	minWidth, minHeight = 20, 6
	captionLines        = 2
)

// screen draws the view, at most height lines of at most columns each.
func (v *view) screen(now time.Time, columns, height int, colour bool) []string {
	columns, height = max(columns, minWidth), max(height, minHeight)
	lines := []line{v.header(now, columns)}
	for i, text := range append(wrap(v.caption, columns-3, captionLines), "", "")[:captionLines] {
		mark := "   "
		if i == 0 {
			mark = " ▶ "
		}
		lines = append(lines, line{{mark, blue}, {text, bold}})
	}
	foot := v.footer(columns)
	body := v.body(now, columns)
	room := height - len(lines) - len(foot)
	if len(body) > room-2 { // the newest event is worth more than the last rows
		more := len(body) - (room - 2) + 1
		body = append(body[:max(room-3, 0)], line{{fmt.Sprintf("   … %d more; make the window higher", more), faint}})
	}
	lines = append(lines, body...)
	room -= len(body)
	events := v.recent(columns, room)
	if len(events) < room {
		events = append([]line{nil}, events...)
	}
	lines = append(lines, events...)
	for len(lines) < height-len(foot) {
		lines = append(lines, nil)
	}
	lines = append(lines, foot...)
	out := make([]string, 0, height)
	for _, l := range lines[:min(len(lines), height)] {
		out = append(out, l.text(columns, colour))
	}
	return out
}

// header is the title, who is home, and for how long the demo has run.
func (v *view) header(now time.Time, columns int) line {
	left := fmt.Sprintf(" Porchlight demo   %d of %d home", v.home(), len(v.table()))
	clock := stamp(now.Sub(v.began)) + " "
	if v.blind == "" {
		left = pad(left, max(columns-width(clock), 0))
		return line{{left + clock, title}}
	}
	blind := " BLIND: " + clean(v.blind) + " "
	left = pad(left+"   ", min(width(left)+3, columns))
	rest := max(columns-width(left)-width(clock), 0)
	return line{{left, title}, {pad(blind, rest), "1;7;31"}, {clock, title}}
}

// stamp writes how long the demo has run: 1:05.
func stamp(d time.Duration) string {
	s := int(max(d, 0).Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

var eventStyles = map[presence.EventType]style{
	presence.Arrived: green, presence.Left: yellow, presence.NewDevice: blue,
	presence.SensingLost: red, presence.SensingBack: green,
	presence.AddressConflict: red, presence.VendorChanged: red, presence.ProxyFound: yellow,
	presence.NetworkScan: yellow, presence.SecondDHCP: red, presence.SecondRouter: red,
}

// recent is the last events in at most room lines, the newest last.
func (v *view) recent(columns, room int) []line {
	const indent = 21 // of the words
	var lines []line
	for i := len(v.events) - 1; i >= 0; i-- {
		e := v.events[i]
		who := clean(cmp.Or(e.Name, e.Interface))
		style := eventStyles[e.Type]
		words := wrap(who+": "+clean(e.Why), max(columns-indent, 10), 3)
		block := make([]line, len(words))
		for j, w := range words {
			block[j] = line{{strings.Repeat(" ", indent), plain}, {w, plain}}
		}
		if name, rest, ok := strings.Cut(words[0], ": "); ok {
			block[0] = line{{name + ": ", bold}, {rest, plain}}
		} else {
			block[0] = line{{words[0], bold}}
		}
		at := fmt.Sprintf(" %5s  ", stamp(e.Time.Sub(v.began)))
		block[0] = append(line{{at, faint}, {pad(clean(string(e.Type)), indent-width(at)), style}}, block[0]...)
		if len(lines) > 0 && len(lines)+len(block) > room {
			break
		}
		lines = slices.Concat(block, lines)
	}
	return lines[:min(len(lines), max(room, 0))]
}

// footer says how well it goes, and how to look closer.
func (v *view) footer(columns int) []line {
	score := v.score.words()
	if v.look == "" {
		return []line{{{" " + score, plain}}}
	}
	style := plain
	if v.score.wronglyAway > 0 {
		style = red
	}
	last := line{{" Its topics: ", faint}, {v.look, plain}}
	if columns >= 110 {
		last = append(last, span{"   (Ctrl-C ends the demo)", faint})
	}
	return []line{{{" " + score, style}}, last}
}

// words is how well it went so far.
func (s score) words() string {
	took := func(what string, n int, all []time.Duration) string {
		if n == 0 {
			return "no " + what
		}
		if n > 1 {
			what += "s"
		}
		return fmt.Sprintf("%d %s (after %s)", n, what, tenths(median(all)))
	}
	return fmt.Sprintf("%s, %s, %d wrongly away",
		took("arrival", s.arrivals, s.arrivalTook), took("departure", s.departures, s.departureTook), s.wronglyAway)
}

func tenths(d time.Duration) string {
	if d < time.Second {
		return presence.Words(d)
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}
