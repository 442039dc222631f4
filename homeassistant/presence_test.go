package homeassistant

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// homeAndNotHome: a device that joins is home at once, one that leaves is
// not_home when its time has passed, and nothing lies between.
func homeAndNotHome(s *scene) {
	s.start()
	phone := s.thing("phone")
	s.arrive(phone)
	s.leave(phone)
	s.await(phone.tracker, "not_home")
	s.arrive(phone)
	equal(s.t, "the states of the tracker", s.states(phone.tracker, s.stream), []string{"unavailable", "unknown", "home", "not_home", "home"})
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// peopleAndZones: a person with our tracker is home when it is, and counts in
// zone.home, also beside a phone's own position, which is right when it differs.
func peopleAndZones(s *scene) {
	s.start()
	phone := s.thing("phone")
	s.arrive(phone)
	gps := s.gps("app")

	ann := s.person("ann", phone.tracker)
	both := s.person("both", phone.tracker, gps.entity)
	s.await(ann, "home")
	s.await(both, "home")
	s.await("zone.home", "2")
	equal(s.t, "who is in the zone", s.full("zone.home").Attributes["persons"], any([]any{ann, both}))
	equal(s.t, "the tracker's zones", s.full(phone.tracker).Attributes["in_zones"], any([]any{"zone.home"}))

	// The phone's position lags behind: Wi-Fi at home is the truth.
	gps.at(52.5, 5.5)
	s.await(gps.entity, "not_home")
	s.settle()
	s.await(both, "home")
	s.await("zone.home", "2")

	// The phone's Wi-Fi is off, its position is at home: its position is the truth.
	gps.at(52, 5)
	s.await(gps.entity, "home")
	s.leave(phone)
	s.await(phone.tracker, "not_home")
	s.await(ann, "not_home")
	s.settle()
	s.await(both, "home")
	s.await("zone.home", "1")
	equal(s.t, "the tracker's zones", s.full(phone.tracker).Attributes["in_zones"], any([]any{}))

	gps.at(52.5, 5.5)
	s.await(both, "not_home")
	s.await("zone.home", "0")

	s.arrive(phone)
	s.await(ann, "home")
	s.await(both, "home")
	s.await("zone.home", "2")
}
