package homeassistant

import (
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// Change is one state_changed event. Home Assistant sends one also when only
// an attribute has changed.
type Change struct {
	Entity   string
	Old, New *State    // nil: the entity was not there, or is not any more
	Received time.Time // by us
}

// From returns the state before, empty when the entity was not there.
func (c Change) From() string { return text(c.Old) }

// To returns the state after, empty when the entity is no more.
func (c Change) To() string { return text(c.New) }

func text(s *State) string {
	if s == nil {
		return ""
	}
	return s.State
}

// Stream is all changes that came so far, in order.
type Stream struct {
	mu      sync.Mutex
	changes []Change
	came    chan struct{} // closed, and made anew, at each change
}

func newStream() *Stream { return &Stream{came: make(chan struct{})} }

func (s *Stream) add(event json.RawMessage) {
	received := time.Now()
	var e struct {
		Data struct {
			Entity string `json:"entity_id"`
			Old    *State `json:"old_state"`
			New    *State `json:"new_state"`
		}
	}
	if json.Unmarshal(event, &e) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changes = append(s.changes, Change{e.Data.Entity, e.Data.Old, e.Data.New, received})
	close(s.came)
	s.came = make(chan struct{})
}

// Mark returns the place after the last change.
func (s *Stream) Mark() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.changes)
}

// Since returns the changes after a mark, of one entity unless it is empty.
func (s *Stream) Since(mark int, entity string) []Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := slices.Clone(s.changes[mark:])
	return slices.DeleteFunc(found, func(c Change) bool { return entity != "" && c.Entity != entity })
}

// Came returns a channel that is closed with the next change.
func (s *Stream) Came() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.came
}
