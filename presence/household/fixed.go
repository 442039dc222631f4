package household

import (
	"time"

	"porchlight/presence"
)

// Fixed decides as most do: who has not been heard for Window is away. It asks
// a silent device every Ask.
type Fixed struct {
	Window, Ask time.Duration
	heard       map[presence.MAC]*fixedDevice
	order       []*fixedDevice
}

type fixedDevice struct {
	s     presence.Sighting
	asked time.Time
	home  bool
}

// Sight implements Decider.
func (f *Fixed) Sight(s presence.Sighting) (out presence.Output) {
	if s.Evidence() < presence.Alive {
		return out
	}
	d := f.heard[s.MAC]
	if d == nil {
		d = &fixedDevice{}
		if f.heard == nil {
			f.heard = map[presence.MAC]*fixedDevice{}
		}
		f.heard[s.MAC] = d
		f.order = append(f.order, d)
	}
	d.s = s
	d.asked = s.At
	if !d.home {
		d.home = true
		out.Events = []presence.Event{{Type: presence.Arrived, ID: s.MAC.ID()}}
	}
	return out
}

// Sense implements Decider: it knows of no blindness.
func (f *Fixed) Sense(presence.Sensing) (out presence.Output) { return out }

// Asked implements Decider.
func (f *Fixed) Asked(time.Time, presence.Probe) {}

// Tick implements Decider.
func (f *Fixed) Tick(now time.Time) (out presence.Output) {
	for _, d := range f.order {
		if !d.home {
			continue
		}
		if now.Sub(d.s.At) >= f.Window {
			d.home = false
			out.Events = append(out.Events, presence.Event{Type: presence.Left, ID: d.s.MAC.ID()})
		} else if now.Sub(d.asked) >= f.Ask {
			d.asked = now
			out.Probes = append(out.Probes, presence.Probe{MAC: d.s.MAC, Addr: d.s.Addr})
		}
	}
	return out
}

// Next implements Decider.
func (f *Fixed) Next() time.Time {
	next := Start.AddDate(100, 0, 0)
	for _, d := range f.order {
		if d.home {
			for _, t := range [...]time.Time{d.s.At.Add(f.Window), d.asked.Add(f.Ask)} {
				if t.Before(next) {
					next = t
				}
			}
		}
	}
	return next
}
