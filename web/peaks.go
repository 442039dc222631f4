package web

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"porchlight/traffic"
)

const (
	// fewPeaks is how many slots have one that is a peak, which is cut off when it
	// is more than twice as high as what is drawn, and that is at least a tenth of
	// it: the rest could not be seen beside a backup, but must not look as large.
	// What is less than unseen of a peak is not seen beside a tenth of it either.
	fewPeaks  = 20
	mostOfCut = 10
	unseen    = 1.0 / 400
	// peakText is how much of the width the text of a peak may take.
	peakText = 200
)

// top is the rate that the picture has room for: the highest, unless only a few
// are far above all others.
func top(slots []slot, d traffic.Direction) float64 {
	var sums []float64
	for i := range slots {
		if slots[i].seen() {
			sums = append(sums, slots[i].sum[d])
		}
	}
	if len(sums) == 0 {
		return 0
	}
	slices.Sort(sums)
	most, usual := sums[len(sums)-1], sums[len(sums)-1-len(sums)/fewPeaks]
	if cut := max(1.25*usual, most/mostOfCut); cut < most/2 && usual > unseen*most {
		return cut
	}
	return most
}

// isCut reports whether a slot is higher than there is room for.
func (a *areas) isCut(s *slot, d traffic.Direction) bool {
	room := a.base
	if d == traffic.Out {
		room = areasHeight - a.base
	}
	return s.sum[d]*a.scale > room
}

// cuts writes how high the peaks are that are cut off: of those for which there is
// no room beside each other the highest.
func (a *areas) cuts() {
	for _, d := range []traffic.Direction{traffic.In, traffic.Out} {
		var peaks, told []*slot
		for i := range a.slots {
			if a.isCut(&a.slots[i], d) {
				peaks = append(peaks, &a.slots[i])
			}
		}
		slices.SortStableFunc(peaks, func(x, y *slot) int { return cmp.Compare(y.sum[d], x.sum[d]) })
		for _, s := range peaks {
			if slices.ContainsFunc(told, func(o *slot) bool { return math.Abs(a.middle(o)-a.middle(s)) < peakText }) {
				continue
			}
			told = append(told, s)
			a.peak(s, d)
		}
	}
}

func (a *areas) peak(s *slot, d traffic.Direction) {
	arrow, y := "↑", "26"
	if d == traffic.Out {
		arrow, y = "↓", "222"
	}
	x, anchor := a.middle(s)/areasWidth*100, "middle"
	switch {
	case x < 15:
		anchor = "start"
	case x > 85:
		anchor = "end"
	}
	a.add(`<text class="peak" x="%" y="%" text-anchor="%">% %</text>`+"\n", fmt.Sprintf("%.1f%%", x), y, anchor, arrow, a.unit.text(s.sum[d]))
}

// cutWords says what is cut off; empty: nothing.
func (a *areas) cutWords() string {
	var ways []string
	for _, d := range []traffic.Direction{traffic.In, traffic.Out} {
		if slices.ContainsFunc(a.slots, func(s slot) bool { return a.isCut(&s, d) }) {
			ways = append(ways, d.String())
		}
	}
	if len(ways) == 0 {
		return ""
	}
	return "The highest peaks (" + strings.Join(ways, " and ") + ") are cut off, so that the rest can be seen: the arrows say how high they are."
}
