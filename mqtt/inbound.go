package mqtt

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"porchlight/discovery"
	"porchlight/presence"
)

// echoWithin is how long after our own empty discovery message its echo may
// arrive.
const echoWithin = 30 * time.Second

// maxBridge is how long, in bytes, the bridge's discovery message can be to be
// ours.
const maxBridge = 64 << 10

// maxInbox is how many commands may wait for Commands.
const maxInbox = 64

// inbound is what a connection has heard, as the client tells receive, one
// message after the other.
type inbound struct {
	mu         sync.Mutex
	collecting bool
	heardAt    time.Time             // of the last retained message
	configs    map[presence.ID]bool  // has a retained discovery message
	attributes map[presence.ID]bool  // has retained attributes
	ids        map[presence.ID]bool  // has anything retained that is ours
	groups     map[string]foundGroup // by slug
	machine    foundMachine
	bridge     []byte        // the bridge's retained discovery message
	asked      []presence.ID // by verify
	echoes     map[presence.ID]time.Time
	emptied    map[presence.ID]bool // somebody else has cleared its discovery message, and no other came since
	birthAt    time.Time
	questioned atomic.Bool // somebody wants to know who is there
	statusLost atomic.Bool // somebody has overwritten our online
	inbox      chan command
}

type command struct {
	topic   string
	payload []byte
}

func (in *inbound) init() {
	in.collecting = true
	in.configs = make(map[presence.ID]bool)
	in.attributes = make(map[presence.ID]bool)
	in.ids = make(map[presence.ID]bool)
	in.groups = make(map[string]foundGroup)
	in.echoes = make(map[presence.ID]time.Time)
	in.emptied = make(map[presence.ID]bool)
	in.inbox = make(chan command, maxInbox)
}

// receive takes a message from the client. It never waits.
func (l *link) receive(_ paho.Client, m paho.Message) {
	t := &l.s.topics
	topic, payload, now := m.Topic(), m.Payload(), time.Now()
	if topic == l.s.cfg.HAStatusTopic {
		if s := string(payload); s == discovery.Online || s == discovery.Offline {
			l.s.rivals.hearHomeAssistant(now)
		}
		// A retained birth is from before; the full publish answers it.
		if !m.Retained() && string(payload) == discovery.Online {
			l.inbound.setBirth(now.Add(birthPause()))
			l.poke()
		}
		return
	}
	switch topic {
	case t.Status():
		l.heard(familyStatus, m)
		// Another instance that ends, or a connection of ours from before.
		if !m.Retained() && string(payload) != discovery.Online {
			l.inbound.statusLost.Store(true)
			l.poke()
		}
		return
	case t.Instance():
		if m.Retained() {
			l.s.once.warn(l.s.log, "ignoring a retained message on a topic that has none: clear it", topic)
			return
		}
		l.heard(familyInstance, m)
		l.receiveClaim(payload, now)
		return
	case t.Summary():
		l.heard(familySummary, m)
		return
	case t.Machine():
		l.heard(familyMachine, m)
		if m.Retained() && len(payload) > 0 {
			l.inbound.collectMachine(now, foundMachine{state: true})
		}
		return
	case t.MachineConfig():
		l.heard(familyConfig, m)
		l.receiveMachineConfig(payload, m.Retained(), now)
		return
	case t.Event():
		l.heard(familyEvent, m)
		return
	case t.BridgeConfig():
		l.heard(familyConfig, m)
		l.receiveBridge(m)
		return
	}
	if id, ok := t.ParseConfig(topic); ok {
		l.heard(familyConfig, m)
		l.receiveConfig(id, m, now)
		return
	}
	if slug, ok := t.ParseGroupConfig(topic); ok {
		l.heard(familyConfig, m)
		l.receiveGroupConfig(slug, payload, m.Retained(), now)
		return
	}
	if slug, ok := t.ParseGroupState(topic); ok {
		l.heard(familyGroup, m)
		if m.Retained() && len(payload) > 0 {
			l.inbound.collectGroup(slug, now, foundGroup{state: true})
		}
		return
	}
	if topic == t.Scan() {
		l.accept(m)
		return
	}
	if _, ok := t.ParseSet(topic); ok {
		l.accept(m)
		return
	}
	if strings.HasSuffix(topic, "/set") {
		l.s.once.warn(l.s.log, "ignored a command: a device's id in a topic is its MAC in twelve lower-case hex digits", topic)
		return
	}
	id, ok := t.ParseState(topic)
	if f, known := familyOf[topic[strings.LastIndexByte(topic, '/')+1:]]; ok && known {
		l.heard(f, m)
	}
	if ok && m.Retained() && len(payload) > 0 {
		l.inbound.collect(id, now, func(in *inbound) {
			if topic == t.Attributes(id) {
				in.attributes[id] = true
			}
		})
	}
}

// accept puts a command into the inbox. Retained ones are ignored: they would
// be carried out again at each connect.
func (l *link) accept(m paho.Message) {
	if m.Retained() {
		l.s.once.warn(l.s.log, "ignoring a retained command: clear it, and publish commands without retain", m.Topic())
		return
	}
	select {
	case l.inbound.inbox <- command{topic: m.Topic(), payload: m.Payload()}:
	default:
		l.s.warnings.warn(l.s.log, "inbox", "too many commands at once: some are ignored", "topic", m.Topic())
	}
}

func (l *link) receiveBridge(m paho.Message) {
	switch {
	case m.Retained():
		l.inbound.collectBridge(m.Payload(), time.Now())
	case len(m.Payload()) == 0 && l.s.cfg.Announce && !l.s.rivals.any():
		l.s.log.Info("Porchlight's own device was deleted in Home Assistant: it comes back when Home Assistant starts next; to keep it away set PORCHLIGHT_HA_DISCOVERY=false")
		l.inbound.setBridgeConfig(nil)
	}
}

// receiveConfig takes a device's discovery message. One that we did not send
// and that is empty means that the user has deleted the device in Home
// Assistant, or that another instance has no such device.
func (l *link) receiveConfig(id presence.ID, m paho.Message, now time.Time) {
	l.s.mu.Lock()
	known := l.s.devices[id] != nil
	l.s.mu.Unlock()
	switch {
	case len(m.Payload()) > 0:
		if !m.Retained() { // our own, or somebody else's mischief
			if l.inbound.takeEmptied(id) && !known {
				l.clearAgain(id)
			}
			return
		}
		if known || discovery.Ours(m.Payload()) {
			l.inbound.collect(id, now, func(in *inbound) { in.configs[id] = true })
		}
	case !m.Retained() && l.s.cfg.Announce && !l.inbound.isEcho(id, now) && known && !l.s.rivals.any():
		l.inbound.setEmptied(id)
		l.s.confirmDeleted([]presence.ID{id})
	}
}

// clearAgain clears a device whose discovery message was on its way when the
// user deleted it.
func (l *link) clearAgain(id presence.ID) {
	l.s.mu.Lock()
	l.s.gone[id] = struct{}{}
	l.queueClear(id)
	l.s.mu.Unlock()
	l.poke()
}

// confirmDeleted stops the tracking of devices that the user has deleted in
// Home Assistant, and never brings them back until the user says otherwise.
func (s *Session) confirmDeleted(ids []presence.ID) {
	for _, id := range ids {
		s.mu.Lock()
		t, known := s.devices[id]
		if known {
			s.deleted[id] = struct{}{}
			s.remove(id)
		}
		l := s.link
		s.mu.Unlock()
		if !known {
			continue
		}
		l.poke()
		s.log.Info("deleted in Home Assistant: not tracked any more, until its track switch is set",
			"device", t.device.ID, "name", t.device.DisplayName())
		no := false
		s.commands.Set(id, presence.Change{Track: &no})
	}
}

// obey carries commands out, one after the other.
func (l *link) obey(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-l.inbound.inbox:
			l.s.obey(c)
		}
	}
}

func (in *inbound) touch(now time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.heardAt.IsZero() {
		in.heardAt = now
	}
}

func (in *inbound) lastRetained() time.Time {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.heardAt
}

func (in *inbound) collect(id presence.ID, now time.Time, what func(*inbound)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.collecting {
		return
	}
	in.heardAt = now
	in.ids[id] = true
	what(in)
}

func (in *inbound) collectBridge(payload []byte, now time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.heardAt = now
	if in.collecting && in.bridge == nil && len(payload) <= maxBridge && discovery.Ours(payload) {
		in.bridge = slices.Clone(payload)
	}
}

func (in *inbound) bridgeConfig() []byte {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.bridge
}

func (in *inbound) setBridgeConfig(payload []byte) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.bridge = payload
}

// missing returns the desired devices whose attributes are retained and whose
// discovery message is not, and remembers them for stillMissing.
func (in *inbound) missing(desired func(presence.ID) bool) []presence.ID {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.asked = nil
	if in.bridge == nil {
		return nil
	}
	for id := range in.attributes {
		if !in.configs[id] && desired(id) {
			in.asked = append(in.asked, id)
		}
	}
	return in.asked
}

func (in *inbound) stillMissing() (ids []presence.ID) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, id := range in.asked {
		if !in.configs[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// found is what the broker held of ours at the start.
type found struct {
	ids     map[presence.ID]bool
	configs []presence.ID
	groups  map[string]foundGroup
	machine foundMachine
	bridge  bool
}

// endCollection returns what was found and lets it go.
func (in *inbound) endCollection() found {
	in.mu.Lock()
	defer in.mu.Unlock()
	f := found{ids: in.ids, groups: in.groups, machine: in.machine, bridge: in.bridge != nil}
	for id := range in.configs {
		f.configs = append(f.configs, id)
	}
	in.collecting = false
	in.ids, in.configs, in.attributes, in.groups = nil, nil, nil, nil
	return f
}

func (in *inbound) expectEcho(id presence.ID, now time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.echoes[id] = now.Add(echoWithin)
}

// isEcho reports whether an empty discovery message of id is our own, come
// back.
func (in *inbound) isEcho(id presence.ID, now time.Time) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	until, ok := in.echoes[id]
	delete(in.echoes, id)
	return ok && now.Before(until)
}

func (in *inbound) setEmptied(id presence.ID) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.emptied[id] = true
}

func (in *inbound) isEmptied(id presence.ID) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.emptied[id]
}

// takeEmptied reports whether somebody else has cleared id's discovery message,
// and forgets it: another one follows.
func (in *inbound) takeEmptied(id presence.ID) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	emptied := in.emptied[id]
	delete(in.emptied, id)
	return emptied
}

func (in *inbound) setBirth(at time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.birthAt.IsZero() {
		in.birthAt = at
	}
}

func (in *inbound) birthDue() time.Time {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.birthAt
}

func (in *inbound) takeBirth(now time.Time) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.birthAt.IsZero() || now.Before(in.birthAt) {
		return false
	}
	in.birthAt = time.Time{}
	return true
}
