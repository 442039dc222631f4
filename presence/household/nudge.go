package household

import (
	"time"

	"porchlight/presence"
)

// What is assumed of a nudge. Nothing is published on it but that it works for
// iPhones "even when in deep sleep", so this is careful: it wakes a device that
// sleeps nine times in ten if it is not lost, and only a moment after it has come,
// so that the question that goes along is not answered. The device is awake for
// some seconds then, in which it says nothing by itself.
const (
	wakes    = 0.9
	wakeTime = 300 * time.Millisecond
	wakeFor  = 5 * time.Second
)

// Nudge returns the declarations that have the sleepers of p nudged.
func (p *Play) Nudge() (list []presence.Declaration) {
	on := true
	for i, h := range p.Devices {
		if h.Class == Sleeper {
			list = append(list, presence.Declaration{MAC: MAC(i), Change: presence.Change{Nudge: &on}})
		}
	}
	return list
}

// nudge wakes a device that sleeps, if p does that and gets through.
func (s *stage) nudge(a *actor, t time.Time, p presence.Probe) {
	if !p.Nudge {
		return
	}
	s.res.Nudges[a.index]++
	if a.awake || !a.on || !s.hearable(t) || s.lost() || s.play.Stubborn || s.air.Float64() >= wakes {
		return
	}
	s.cue(t.Add(wakeTime), func(t time.Time) { a.nudged = t.Add(wakeFor) })
}
