package mqtt

import (
	"slices"
	"time"

	"porchlight/discovery"
	"porchlight/presence"
)

// sentGroup is what the broker has of a group.
type sentGroup struct {
	state     presence.State // empty: none that we know of
	announced string         // the name in its discovery message; empty: there is none
	configAt  time.Time
	clearAt   time.Time // when to clear its state; zero: it is desired
}

// SetGroups sets the desired state of all groups; the slice is not changed
// later. Like Update, it is called before EventLog.Changed tells of the event.
func (s *Session) SetGroups(groups []presence.Group) {
	s.mu.Lock()
	s.groups = groups
	for slug := range s.deletedGroups {
		if !slices.ContainsFunc(groups, func(g presence.Group) bool { return g.Slug == slug }) {
			delete(s.deletedGroups, slug)
		}
	}
	l := s.link
	if l != nil {
		l.groupsStale = true
	}
	s.mu.Unlock()
	l.poke()
}

// stepGroups publishes the next thing that is to be said of a group, and
// reports whether there was any. Groups are few, so all are looked at each time.
//
// A group that is new to this connection waits for its turn in the full publish:
// then its discovery goes first, so that a broker that holds its state has been
// given that before (see missingGroups).
func (l *link) stepGroups(now time.Time) bool {
	if l.stage < publishing {
		return false
	}
	l.s.mu.Lock()
	desired := l.s.groups
	if l.groupsStale {
		l.groupsStale, l.groupsAt = false, time.Time{}
	}
	l.s.mu.Unlock()
	if l.groupsAt.After(now) {
		return false
	}
	for i := range desired {
		if g := &desired[i]; l.publishGroupState(g) {
			return true
		}
	}
	if !l.groupsTurn {
		l.groupsAt = now.Add(time.Hour) // startGroups wakes us
		return false
	}
	next := now.Add(time.Hour)
	for i := range desired {
		if l.announceGroup(&desired[i], now, &next) {
			return true
		}
	}
	for slug, e := range l.groups {
		if !slices.ContainsFunc(desired, func(g presence.Group) bool { return g.Slug == slug }) && l.clearGroup(slug, e, now, &next) {
			return true
		}
	}
	l.groupsAt = next
	return false
}

// startGroups is the groups' turn in the full publish.
func (l *link) startGroups() { l.groupsTurn, l.groupsAt = true, time.Time{} }

// publishGroupState publishes the state of a group that was announced on this
// connection, if it is another than before.
func (l *link) publishGroupState(g *presence.Group) bool {
	e := l.groups[g.Slug]
	if e == nil || e.state == g.State || e.state == "" {
		return false
	}
	e.state = g.State
	return l.publish(familyGroup, l.s.topics.GroupState(g.Slug), true, discovery.GroupState(g), nil)
}

// announceGroup publishes the discovery message of a group, and the first state
// on this connection. next is when it is to be called again, if it must wait.
func (l *link) announceGroup(g *presence.Group, now time.Time, next *time.Time) bool {
	e := l.groups[g.Slug]
	if e == nil {
		e = new(sentGroup)
		l.groups[g.Slug] = e
	}
	e.clearAt = time.Time{}
	deleted := l.s.groupDeleted(g.Slug)
	if deleted {
		e.announced = ""
	}
	if l.s.cfg.Announce && e.announced != g.Name && !deleted {
		if at := e.configAt.Add(settle); now.Before(at) {
			*next = earlier(*next, at)
			return false
		}
		e.announced, e.configAt = g.Name, now
		l.publish(familyConfig, l.s.topics.GroupConfig(g.Slug), true, l.s.cfg.Discovery.Group(g), nil)
		return true
	}
	if e.state != "" {
		return false
	}
	e.state = g.State
	return l.publish(familyGroup, l.s.topics.GroupState(g.Slug), true, discovery.GroupState(g), nil)
}

// clearGroup clears a group that is no more: its discovery now, its state later,
// as with devices.
func (l *link) clearGroup(slug string, e *sentGroup, now time.Time, next *time.Time) bool {
	switch {
	case e.clearAt.IsZero():
		e.clearAt = now.Add(settle)
		*next = earlier(*next, e.clearAt)
		if e.announced == "" {
			return false
		}
		e.announced, e.configAt = "", now
		l.inbound.expectEcho(groupEcho(slug), now)
		l.publish(familyConfig, l.s.topics.GroupConfig(slug), true, nil, nil)
		return true
	case now.Before(e.clearAt):
		*next = earlier(*next, e.clearAt)
		return false
	}
	delete(l.groups, slug)
	return l.publish(familyGroup, l.s.topics.GroupState(slug), true, nil, nil)
}

// forgetGroups makes the next full publish send everything again.
func (l *link) forgetGroups() {
	for _, e := range l.groups {
		if e.clearAt.IsZero() {
			*e = sentGroup{configAt: e.configAt}
		}
	}
}

// groupEcho stands for a group among the devices whose echoes are expected.
func groupEcho(slug string) presence.ID { return presence.ID("group " + slug) }

// foundGroup is what the broker held of a group when we connected.
type foundGroup struct{ state, config bool }

// collectGroup takes note of a retained message on a group's topics.
func (in *inbound) collectGroup(slug string, now time.Time, what foundGroup) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.collecting || len(in.groups) >= maxFoundGroups && in.groups[slug] == (foundGroup{}) {
		return
	}
	in.heardAt = now
	f := in.groups[slug]
	in.groups[slug] = foundGroup{f.state || what.state, f.config || what.config}
}

// maxFoundGroups bounds what is collected of groups; there can be fewer.
const maxFoundGroups = 8 * presence.MaxGroups

// receiveGroupConfig takes a group's discovery message. One that is empty and
// not ours means that the user has deleted the group in Home Assistant.
func (l *link) receiveGroupConfig(slug string, payload []byte, retained bool, now time.Time) {
	switch {
	case len(payload) > 0:
		if retained && discovery.Ours(payload) {
			l.inbound.collectGroup(slug, now, foundGroup{config: true})
		}
	case !retained && l.s.cfg.Announce && !l.inbound.isEcho(groupEcho(slug), now) && !l.s.rivals.any():
		l.s.deleteGroup(slug)
	}
}

// deleteGroup stops announcing a group that the user has deleted in Home
// Assistant, for as long as it exists. Its state topic stays, which is how this
// is still known after a restart.
func (s *Session) deleteGroup(slug string) {
	s.mu.Lock()
	known := !s.deletedGroups[slug] && slices.ContainsFunc(s.groups, func(g presence.Group) bool { return g.Slug == slug })
	if known {
		s.deletedGroups[slug] = true
	}
	l := s.link
	if l != nil {
		l.groupsStale = true
	}
	s.mu.Unlock()
	l.poke()
	if known {
		s.log.Info("a group was deleted in Home Assistant: to have it back there, take it from all its devices and give it to them again", "group", slug)
	}
}

func (s *Session) groupDeleted(slug string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.deletedGroups[slug]
}

// missingGroups returns the desired groups that the user seems to have deleted
// in Home Assistant while we were away: the broker holds our bridge's discovery
// and the group's state, which is always published after the group's discovery,
// but not the latter.
func (l *link) missingGroups() (slugs []string) {
	if !l.s.cfg.Announce || l.s.rivals.any() {
		return nil
	}
	l.s.mu.Lock()
	desired := l.s.groups
	l.s.mu.Unlock()
	l.inbound.mu.Lock()
	defer l.inbound.mu.Unlock()
	if l.inbound.bridge == nil {
		return nil
	}
	for _, g := range desired {
		if f := l.inbound.groups[g.Slug]; f.state && !f.config {
			slugs = append(slugs, g.Slug)
		}
	}
	return slugs
}

// clearLeftoverGroups takes what the broker held of groups when we connected:
// those that exist no more are cleared.
func (l *link) clearLeftoverGroups(found map[string]foundGroup) {
	for slug, f := range found {
		e := l.groups[slug]
		if e == nil {
			e = new(sentGroup)
			l.groups[slug] = e
		}
		if f.config && e.announced == "" {
			e.announced = "left over"
			if !l.s.cfg.Announce {
				l.publish(familyConfig, l.s.topics.GroupConfig(slug), true, nil, nil)
				e.announced = ""
			}
		}
	}
	l.groupsAt = time.Time{}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
