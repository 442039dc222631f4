package presence

import "time"

// Silences is what was learned of how long a device can be silent, to be looked at.
type Silences struct {
	Bins  []SilenceBin  // by length, as far as the longest; empty when nothing was learned
	Usual time.Duration // 95 % of its sleeps stay within it; 0: not known
	Home  time.Duration // how long it was watched while at home; the long past counts less
}

// SilenceBin counts the silences that are no longer than UpTo and longer than the
// bin before allows. Old ones count less.
type SilenceBin struct {
	UpTo   time.Duration
	Slept  float64 // it was there all the time
	Joined float64 // it joined the network afterwards
}

// Silences returns what was learned of the device with this id; ok is false when
// it is unknown.
func (e *Engine) Silences(id ID) (s Silences, ok bool) {
	d := e.devices[id]
	if d == nil {
		return s, false
	}
	return d.model.silences(), true
}

func (m *Model) silences() Silences {
	s := Silences{Usual: m.slept.usual(), Home: time.Duration(m.weeks() * float64(week))}
	for i := range max(len(m.slept), len(m.joined)) {
		s.Bins = append(s.Bins, SilenceBin{UpTo: edge(i), Slept: m.slept.at(i), Joined: m.joined.at(i)})
	}
	return s
}

func (h histogram) at(i int) float64 {
	if i >= len(h) {
		return 0
	}
	return float64(h[i])
}
