// Package daytest plays a day of a home of fifty devices, with the truth known,
// through the real engine, bridge and broker session, in virtual time, and
// keeps every message to the broker. It is support for tests and benchmarks.
package daytest

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"porchlight/discovery"
	"porchlight/presence"
	"porchlight/presence/household"
)

// Topics names the topics of the messages.
var Topics = discovery.Topics{Prefix: "porchlight", Node: "home", HAPrefix: "homeassistant"}

var discard = slog.New(slog.DiscardHandler)

const (
	learning = 7 * 24 * time.Hour
	// ahead is how long before the day Porchlight starts, with what it has
	// learned: enough to publish all that there is to say at first.
	ahead = 5 * time.Minute
)

// Day is what came of a day.
type Day struct {
	Home  []household.Habit
	From  time.Time // midnight
	To    time.Time // 24 hours later
	First []Message // what is published at the start: before From
	Said  []Message // of the day
	Moves []Move    // of the day

	Sightings int // frames heard
}

// Move is a state that changed.
type Move struct {
	Device int // its place in Home
	Event  presence.EventType
	Real   bool // someone had really come or gone
}

// ID returns the id of the device with this place in Home.
func ID(i int) presence.ID { return household.MAC(i).ID() }

// Play plays a working day after a learned week.
func Play(t *testing.T, seed uint64) (day Day) {
	t.Helper()
	play := household.Home(seed)
	play.Devices, play.Days = Home(), 8
	day.Home = play.Devices
	day.From = household.Start.Add(learning)
	day.To = day.From.Add(24 * time.Hour)
	synctest.Test(t, func(t *testing.T) {
		p := &porchlight{
			t: t, home: play.Devices, opens: day.From.Add(-ahead),
			learner: presence.New(presence.Config{MaxTracked: -1}),
		}
		res := household.Run(play, p)
		all := p.broker.messages()
		p.close()
		for _, m := range all {
			if m.At.Before(day.From) {
				day.First = append(day.First, m)
			} else {
				day.Said = append(day.Said, m)
			}
		}
		day.Moves, day.Sightings = moves(res, day.From), p.sightings
	})
	return day
}

// moves returns the changes of state since from. A departure is real when the
// device is out; an arrival is, when the departure before it was.
func moves(res *household.Result, from time.Time) (all []Move) {
	out := map[int]bool{}
	for _, l := range res.Lines {
		m := Move{Device: l.Device, Event: l.Event, Real: out[l.Device]}
		switch l.Event {
		case presence.Left:
			out[l.Device] = !l.There
			m.Real = !l.There
		case presence.Arrived:
			out[l.Device] = false
		default:
			continue
		}
		if !l.At.Before(from) {
			all = append(all, m)
		}
	}
	return all
}
