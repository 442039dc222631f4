package listen

import "porchlight/presence"

const (
	maxNodes = 64   // anyone at the broker can make up nodes
	maxSeen  = 1024 // events of a node
)

// seen remembers which events were shown, since each is delivered at least once.
//
// An event is known again by its number and by what happened when, not by its
// number alone: the numbers begin anew with a new database, jump back with one
// that was restored, and are used by both of two Porchlights with one name.
type seen struct {
	nodes map[string]*past
	tick  uint64
}

// past is what is known of a node.
type past struct {
	known   map[mark]struct{}
	order   []mark // a ring of those in known
	oldest  int
	last    int64 // the newest one's number
	doubt   bool  // the connection was lost since the last event
	greeted bool
	used    uint64 // tick of the last use
}

// mark tells events apart. The time is in milliseconds, as the event log has it.
type mark struct {
	seq, ms int64
	kind    presence.EventType
	id      presence.ID
}

// check reports whether e was shown already, and how many events before it were
// never heard because the connection was lost.
func (s *seen) check(node string, e *presence.Event) (again bool, missed int64) {
	p := s.node(node)
	m := mark{e.Seq, e.Time.UnixMilli(), e.Type, e.ID}
	if _, again = p.known[m]; again {
		return true, 0
	}
	if e.Seq > p.last && p.doubt {
		missed = e.Seq - p.last - 1
	}
	p.last, p.doubt = e.Seq, false
	if len(p.order) < maxSeen {
		p.order = append(p.order, m)
	} else {
		delete(p.known, p.order[p.oldest])
		p.order[p.oldest] = m
		p.oldest = (p.oldest + 1) % maxSeen
	}
	p.known[m] = struct{}{}
	return false, missed
}

// reconnected notes that events may have been missed.
func (s *seen) reconnected() {
	for _, p := range s.nodes {
		p.doubt = p.last > 0
	}
}

// greet reports whether it is called for node for the first time.
func (s *seen) greet(node string) (first bool) {
	p := s.node(node)
	first = !p.greeted
	p.greeted = true
	return first
}

// several reports whether there is more than one node.
func (s *seen) several() bool { return len(s.nodes) > 1 }

// node returns what is known of a node. The one that was silent for longest is
// forgotten when there are too many.
func (s *seen) node(name string) *past {
	s.tick++
	p := s.nodes[name]
	if p == nil {
		if len(s.nodes) >= maxNodes {
			s.forgetOldest()
		}
		p = &past{known: make(map[mark]struct{})}
		if s.nodes == nil {
			s.nodes = make(map[string]*past)
		}
		s.nodes[name] = p
	}
	p.used = s.tick
	return p
}

func (s *seen) forgetOldest() {
	var oldest string
	for name, p := range s.nodes {
		if oldest == "" || p.used < s.nodes[oldest].used {
			oldest = name
		}
	}
	delete(s.nodes, oldest)
}
