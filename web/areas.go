package web

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"

	"porchlight/presence"
	"porchlight/traffic"
)

// The picture's own units. It is stretched to the width of the page; its height
// and its texts are not.
const (
	areasWidth  = 1000
	areasHeight = 240
	// leastSide is how much of the height either direction has.
	leastSide = 0.15
)

// unit is what is drawn.
type unit struct {
	of   func(traffic.Count) uint64
	text func(float64) string // of a rate
}

var units = map[string]unit{
	"":        {func(c traffic.Count) uint64 { return c.Bytes }, func(f float64) string { return bytesWords(f) + "/s" }},
	"packets": {func(c traffic.Count) uint64 { return c.Packets }, func(f float64) string { return short(f) + " packets/s" }},
}

// slot is what passed in an equal part of the time, per second of what was
// counted of it.
type slot struct {
	from, to time.Time
	counted  time.Duration // 0: it is a gap
	rates    [2][]float64  // by direction and place in traffic.Protocols
	sum      [2]float64
}

// seen reports whether anything was counted.
func (s *slot) seen() bool { return s.counted > 0 }

// slotsOf are the rates of rounds on one interface, or on all when on is empty.
func slotsOf(rounds []traffic.Round, on string, u unit) []slot {
	order := traffic.Protocols()
	place := map[traffic.Protocol]int{}
	for i, p := range order {
		place[p] = i
	}
	slots := make([]slot, len(rounds))
	for i := range rounds {
		r := &rounds[i]
		s := &slots[i]
		*s = slot{from: r.Start, to: r.Start.Add(r.Length), counted: r.Counted}
		for d := range s.rates {
			s.rates[d] = make([]float64, len(order))
		}
		if !s.seen() {
			continue
		}
		for k, c := range r.Counts {
			if on != "" && k.Interface != on {
				continue
			}
			rate := float64(u.of(c)) / r.Counted.Seconds()
			s.rates[k.Direction][place[k.Protocol]] += rate
			s.sum[k.Direction] += rate
		}
	}
	return slots
}

// areas draws slots between two times: what came in above the line, what went out
// below it, one protocol upon the other.
type areas struct {
	markup
	slots         []slot
	from, to, now time.Time
	unit          unit
	base          float64 // y of the line between in and out
	scale         float64 // units of height for one of the rate
}

func newAreas(slots []slot, t *trafficPicture, u unit) *areas {
	a := &areas{slots: slots, from: t.from, to: t.to, now: t.now, unit: u, base: areasHeight / 2}
	most := [2]float64{top(slots, traffic.In), top(slots, traffic.Out)}
	if all := most[traffic.In] + most[traffic.Out]; all > 0 {
		a.base = areasHeight * min(max(most[traffic.In]/all, leastSide), 1-leastSide)
		a.scale = 0.94 * min(a.base/max(most[traffic.In], math.SmallestNonzeroFloat32), (areasHeight-a.base)/max(most[traffic.Out], math.SmallestNonzeroFloat32))
	}
	return a
}

// x is where a time is.
func (a *areas) x(t time.Time) float64 {
	return round(min(max(t.Sub(a.from).Seconds()/a.to.Sub(a.from).Seconds(), 0), 1) * areasWidth)
}

// y is where a rate is, at the edge of the picture when there is no room for it.
func (a *areas) y(d traffic.Direction, rate float64) float64 {
	if d == traffic.Out {
		return round(min(a.base+rate*a.scale, areasHeight))
	}
	return round(max(a.base-rate*a.scale, 0))
}

// draw returns the picture; words say what is in it.
func (a *areas) draw(words string) template.HTML {
	a.add(`<svg id="areas" class="areas" tabindex="0" role="img" aria-label="%">`+"\n", words)
	a.add(`<svg width="100%" height="240" viewBox="0 0 1000 240" preserveAspectRatio="none">`+"\n", "%")
	a.gaps()
	for i, p := range traffic.Protocols() {
		for _, d := range []traffic.Direction{traffic.In, traffic.Out} {
			a.area(i, p, d)
		}
	}
	for i := range a.slots {
		a.column(&a.slots[i])
	}
	a.add("</svg>\n")
	a.axes()
	a.add("</svg>")
	return a.html()
}

// gaps are what nobody counted.
func (a *areas) gaps() {
	for first := 0; first < len(a.slots); first++ {
		if a.slots[first].seen() || a.slots[first].to.After(a.now) { // what is now is written down when it is over
			continue
		}
		last := first
		for last+1 < len(a.slots) && !a.slots[last+1].seen() && !a.slots[last+1].to.After(a.now) {
			last++
		}
		a.rect("gap", a.slots[first].from, a.slots[last].to)
		a.add("<title>not recorded, ")
		a.span(a.slots[first].from, a.slots[last].to)
		a.add("</title></rect>\n")
		first = last
	}
}

func (a *areas) rect(class string, from, to time.Time) {
	x := a.x(from)
	a.add(`<rect class="%" x="`, class)
	a.decimal(x)
	a.add(`" width="`)
	a.decimal(round(a.x(to) - x))
	a.add(`" height="240">`)
}

// column says what is in a slot, to who points at it.
func (a *areas) column(s *slot) {
	if !s.seen() {
		return
	}
	a.rect("slot", s.from, s.to)
	a.add("<title>")
	a.span(s.from, s.to)
	for _, d := range []traffic.Direction{traffic.In, traffic.Out} {
		a.add(". % %", map[traffic.Direction]string{traffic.In: "In", traffic.Out: "Out"}[d], a.unit.text(s.sum[d]))
		shares := make([]string, 0, 4)
		for i, p := range traffic.Protocols() {
			if share := s.rates[d][i] / max(s.sum[d], math.SmallestNonzeroFloat32); share >= 0.05 {
				shares = append(shares, fmt.Sprintf("%s %.0f %%", p, 100*share))
			}
		}
		if len(shares) > 0 {
			a.add(": %", strings.Join(shares, ", "))
		}
	}
	if length := s.to.Sub(s.from); s.counted < length*9/10 {
		a.add(". Counted for % of %", presence.Words(s.counted), presence.Words(length))
	}
	a.add("</title></rect>\n")
}

// area draws one protocol in one direction: a closed line for each stretch without
// a gap, through the middles of the slots.
func (a *areas) area(i int, p traffic.Protocol, d traffic.Direction) {
	path := make([]byte, 0, 4096)
	for first := 0; first < len(a.slots); first++ {
		if !a.slots[first].seen() {
			continue
		}
		last, any := first, a.slots[first].rates[d][i] > 0
		for last+1 < len(a.slots) && a.slots[last+1].seen() {
			last++
			any = any || a.slots[last].rates[d][i] > 0
		}
		if any {
			path = a.stretch(path, a.slots[first:last+1], i, d)
		}
		first = last
	}
	if len(path) == 0 {
		return
	}
	a.add(`<path class="p-%" d="`, p.String())
	a.b = append(a.b, path...)
	a.add(`"/>` + "\n")
}

// stretch appends the outline of slots that follow each other.
func (a *areas) stretch(path []byte, slots []slot, i int, d traffic.Direction) []byte {
	point := func(command byte, x, y float64) {
		path = strconv.AppendFloat(append(path, command), x, 'f', -1, 64)
		path = strconv.AppendFloat(append(path, ' '), y, 'f', -1, 64)
	}
	edge := func(s *slot, with int) float64 { // how high the first protocols are together
		var sum float64
		for _, rate := range s.rates[d][:with] {
			sum += rate
		}
		return a.y(d, sum)
	}
	first, last := &slots[0], &slots[len(slots)-1]
	point('M', a.x(first.from), edge(first, i+1))
	for n := range slots {
		point('L', a.middle(&slots[n]), edge(&slots[n], i+1))
	}
	point('L', a.x(last.to), edge(last, i+1))
	point('L', a.x(last.to), edge(last, i))
	for n := len(slots) - 1; n >= 0; n-- {
		point('L', a.middle(&slots[n]), edge(&slots[n], i))
	}
	point('L', a.x(first.from), edge(first, i))
	return append(path, 'Z')
}

func (a *areas) middle(s *slot) float64 { return round((a.x(s.from) + a.x(s.to)) / 2) }

// axes draws lines and texts: their size does not depend on the page's.
func (a *areas) axes() {
	line := func(class string, y float64) {
		a.add(`<line class="%" x1="0" x2="%" y1="`, class, "100%")
		a.decimal(y)
		a.add(`" y2="`)
		a.decimal(y)
		a.add(`"/>`)
	}
	if a.scale > 0 {
		step := niceStep(areasHeight / a.scale / 5)
		for _, d := range []traffic.Direction{traffic.In, traffic.Out} {
			for rate := step; ; rate += step {
				y := a.y(d, rate)
				if y < 14 || y > areasHeight-2 {
					break
				}
				line("grid", y)
				a.add(`<text x="4" y="`)
				a.decimal(y - 3)
				a.add(`">%</text>`+"\n", a.unit.text(rate))
			}
		}
	}
	a.cuts()
	line("axis", a.base)
	a.add(`<text class="way" x="%" y="12" text-anchor="end">in</text><text class="way" x="%" y="234" text-anchor="end">out</text>`+"\n", "99.5%", "99.5%")
}

// niceStep is the least of 1, 2 and 5 times a power of ten that is not below f.
func niceStep(f float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(f)))
	for _, times := range []float64{1, 2, 5} {
		if times*power >= f {
			return times * power
		}
	}
	return 10 * power
}
