package daytest

import (
	"encoding/json"
	"strings"

	"porchlight/presence"
)

// Figures is a day in numbers.
type Figures struct {
	Devices     int
	Sightings   int // frames heard
	Transitions int // someone came or went, and it was noticed
	False       int // changes of state that were none
	Messages    int
	// PerTransition is all messages over all transitions; Worst the same for
	// the device with the most, without the summary, which is everybody's.
	PerTransition, Worst float64
	Still                int // devices without a transition
	StillMessages        int // messages about them
}

// Figures counts.
func (d *Day) Figures() Figures {
	f := Figures{Devices: len(d.Home), Sightings: d.Sightings, Messages: len(d.Said)}
	about := map[presence.ID]int{}
	for _, m := range d.Said {
		about[m.About()]++
	}
	moved := make([]int, len(d.Home))
	for _, m := range d.Moves {
		if m.Real {
			f.Transitions++
			moved[m.Device]++
		} else {
			f.False++
		}
	}
	f.PerTransition = float64(f.Messages) / float64(f.Transitions)
	for i, n := range moved {
		said := about[ID(i)]
		if n == 0 {
			f.Still++
			f.StillMessages += said
		} else {
			f.Worst = max(f.Worst, float64(said)/float64(n))
		}
	}
	return f
}

// About returns the device that a message is about; empty: not one device.
func (m Message) About() presence.ID {
	if id, ok := Topics.ParseState(m.Topic); ok {
		return id
	}
	if id, ok := Topics.ParseConfig(m.Topic); ok {
		return id
	}
	if m.Topic != Topics.Event() {
		return ""
	}
	var e presence.Event
	_ = json.Unmarshal(m.Payload, &e) // what cannot be read is about nobody
	return e.ID
}

// Leaf returns the last level of the topic, which says what kind it is.
func (m Message) Leaf() string { return m.Topic[strings.LastIndexByte(m.Topic, '/')+1:] }
