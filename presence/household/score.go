package household

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"porchlight/presence"
)

// Score is how well a play was decided, after the learning time.
type Score struct {
	Weeks      float64 // device-weeks that were scored
	FalseAways int
	PerWeek    float64                   // false aways per device and week
	ByDevice   []float64                 // the same for each device
	Worst      map[Class]float64         // and for the worst of each class
	Delays     map[Class][]time.Duration // from a departure to the time it was known, sorted
	OverSleep  float64                   // sleepers: the longest delay, in their own longest sleeps
	Unnoticed  int                       // departures that ended before they were known
	Probes     float64                   // per device and day
}

// Score scores the play after learn.
func (r *Result) Score(learn time.Duration) Score {
	from := Start.Add(learn)
	end := Start.Add(time.Duration(r.Days) * 24 * time.Hour)
	weeks := end.Sub(from).Hours() / (7 * 24)
	s := Score{
		Weeks:    weeks * float64(len(r.Devices)),
		ByDevice: make([]float64, len(r.Devices)),
		Worst:    map[Class]float64{},
		Delays:   map[Class][]time.Duration{},
	}
	for _, l := range r.Lines {
		if l.Event == presence.Left && l.There && !l.At.Before(from) {
			s.FalseAways++
			s.ByDevice[l.Device] += 1 / weeks
		}
	}
	s.PerWeek = float64(s.FalseAways) / s.Weeks
	for i, h := range r.Devices {
		s.Worst[h.Class] = max(s.Worst[h.Class], s.ByDevice[i])
	}
	for _, t := range r.Trips {
		if t.Left.Before(from) {
			continue
		}
		if t.Known.IsZero() {
			s.Unnoticed++
			continue
		}
		h := r.Devices[t.Device]
		d := t.Known.Sub(t.Left)
		s.Delays[h.Class] = append(s.Delays[h.Class], d)
		if h.Class == Sleeper {
			s.OverSleep = max(s.OverSleep, float64(d)/float64(h.LongestSleep()))
		}
	}
	for _, d := range s.Delays {
		slices.Sort(d)
	}
	n := 0
	for _, p := range r.Probes {
		n += p
	}
	s.Probes = float64(n) / float64(len(r.Devices)*r.Days)
	return s
}

// Quantile returns the q-quantile of sorted; 0 when it is empty.
func Quantile[T cmp.Ordered](sorted []T, q float64) (t T) {
	if len(sorted) == 0 {
		return t
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// Row is one way to decide in a Table.
type Row struct {
	Name  string
	Score Score
}

// Table renders rows as a Markdown table.
func Table(rows []Row) string {
	var b strings.Builder
	b.WriteString("| way to decide | false aways per device and week | responsive: left known in, median / 95 % | sleepers: median / longest, in their longest sleep | drops Wi-Fi: false aways a week / left known in, longest | probes per device and day |\n")
	b.WriteString("|---|---|---|---|---|---|\n")
	for _, r := range rows {
		s := r.Score
		q := func(c Class, q float64) string { return presence.Words(Quantile(s.Delays[c], q)) }
		fmt.Fprintf(&b, "| %s | %.2f | %s / %s | %s / %.2f | %.2f / %s | %.0f |\n", r.Name, s.PerWeek,
			q(Responsive, 0.5), q(Responsive, 0.95), q(Sleeper, 0.5), s.OverSleep,
			s.Worst[Dropper], q(Dropper, 1), s.Probes)
	}
	return b.String()
}
