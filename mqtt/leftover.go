package mqtt

import (
	"context"
	"time"

	"porchlight/presence"
)

// missing returns the desired devices that the user seems to have deleted in
// Home Assistant while we were away. The mark of that: the broker holds our
// bridge's discovery and the device's attributes, which are always published
// after the device's discovery, but not the latter. A broker that lost
// everything has lost the marks too.
func (l *link) missing() (ids []presence.ID) {
	if !l.s.cfg.Announce || l.s.rivals.any() {
		return nil
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.inbound.missing(func(id presence.ID) bool { return l.s.devices[id] != nil })
}

// verify asks for the discovery message of each device and group, and of this
// machine, by its own topic, since a broker may have dropped some of the many
// that the wildcard matched.
func (l *link) verify(ctx context.Context, ids []presence.ID, groups []string, machine bool) {
	filters := make(map[string]byte, len(ids)+len(groups)+1)
	if machine {
		filters[l.s.topics.MachineConfig()] = 1
	}
	for _, id := range ids {
		filters[l.s.topics.Config(id)] = 1
	}
	for _, slug := range groups {
		filters[l.s.topics.GroupConfig(slug)] = 1
	}
	if _, err := l.subscribeAll(ctx, filters); err != nil {
		l.fail(err)
		return
	}
	sleep(ctx, verifyFor/2)
	topics := make([]string, 0, len(filters))
	for f := range filters {
		topics = append(topics, f)
	}
	l.client.Unsubscribe(topics...)
}

// clearLeftovers clears what the broker held of ours when we connected and
// nobody owns. It may be another instance's, if there is one.
func (l *link) clearLeftovers(now time.Time) {
	found := l.inbound.endCollection()
	if l.s.rivals.any() {
		return
	}
	l.clearLeftoverGroups(found.groups)
	l.clearLeftoverMachine(found.machine, now)
	if !l.s.cfg.Announce {
		l.retract(found)
	}
	l.s.mu.Lock()
	n := 0
	for id := range found.ids {
		if l.s.devices[id] == nil && !l.s.isGone(id) {
			l.s.gone[id] = struct{}{}
			l.queueClear(id)
			n++
		}
	}
	l.s.mu.Unlock()
	if n > 0 {
		l.s.log.Info("clearing what is left on the broker of devices that are tracked no more", "devices", n)
	}
}

// retract clears discovery messages of an earlier run with discovery on.
func (l *link) retract(found found) {
	if found.bridge {
		l.publish(familyConfig, l.s.topics.BridgeConfig(), true, nil, nil)
	}
	for _, id := range found.configs {
		l.publish(familyConfig, l.s.topics.Config(id), true, nil, nil)
	}
	l.client.Unsubscribe(l.s.topics.AllConfigs())
}

// isGone reports whether id's clearing is under way. s.mu is held.
func (s *Session) isGone(id presence.ID) bool {
	_, ok := s.gone[id]
	return ok
}
