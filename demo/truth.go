package demo

import (
	"fmt"
	"time"

	"porchlight/presence"
)

// place is where a thing really is.
type place uint8

const (
	there place = iota
	asleep
	dropped // off the link, but in the house
	out
)

// becomes says what a verb does to the thing that it is of.
var becomes = map[verb]struct{ from, to place }{
	leave: {there, out}, join: {out, there},
	sleep: {there, asleep}, wake: {asleep, there},
	drop: {there, dropped}, rejoin: {dropped, there},
}

// truth is what the demo knows of a thing.
type truth struct {
	thing
	place place
	since time.Time
	// awaited is set from a departure or an arrival on until Porchlight tells of it.
	awaited bool
	silent  time.Time // since when its access point is down; zero: it is not
}

// state is what Porchlight should say.
func (t *truth) state() presence.State {
	if t.place == out {
		return presence.NotHome
	}
	return presence.Home
}

// do lets a beat come true at now.
func (t *truth) do(v verb, now time.Time) {
	to := becomes[v].to
	if (to == out) != (t.place == out) {
		t.awaited = true
	}
	t.place, t.since = to, now
}

// words says where it is, and for how long if it is silent.
func (t *truth) words(now time.Time) string {
	since := func(what string, at time.Time) string {
		if at.IsZero() {
			return what
		}
		return what + " " + lasted(now.Sub(at))
	}
	switch {
	case t.place == out && t.gone != "":
		return since(t.gone, t.since)
	case t.place == out:
		return since("out", t.since)
	case !t.silent.IsZero():
		return since("no signal", t.silent)
	case t.place == asleep:
		return since("asleep", t.since)
	case t.place == dropped:
		return since("off Wi-Fi", t.since)
	}
	return "there"
}

// lasted is presence.Words in whole seconds, and from an hour on in whole hours.
func lasted(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0 s"
	case d >= time.Hour && d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return presence.Words(d.Truncate(time.Second))
}
