package homeassistant

import (
	"database/sql"
	"path/filepath"
)

// porchlightRestarted: an administrator stops Porchlight and starts it again.
func porchlightRestarted(s *scene) { s.withoutPorchlight(s.stop) }

// porchlightKilled: as in a power cut. The broker speaks its last will.
func porchlightKilled(s *scene) { s.withoutPorchlight(s.kill) }

// withoutPorchlight ends Porchlight and starts it again. All is unavailable
// meanwhile, and then as it was: nobody has come or gone, and no event is told
// again.
func (s *scene) withoutPorchlight(end func()) {
	h := s.household()
	h.until("how far the events were sent to be stored", h.allSent)
	h.begin()
	end()
	connection := h.bridge("binary_sensor", "connectivity")
	h.await(h.phone.tracker, "unavailable")
	h.await(connection, "off")
	h.start()
	h.settled()
	h.same()
	// The time of one who leaves now begins when the others' began anew.
	h.leaves()
	for entity, want := range map[string][]string{
		h.phone.tracker:  {"unavailable", "home", "not_home"}, // it left in the end
		h.tablet.tracker: {"unavailable", "not_home"},
		connection:       {"off", "on"},
		h.ann:            {"unknown", "home", "not_home"},
	} {
		equal(h.t, "what "+entity+" was", h.states(entity, h.mark), want)
	}
}

// allSent reports whether Porchlight's database says that all events were sent.
func (s *scene) allSent() (all bool) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "porchlight.db")+"?mode=ro&_pragma=busy_timeout(60000)")
	s.must(err)
	defer db.Close()
	s.must(db.QueryRowContext(s.ctx(), `SELECT (SELECT max(seq) FROM events) IS (SELECT seq FROM cursors WHERE consumer = 'mqtt')`).Scan(&all))
	return all
}
