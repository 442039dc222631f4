package mqtt

import (
	"porchlight/presence"
)

// attach makes l the session's link: from now on updates queue for it.
func (s *Session) attach(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.devices {
		t.inStates, t.inDetails, t.inSeen = false, false, false
	}
	for id := range s.gone {
		l.clears = append(l.clears, id)
	}
	s.link, s.why = l, ""
}

func (s *Session) detach(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == l {
		s.link = nil
	}
}

// The queues. Session.mu is held; l may be nil.

func (l *link) queueState(t *tracked) {
	if l != nil && !t.inStates {
		t.inStates = true
		l.states = append(l.states, t)
	}
}

func (l *link) queueDetails(t *tracked) {
	if l != nil && !t.inDetails {
		t.inDetails = true
		l.details = append(l.details, t)
	}
}

func (l *link) queueSeen(t *tracked) {
	if l != nil && !t.inSeen {
		t.inSeen = true
		l.seen = append(l.seen, t)
	}
}

func (l *link) queueClear(id presence.ID) {
	if l != nil {
		l.clears = append(l.clears, id)
	}
}
