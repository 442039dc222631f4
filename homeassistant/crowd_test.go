package homeassistant

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"porchlight/lab"
)

const (
	crowdSize   = 250
	commuters   = 60
	crowdWithin = 15 * time.Second
	newsWithin  = 100 * time.Millisecond
)

// crowd: soon after Porchlight's start, be it the first or not, Home Assistant
// shows 250 devices as they are; and who comes is shown at once.
func crowd(s *scene) {
	delete(s.env, "SWEEP_RATE") // as in a house
	s.set("SWEEP_PREFIXES", "10.77.0.0/24")
	s.set("AWAY_AFTER", "8s")
	s.set("PROBE_INTERVAL", "2s")
	first := s.addr(1)
	all, err := s.pop.AddMany(crowdSize, first, lab.Behaviour{})
	s.must(err)
	s.devices += crowdSize

	mark, started := s.ha.Stream().Mark(), time.Now()
	s.run()
	shown := s.trackers("250 devices to be home", mark, func(is map[string]string) bool { return count(is, "home") == crowdSize })
	s.within("a first start to 250 devices shown", shown.Sub(started), crowdWithin)

	// Some go out, so that home and not_home are to be told apart.
	mark = s.ha.Stream().Mark()
	for _, d := range all[:commuters] {
		d.Sleep()
	}
	s.trackers("60 to be away", mark, func(is map[string]string) bool { return count(is, "not_home") == commuters })
	s.kill()
	mark = s.ha.Stream().Mark()
	s.trackers("all to be unavailable", s.stream, func(is map[string]string) bool { return count(is, "unavailable") == crowdSize })
	started = time.Now()
	s.run()
	right := func(is map[string]string) bool {
		return count(is, "not_home") == commuters && count(is, "home") == crowdSize-commuters
	}
	shown = s.trackers("all to be as they were", s.stream, right)
	s.within("a start to 250 devices shown", shown.Sub(started), crowdWithin)
	s.await(s.bridge("binary_sensor", "connectivity"), "on")
	s.rightAll(all[:commuters], "not_home")
	s.rightAll(all[commuters:], "home")

	median := s.news(all[:commuters])
	for range 2 {
		if median <= newsWithin { // others may have the machine for a while
			break
		}
		mark = s.ha.Stream().Mark()
		for _, d := range all[:commuters] {
			d.Sleep()
		}
		s.trackers("60 to be away again", mark, func(is map[string]string) bool { return count(is, "not_home") == commuters })
		mark = s.ha.Stream().Mark()
		median = s.news(all[:commuters])
	}
	s.within("a device's first packet to Home Assistant's stream, at the median", median, newsWithin)
	s.rightAll(all, "home")
	s.newcomers(11)
	for _, c := range s.ha.Stream().Since(mark, "") {
		if c.From() == "home" && c.To() == "not_home" {
			s.t.Errorf("%s has left", c.Entity)
		}
	}
}

// trackers waits until the states of trackers that the stream has told of since
// a mark fulfil a condition, and returns when it told of the last one.
func (s *scene) trackers(what string, mark int, ok func(map[string]string) bool) time.Time {
	s.t.Helper()
	is := map[string]string{}
	for deadline := time.After(patience); ; {
		came := s.ha.Stream().Came()
		changes := s.ha.Stream().Since(mark, "")
		mark += len(changes)
		var last time.Time
		for _, c := range changes {
			if strings.HasPrefix(c.Entity, "device_tracker.") && !strings.HasPrefix(c.Entity, "device_tracker.guests") { // the group
				is[c.Entity], last = c.To(), c.Received
			}
		}
		if !last.IsZero() && ok(is) {
			return last
		}
		select {
		case <-came:
		case <-deadline:
			s.t.Fatalf("waited %s for %s: %d trackers, %d home, %d not_home, %d unavailable", patience, what,
				len(is), count(is, "home"), count(is, "not_home"), count(is, "unavailable"))
		}
	}
}

func count(is map[string]string, state string) (n int) {
	for _, one := range is {
		if one == state {
			n++
		}
	}
	return n
}

// byID are the entity ids of the scene's trackers by Porchlight's ids.
func (s *scene) byID() map[string]string {
	s.t.Helper()
	all, err := s.ha.Entities(s.ctx())
	s.must(err)
	found := map[string]string{}
	for _, e := range all {
		rest, ours := strings.CutPrefix(e.UniqueID, "porchlight_"+s.node+"_")
		if id, ok := strings.CutSuffix(rest, "_tracker"); ours && ok {
			found[id] = e.Entity
		}
	}
	return found
}

// rightAll asks Home Assistant for the state of each device.
func (s *scene) rightAll(devices []*lab.Device, want string) {
	s.t.Helper()
	trackers := s.byID()
	all, err := s.ha.States(s.ctx())
	s.must(err)
	is := map[string]string{}
	for _, one := range all {
		is[one.Entity] = one.State
	}
	for _, d := range devices {
		if got := is[trackers[idOf(d)]]; got != want {
			s.t.Errorf("%s is %q, want %q", trackers[idOf(d)], got, want)
		}
	}
}

// within reports a figure, and fails when it is too much.
func (s *scene) within(what string, took, limit time.Duration) {
	s.t.Helper()
	s.t.Logf("figure: from %s: %s (at most %s)", what, took.Round(100*time.Microsecond), limit)
	if took > limit {
		s.t.Errorf("from %s: %s, want at most %s", what, took, limit)
	}
}

// news measures, one after the other, how long it takes from a device's first
// packet until Home Assistant's stream tells that it is home, and returns the median.
func (s *scene) news(devices []*lab.Device) time.Duration {
	s.t.Helper()
	trackers := s.byID()
	var took []time.Duration
	for i, d := range devices {
		mark := s.ha.Stream().Mark()
		say := d.Request
		if i%2 == 1 {
			say = d.Announce
		}
		sent, err := say()
		s.must(err)
		d.Wake() // not sooner: it would answer who asks
		entity := trackers[idOf(d)]
		heard := s.trackers(entity+" to be home", mark, func(is map[string]string) bool { return is[entity] == "home" })
		took = append(took, heard.Sub(sent))
	}
	s.figure("arrivals one after the other", took)
	return took[len(took)/2]
}

// newcomers measures the same for devices that were never there. Home Assistant
// then makes the entity first, and waits a tenth of a second before it
// subscribes to its topics.
func (s *scene) newcomers(n int) {
	s.t.Helper()
	var took []time.Duration
	for i := range n {
		t, mark := s.thing(fmt.Sprintf("new-%d", i)), s.ha.Stream().Mark()
		sent, err := t.Request()
		s.must(err)
		t.Wake()
		heard := s.trackers(t.tracker+" to be home", mark, func(is map[string]string) bool { return is[t.tracker] == "home" })
		took = append(took, heard.Sub(sent))
	}
	s.figure("devices that were never there before, one after the other", took)
}

// figure sorts times and reports them.
func (s *scene) figure(what string, took []time.Duration) {
	s.t.Helper()
	slices.Sort(took)
	at := func(i int) time.Duration { return took[i].Round(10 * time.Microsecond) }
	s.t.Logf("figure: %d %s: least %s, median %s, 90th percentile %s, most %s", len(took), what,
		at(0), at(len(took)/2), at(len(took)*9/10), at(len(took)-1))
}
