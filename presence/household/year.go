package household

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"time"

	"porchlight/presence"
)

// Past yields the events of a home of so many devices over so many days, in the
// order of time, as the Engine makes them. A Home is played once; its devices
// stand for all, each in another week, and its four weeks for all time. seed is
// for what is at random.
func Past(seed uint64, devices, days int) iter.Seq[presence.Event] {
	play := Home(seed)
	play.Blind = []Span{{50 * time.Hour, 51 * time.Hour}, {400 * time.Hour, 402 * time.Hour}}
	r := &recorder{Engine: presence.New(presence.Config{})}
	Run(play, r)
	p := past{cast: len(play.Devices), byDevice: map[presence.ID]int{}}
	for i := range play.Devices {
		p.byDevice[MAC(i).ID()] = i
	}
	p.days = make([][]presence.Event, play.Days)
	for _, e := range r.events {
		day := int(e.Time.Sub(Start) / (24 * time.Hour))
		p.days[min(day, play.Days-1)] = append(p.days[min(day, play.Days-1)], e)
	}
	p.home, p.known = make([]bool, devices), make([]bool, devices)
	return func(yield func(presence.Event) bool) {
		for day := range days {
			if !p.day(day, yield) {
				return
			}
		}
	}
}

// recorder is an Engine whose events are kept.
type recorder struct {
	*presence.Engine
	events []presence.Event
}

func (r *recorder) keep(out presence.Output) presence.Output {
	r.events = append(r.events, out.Events...)
	return out
}

func (r *recorder) Sight(s presence.Sighting) presence.Output { return r.keep(r.Engine.Sight(s)) }
func (r *recorder) Sense(s presence.Sensing) presence.Output  { return r.keep(r.Engine.Sense(s)) }
func (r *recorder) Tick(t time.Time) presence.Output          { return r.keep(r.Engine.Tick(t)) }

// past is a play that is told over and over.
type past struct {
	cast     int                 // devices of the play
	byDevice map[presence.ID]int // places in the play
	days     [][]presence.Event
	home     []bool // by device of the home
	known    []bool
}

// day yields the events of one day.
func (p *past) day(day int, yield func(presence.Event) bool) bool {
	var all []presence.Event
	for copied := 0; copied*p.cast < len(p.home); copied++ {
		source := (day + 7*copied) % len(p.days)
		shift := time.Duration(day-source) * 24 * time.Hour
		for _, e := range p.days[source] {
			i, isDevice := p.byDevice[e.ID]
			i += copied * p.cast
			if !isDevice && copied > 0 || isDevice && (i >= len(p.home) || !p.happens(i, e.Type)) {
				continue
			}
			e.Time = e.Time.Add(shift)
			if isDevice {
				e.ID, e.MAC = MAC(i).ID(), MAC(i)
				e.Addr = netip.AddrFrom4([4]byte{10, 77, byte(i >> 8), byte(i + 2)})
				e.HostName = fmt.Sprintf("Annas-Galaxy-S%d", i)
				e.Name = e.HostName
			}
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b presence.Event) int { return a.Time.Compare(b.Time) })
	for _, e := range all {
		if !yield(e) {
			return false
		}
	}
	return true
}

// happens reports whether an event can be the next one of a device: where two
// times of the play meet, one that came may be there already.
func (p *past) happens(i int, kind presence.EventType) bool {
	switch kind {
	case presence.NewDevice:
		first := !p.known[i]
		p.known[i] = true
		return first
	case presence.Arrived, presence.Left:
		changes := p.home[i] != (kind == presence.Arrived)
		p.home[i] = kind == presence.Arrived
		return changes
	}
	return true
}
