package mqtt

import (
	"strings"

	"porchlight/presence"
)

// obey carries one command out.
func (s *Session) obey(c command) {
	if c.topic == s.topics.Scan() {
		s.commands.Scan()
		return
	}
	id, ok := s.topics.ParseSet(c.topic)
	if !ok {
		return
	}
	merge, split, err := presence.ParseMerge(c.payload)
	switch {
	case err != nil:
		s.warnings.warn(s.log, c.topic, "ignoring a command: "+err.Error(), "topic", c.topic)
		return
	case len(merge) > 0:
		s.commands.Merge(id, merge)
		return
	case len(split) > 0:
		s.commands.Split(id, split)
		return
	}
	change, unknown, err := presence.ParseChange(c.payload)
	if err != nil {
		s.warnings.warn(s.log, c.topic, "ignoring a command: "+err.Error(), "topic", c.topic)
		return
	}
	if len(unknown) > 0 {
		s.warnings.warn(s.log, c.topic, "a command has unknown fields: want "+strings.Join(presence.ChangeFields(), ", "),
			"topic", c.topic, "unknown", strings.Join(unknown, ", "))
	}
	if change == (presence.Change{}) {
		return
	}
	if change.TrackByPolicy || change.Track != nil && *change.Track {
		s.mu.Lock()
		delete(s.deleted, id)
		s.mu.Unlock()
	}
	s.commands.Set(id, change)
}
