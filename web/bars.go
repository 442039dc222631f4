package web

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"porchlight/history"
	"porchlight/presence"
)

// barsWidth is the width of the picture in its own units. What is closer
// together than one of them is drawn as one, so that a picture of any span has a
// bounded size.
const barsWidth = 1000

// picture draws the presence of devices over a stretch of time.
type picture struct {
	from, to, now time.Time
	gaps          []history.Gap
	drawn         map[string][]bar // the gaps, by the interface of the devices
}

func newPicture(from, to, now time.Time, gaps []history.Gap) *picture {
	return &picture{from, to, now, gaps, map[string][]bar{}}
}

// bar is a part of the time.
type bar struct {
	X, Width    float64
	Class       string // home, or the kind of a gap
	first, last spell  // what it stands for; others may be between them
}

// spell is a time in which something was so.
type spell struct {
	from, to time.Time // zero: it goes on
	what     string    // when it is no session
	session  *history.Session
}

// known returns where in the picture it begins to be known of d whether it is
// home or away.
func (p *picture) known(d *presence.Device) float64 {
	if !d.FirstSeen.After(p.from) {
		return 0
	}
	return round(min(d.FirstSeen.Sub(p.from).Seconds()/p.to.Sub(p.from).Seconds(), 1) * barsWidth)
}

// bars are the sessions of d, and over them what nobody could know.
func (p *picture) bars(d *presence.Device, sessions []history.Session) (bars []bar) {
	for i := range sessions {
		s := &sessions[i]
		bars = p.add(bars, "home", spell{from: s.From, to: s.To, session: s})
	}
	return append(bars, p.gapsOf(d.Interface)...)
}

// gapsOf are the gaps of the devices on an interface; empty: it is not known.
func (p *picture) gapsOf(on string) []bar {
	bars, drawn := p.drawn[on]
	if drawn {
		return bars
	}
	for _, g := range p.gaps {
		if g.Interface == "" || on == "" || within(on, g.Interface) {
			bars = p.add(bars, string(g.Kind), spell{from: g.From, to: g.To, what: gapWords(g)})
		}
	}
	p.drawn[on] = bars
	return bars
}

// add draws s, or makes the bar before it longer when they cannot be told apart.
func (p *picture) add(bars []bar, class string, s spell) []bar {
	end := s.to
	if end.IsZero() || end.After(p.to) {
		end = p.to
	}
	if end.After(p.now) {
		end = p.now
	}
	begin := s.from
	if begin.Before(p.from) {
		begin = p.from
	}
	scale := barsWidth / p.to.Sub(p.from).Seconds()
	b := bar{round(begin.Sub(p.from).Seconds() * scale), round(max(end.Sub(begin).Seconds()*scale, 0.5)), class, s, s}
	if n := len(bars); n > 0 {
		before := &bars[n-1]
		if before.Class == b.Class && b.X-(before.X+before.Width) < 1 {
			before.Width = round(max(before.X+before.Width, b.X+b.Width) - before.X)
			before.last = s
			return bars
		}
	}
	return append(bars, b)
}

// title says when and why.
func (m *markup) title(b *bar) {
	m.spell(&b.first)
	if b.first != b.last {
		m.add(", and more, up to: ")
		m.spell(&b.last)
	}
}

func (m *markup) spell(s *spell) {
	if s.session == nil {
		m.add("%, ", s.what)
		m.span(s.from, s.to)
		return
	}
	m.add("home ")
	m.span(s.from, s.to)
	m.add(". %", s.session.WhyBegan)
	if s.session.WhyEnded != "" {
		m.add(". %", s.session.WhyEnded)
	}
}

// lane is the line of a device in the timeline.
func (m *markup) lane(root string, d *presence.Device, p *picture, sessions []history.Session) {
	m.add(`<div class="lane">
<a href="%devices/%"`, root, string(d.ID))
	if d.State == presence.Home {
		m.add(` class="is-home"`)
	}
	m.add("><bdi>%</bdi></a>\n", d.DisplayName())
	m.bars(d, p, sessions)
	m.add("\n</div>\n")
}

// bars draws when d was home, from when on it is known.
func (m *markup) bars(d *presence.Device, p *picture, sessions []history.Session) {
	m.add(`<svg class="bars" viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" aria-label="Presence of %"><rect class="away" x="`, d.DisplayName())
	known := p.known(d)
	m.decimal(known)
	m.add(`" width="`)
	m.decimal(round(barsWidth - known))
	m.add(`" height="20"/>`)
	bars := p.bars(d, sessions)
	for i := range bars {
		b := &bars[i]
		m.add(`<rect class="%" x="`, b.Class)
		m.decimal(b.X)
		m.add(`" width="`)
		m.decimal(b.Width)
		m.add(`" height="20"><title>`)
		m.title(b)
		m.add("</title></rect>")
	}
	m.add("</svg>")
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

func (m *markup) decimal(f float64) { m.b = strconv.AppendFloat(m.b, f, 'f', -1, 64) }
