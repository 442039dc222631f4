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
