package mqtt

import (
	"time"

	"porchlight/discovery"
	"porchlight/presence"
)

// sentMachine is what was published of this machine on this connection.
type sentMachine struct {
	announced bool
	state     presence.Machine
	stated    bool
	clearAt   time.Time // when to clear what an earlier run left on its topic; zero: nothing is left
}

// SetMachine sets what this machine's last look at its connections has counted.
// It is published when a number has changed. Without Config.Machine it does
// nothing.
func (s *Session) SetMachine(m presence.Machine) {
	if !s.cfg.Machine {
		return
	}
	s.mu.Lock()
	s.machine = &m
	l := s.link
	if l != nil {
		l.machineStale = true
	}
	s.mu.Unlock()
	l.poke()
}

// stepMachine publishes what has changed since the full publish, and clears what
// an earlier run left.
func (l *link) stepMachine(now time.Time) bool {
	if at := l.machine.clearAt; !at.IsZero() && !now.Before(at) {
		l.machine.clearAt = time.Time{}
		return l.publish(familyMachine, l.s.topics.Machine(), true, nil, nil)
	}
	l.s.mu.Lock()
	stale := l.machineStale
	l.s.mu.Unlock()
	return stale && l.publishMachine()
}

// publishMachine publishes the numbers if they are others than before, and
// reports whether they were.
func (l *link) publishMachine() bool {
	l.s.mu.Lock()
	l.machineStale = false
	m := l.s.machine
	l.s.mu.Unlock()
	if m == nil || l.machine.stated && l.machine.state == *m {
		return false
	}
	l.machine.state, l.machine.stated = *m, true
	return l.publish(familyMachine, l.s.topics.Machine(), true, discovery.MachineCounts(*m), nil)
}

// publishMachineConfig publishes the discovery message, which never changes
// while the program runs.
func (l *link) publishMachineConfig() {
	l.s.mu.Lock()
	deleted := l.s.machineDeleted
	l.s.mu.Unlock()
	if !l.s.cfg.Announce || !l.s.cfg.Machine || deleted || l.machine.announced {
		return
	}
	l.machine.announced = true
	l.publish(familyConfig, l.s.topics.MachineConfig(), true, l.s.cfg.Discovery.Machine(l.s.rivals.self.Host), nil)
}

// foundMachine is what the broker held of this machine when we connected.
type foundMachine struct{ state, config bool }

// collectMachine takes note of a retained message on this machine's topics.
func (in *inbound) collectMachine(now time.Time, what foundMachine) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.collecting {
		in.heardAt = now
		in.machine = foundMachine{in.machine.state || what.state, in.machine.config || what.config}
	}
}

// receiveMachineConfig takes this machine's discovery message. One that is empty
// and not ours means that the user has deleted the device in Home Assistant; we
// send an empty one only when there is to be none.
func (l *link) receiveMachineConfig(payload []byte, retained bool, now time.Time) {
	switch {
	case len(payload) > 0:
		if retained && discovery.Ours(payload) {
			l.inbound.collectMachine(now, foundMachine{config: true})
		}
	case !retained && l.s.cfg.Announce && l.s.cfg.Machine && !l.s.rivals.any():
		l.s.deleteMachine()
	}
}

// deleteMachine stops announcing this machine, which the user has deleted in Home
// Assistant. Its numbers go on, which is how this is still known after a restart.
func (s *Session) deleteMachine() {
	s.mu.Lock()
	known := s.machineDeleted
	s.machineDeleted = true
	s.mu.Unlock()
	if !known {
		s.log.Info("this machine's device was deleted in Home Assistant: to have it back there, start Porchlight once without PORCHLIGHT_CONNECTIONS_INTERVAL")
	}
}

// missingMachine reports whether the user seems to have deleted this machine in
// Home Assistant while we were away: the broker holds our bridge's discovery and
// this machine's numbers, which are always published after its discovery, but
// not the latter.
func (l *link) missingMachine() bool {
	if !l.s.cfg.Announce || !l.s.cfg.Machine || l.s.rivals.any() {
		return false
	}
	l.inbound.mu.Lock()
	defer l.inbound.mu.Unlock()
	return l.inbound.bridge != nil && l.inbound.machine.state && !l.inbound.machine.config
}

// clearLeftoverMachine clears what the broker held of this machine when we
// connected, as far as there is to be none: its discovery now, its numbers
// later, as with devices.
func (l *link) clearLeftoverMachine(found foundMachine, now time.Time) {
	if found.config && !(l.s.cfg.Announce && l.s.cfg.Machine) {
		l.publish(familyConfig, l.s.topics.MachineConfig(), true, nil, nil)
	}
	if found.state && !l.s.cfg.Machine {
		l.machine.clearAt = now.Add(settle)
	}
}
