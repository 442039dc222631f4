package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"porchlight/presence"
	"porchlight/traffic"
)

const (
	// besideSpark is how wide the other columns of a table are, about.
	besideSpark = 52
	// leastSpark and mostSpark are how wide the picture over time may be.
	leastSpark, mostSpark = 12, 60
)

// trafficView is what the tables are made of.
type trafficView struct {
	since, until time.Time
	top          int
	total        traffic.Round
	steps        []traffic.Round // one for each character of a picture
	begun, ended time.Time       // of the last round that is stored
	spark        spark
}

// show prints tables for people.
func (c trafficCmd) show(a *app, store *traffic.Store, since, until time.Time) error {
	width := min(max(columns(a.stdout, a.environ)-besideSpark, leastSpark), mostSpark)
	step := (until.Sub(since) + time.Duration(width) - 1) / time.Duration(width)
	steps, err := store.Buckets(a.ctx, since, until, step)
	if err != nil {
		return err
	}
	v := trafficView{since: since, until: until, top: c.Top, spark: sparkFor(a.environ), steps: steps, total: traffic.Merge(steps)}
	if v.begun, v.ended, err = store.Last(a.ctx, until); err != nil {
		return err
	}
	return v.print(a.stdout)
}

func (v *trafficView) print(w io.Writer) error {
	_, err := fmt.Fprintf(w, "Traffic of this machine from %s to %s\n", when(v.since), when(v.until))
	for _, rows := range [][][]string{v.protocols(), v.interfaces(), v.talkers("HOST", v.total.Hosts), v.talkers("DEVICE", v.total.Devices), v.ports()} {
		if err == nil && len(rows) > 1 {
			if _, err = fmt.Fprintln(w); err == nil {
				err = table(w, rows)
			}
		}
	}
	for i, note := range v.notes() {
		if err == nil {
			_, err = fmt.Fprint(w, strings.Repeat("\n", max(1-i, 0)), note, "\n")
		}
	}
	return err
}

// protocols is a row for each, the busiest first, and one for all.
func (v *trafficView) protocols() [][]string {
	return v.counted("PROTOCOL", func(k traffic.Key) string { return k.Protocol.String() })
}

func (v *trafficView) interfaces() [][]string {
	return v.counted("INTERFACE", func(k traffic.Key) string { return k.Interface })
}

// counted is a table of what passed by the name that a key has.
func (v *trafficView) counted(title string, name func(traffic.Key) string) [][]string {
	all := sums(&v.total, name)
	overTime := make([]map[string]*passed, len(v.steps))
	for i := range v.steps {
		overTime[i] = sums(&v.steps[i], name)
	}
	rows := [][]string{{title, "PACKETS", "IN", "OUT", "OVER TIME"}}
	names := slices.SortedFunc(maps.Keys(all), func(x, y string) int {
		return cmp.Or(cmp.Compare(all[y].both().Bytes, all[x].both().Bytes), cmp.Compare(x, y))
	})
	if len(names) == 2 && slices.Contains(names, everything) { // it would be there twice
		names = slices.DeleteFunc(names, func(n string) bool { return n == everything })
	}
	for _, n := range names {
		values := make([]float64, len(v.steps))
		for i := range v.steps {
			values[i] = rate(overTime[i][n], v.steps[i].Counted)
		}
		rows = append(rows, append([]string{n}, append(all[n].cells(), v.spark.line(values))...))
	}
	return rows
}

// everything is the name of the sum of all.
const everything = "all"

// passed is an amount of traffic in both directions.
type passed struct{ in, out traffic.Count }

func (p *passed) both() traffic.Count {
	c := p.in
	c.Add(p.out)
	return c
}

func (p *passed) cells() []string {
	return []string{strconv.FormatUint(p.both().Packets, 10), bytesText(p.in.Bytes), bytesText(p.out.Bytes)}
}

// sums adds up what passed by name, and everything.
func sums(r *traffic.Round, name func(traffic.Key) string) map[string]*passed {
	all := map[string]*passed{}
	for k, c := range r.Counts {
		for _, n := range []string{name(k), everything} {
			p := all[n]
			if p == nil {
				p = &passed{}
				all[n] = p
			}
			if k.Direction == traffic.In {
				p.in.Add(c)
			} else {
				p.out.Add(c)
			}
		}
	}
	return all
}

// rate is in bytes a second; less than zero when nothing was counted.
func rate(p *passed, counted time.Duration) float64 {
	switch {
	case counted <= 0:
		return -1
	case p == nil:
		return 0
	}
	return float64(p.both().Bytes) / counted.Seconds()
}

func (v *trafficView) talkers(title string, list []traffic.Talker) [][]string {
	rows := [][]string{{title, "PACKETS", "IN", "OUT"}}
	for _, t := range list[:min(len(list), v.top)] {
		name := t.Device
		if t.Addr.IsValid() {
			name = t.Addr.String()
		}
		p := passed{t.In, t.Out}
		rows = append(rows, append([]string{name}, p.cells()...))
	}
	return rows
}

// ports is a row for each program, with its ports and for how long it had them.
func (v *trafficView) ports() [][]string {
	type key struct {
		program string
		share   string
	}
	byProgram := map[key][]string{}
	var order []key
	for _, p := range v.total.Ports {
		k := key{p.Program, v.share(p.Held)}
		if byProgram[k] == nil {
			order = append(order, k)
		}
		byProgram[k] = append(byProgram[k], p.Protocol+" "+strconv.Itoa(int(p.Port)))
	}
	slices.SortStableFunc(order, func(x, y key) int { return cmp.Compare(x.program, y.program) })
	rows := [][]string{{"PROGRAM", "LISTENED FOR", "PORTS"}}
	for _, k := range order {
		rows = append(rows, []string{cmp.Or(k.program, "(not known)"), k.share, strings.Join(shortList(byProgram[k]), ", ")})
	}
	return rows
}

// shownPorts is how many of a program's ports are listed.
const shownPorts = 12

func shortList(ports []string) []string {
	if n := len(ports) - shownPorts; n > 0 {
		return append(slices.Clone(ports[:shownPorts]), fmt.Sprintf("and %d more", n))
	}
	return ports
}

// share is for how much of what was counted a port was held.
func (v *trafficView) share(held time.Duration) string {
	if held >= v.total.Counted*99/100 {
		return "all of it"
	}
	return presence.Words(held)
}

// notes say what is not in the tables.
func (v *trafficView) notes() (all []string) {
	end := v.until
	if v.ended.Before(end) && end.Sub(v.ended) <= 2*v.ended.Sub(v.begun) {
		end = v.ended // the round that is not over
	}
	whole := end.Sub(v.since)
	if missing := whole - v.total.Counted; missing > whole/100 {
		all = append(all, fmt.Sprintf("It was counted for %s of %s: otherwise it was off or paused, or Porchlight did not run.",
			presence.Words(v.total.Counted), presence.Words(whole)))
	}
	if n := v.total.Dropped; n > 0 {
		seen := n
		for _, c := range v.total.Counts {
			seen += c.Packets
		}
		all = append(all, fmt.Sprintf("%d packets (%.2g %%) came faster than they could be counted, and are not in these figures.", n, 100*float64(n)/float64(seen)))
	}
	return all
}
