package mqtt

import (
	"context"
	"errors"
	"hash/maphash"
	"runtime"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"porchlight/discovery"
	"porchlight/presence"
)

// settle is the least time between two different discovery messages of one
// device, and between a device's empty discovery message and its empty topics:
// Home Assistant loses or complains about what comes sooner.
const settle = 2 * time.Second

// sent is what was published of a device on this connection.
type sent struct {
	state      presence.State
	attributes uint64 // hash
	name       string
	config     configKey
	configAt   time.Time
	lastSeen   time.Time
}

// configKey is all that a device's discovery message depends on. The zero key
// stands for none, or for an empty message.
type configKey struct {
	name, vendor, icon string
	macs               uint64 // hash
}

// due is a device with something to do at a time.
type due struct {
	id presence.ID
	at time.Time
}

// write publishes until ctx is cancelled (nil) or the connection turns out to
// be of no use.
func (l *link) write(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	l.begin(time.Now())
	for {
		if err := l.reap(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		now := time.Now()
		if l.maySend(now) && l.step(ctx, now) {
			continue
		}
		if l.anew {
			return errAnew
		}
		timer.Reset(l.nextDue(now).Sub(now))
		batches := l.batches
		if l.stage != serving || len(l.batch) > 0 {
			batches = nil
		}
		var urgent <-chan struct{}
		if l.maySend(now) { // else its end changes nothing
			urgent = l.urgent.done()
		}
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-timer.C:
		case <-l.inflight.oldest():
		case <-urgent:
		case l.batch = <-batches:
		}
	}
}

// errAnew ends a connection that is well, to begin again from nothing.
var errAnew = errors.New("everything is to be published again")

func (l *link) reap() error {
	return l.inflight.reap(func(f family) { l.acknowledged(f, time.Now()) })
}

// maySend reports whether anything may be sent now: not while the first message
// to a family is on its way, or may not have been welcome (see trial).
func (l *link) maySend(now time.Time) bool {
	return !l.anew && l.inflight.len() < maxInFlight && l.trying.Load() == nil && !now.Before(l.proofDue())
}

// step does the most urgent piece of work, and reports whether there was any.
func (l *link) step(ctx context.Context, now time.Time) bool {
	return l.stepState(now) || !l.urgent.waits(now) && (l.stepGroups(now) || l.stepDetails(now) ||
		l.stepInstance(now) ||
		l.stepStage(ctx, now) ||
		l.stage == serving && (l.stepEvent() || l.stepOnline(now) || l.stepMachine(now)) ||
		l.stage >= publishing && (l.stepClear(now) || l.stepDeferred(now) || l.stepSummary(now)) ||
		l.inflight.len() < bulkWindow && (l.stepBulk(now) || l.stage == serving && l.stepSeen()) ||
		l.stepTrials(now))
}

// headStart is how long everything else waits at most for the broker to
// acknowledge a state: broker and subscriber may share this machine's processor
// with us, and the state is what people wait for.
const headStart = 2 * time.Millisecond

// urgent is the last state that was published because it changed.
type urgent struct {
	token paho.Token
	until time.Time
}

// waits reports whether everything else is to wait for it.
func (u *urgent) waits(now time.Time) bool {
	if u.token == nil {
		return false
	}
	select {
	case <-u.token.Done():
		u.token = nil
	default:
		if !now.Before(u.until) {
			u.token = nil
		}
	}
	return u.token != nil
}

// done returns a channel that is closed when the broker has it; nil for none.
func (u *urgent) done() <-chan struct{} {
	if u.token == nil {
		return nil
	}
	return u.token.Done()
}

// publish hands payload to the client, and reports whether it did: nothing is
// written to a family that is left out. The topic's last payload is not looked
// at; that is the caller's business.
func (l *link) publish(f family, topic string, retained bool, payload []byte, acked func()) bool {
	t := &l.trials[f]
	if t.left {
		if acked != nil {
			acked()
		}
		return false
	}
	token := l.client.Publish(topic, 1, retained, payload)
	l.inflight.add(pending{family: f, token: token, at: time.Now(), acked: acked})
	if t.ackedAt.IsZero() {
		l.trying.Store(&attempt{family: f, token: token})
	}
	return true
}

// pop takes the first device of one of l's queues, as a copy. flag is its mark
// for that queue. Devices that are desired no more are skipped.
func (l *link) pop(queue func() *[]*tracked, flag func(*tracked) *bool) (d presence.Device, ok bool) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.s.link != l {
		return d, false // another connection has taken over
	}
	q := queue()
	for len(*q) > 0 {
		t := (*q)[0]
		(*q)[0] = nil
		*q = (*q)[1:]
		*flag(t) = false
		if l.s.devices[t.device.ID] == t {
			return t.device, true
		}
	}
	*q = nil
	return d, false
}

func (l *link) device(id presence.ID) (d presence.Device, ok bool) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if t := l.s.devices[id]; t != nil {
		return t.device, true
	}
	return d, false
}

func (l *link) sentOf(id presence.ID) *sent {
	e := l.sent[id]
	if e == nil {
		e = new(sent)
		l.sent[id] = e
	}
	return e
}

func (l *link) stepState(now time.Time) bool {
	d, ok := l.pop(func() *[]*tracked { return &l.states }, func(t *tracked) *bool { return &t.inStates })
	if ok && l.publishState(&d) {
		if l.urgent.token == nil { // a stream of states does not keep the rest waiting for ever
			l.urgent.until = now.Add(headStart)
		}
		l.urgent.token = l.inflight.newest()
		// The client hands the message on to goroutines of its own: they go
		// first, and write it to the socket, before the rest is rendered.
		runtime.Gosched()
	}
	return ok
}

// publishState publishes d's state if it is another than before, and reports
// whether it was.
func (l *link) publishState(d *presence.Device) bool {
	e := l.sentOf(d.ID)
	if e.state == d.State && e.state != "" {
		return false
	}
	e.state = d.State
	return l.publish(familyState, l.s.topics.State(d.ID), true, discovery.State(d), nil)
}

// stepDetails publishes attributes, discovery and name. For a device that is new to
// this connection discovery goes first, so that a broker that holds a device's
// attributes has been given its discovery before: without it, the user has
// deleted the device (see missing). Before the full publish it does nothing,
// as that will do it.
func (l *link) stepDetails(now time.Time) bool {
	d, ok := l.pop(func() *[]*tracked { return &l.details }, func(t *tracked) *bool { return &t.inDetails })
	if !ok || l.stage < publishing {
		return ok
	}
	if l.sentOf(d.ID).configAt.IsZero() {
		l.publishConfig(&d, now)
		l.publishAttributes(&d)
	} else {
		l.publishAttributes(&d)
		l.publishConfig(&d, now)
	}
	l.publishName(&d)
	return true
}

func (l *link) publishAttributes(d *presence.Device) {
	payload := l.s.cfg.Discovery.Attributes(d)
	e, hash := l.sentOf(d.ID), maphash.Bytes(l.seed, payload)
	if e.attributes == hash {
		return
	}
	e.attributes = hash
	l.publish(familyAttributes, l.s.topics.Attributes(d.ID), true, payload, nil)
}

func (l *link) publishName(d *presence.Device) {
	e, name := l.sentOf(d.ID), d.DisplayName()
	if e.name == name {
		return
	}
	e.name = name
	l.publish(familyName, l.s.topics.Name(d.ID), true, discovery.Name(d), nil)
}

// publishConfig publishes the discovery message, or defers it when the last one
// was different and is too fresh.
func (l *link) publishConfig(d *presence.Device, now time.Time) {
	if !l.s.cfg.Announce {
		return
	}
	e, key := l.sentOf(d.ID), configKey{d.DisplayName(), d.Vendor, discovery.Icon(d), l.hashMACs(d)}
	if e.config == key {
		return
	}
	if at := e.configAt.Add(settle); now.Before(at) {
		l.deferred = append(l.deferred, due{d.ID, at})
		return
	}
	e.config, e.configAt = key, now
	l.publish(familyConfig, l.s.topics.Config(d.ID), true, l.s.cfg.Discovery.Device(d), nil)
}

func (l *link) hashMACs(d *presence.Device) uint64 {
	var h maphash.Hash
	h.SetSeed(l.seed)
	for _, m := range d.AllMACs() {
		_, _ = h.Write(m[:]) // never fails
	}
	return h.Sum64()
}

// ripe takes the first of queue if its time has come.
func ripe(queue *[]due, now time.Time) (id presence.ID, ok bool) {
	if len(*queue) == 0 || now.Before((*queue)[0].at) {
		return "", false
	}
	id = (*queue)[0].id
	*queue = (*queue)[1:]
	return id, true
}

func (l *link) stepDeferred(now time.Time) bool {
	id, ok := ripe(&l.deferred, now)
	if !ok {
		return false
	}
	if id == bridgeDue {
		l.publishBridge(now)
	} else if d, desired := l.device(id); desired {
		l.publishConfig(&d, now)
	}
	return true
}

// stepClear clears a forgotten device: its discovery now, its topics later,
// since an empty payload on a topic that an entity still reads is an error in
// Home Assistant's log.
func (l *link) stepClear(now time.Time) bool {
	if id, ok := l.nextClear(); ok {
		e := l.sentOf(id)
		if l.s.cfg.Announce {
			e.config, e.configAt = configKey{}, now
		}
		// An empty message on an empty topic is a warning in Home Assistant's log.
		if l.s.cfg.Announce && !l.inbound.isEmptied(id) {
			l.inbound.expectEcho(id, now)
			l.publish(familyConfig, l.s.topics.Config(id), true, nil, nil)
		}
		l.clearing = append(l.clearing, due{id, now.Add(settle)})
		return true
	}
	id, ok := ripe(&l.clearing, now)
	if !ok {
		return false
	}
	if _, desired := l.device(id); desired {
		return true // it came back
	}
	delete(l.sent, id)
	l.publish(familyState, l.s.topics.State(id), true, nil, nil)
	l.publish(familyAttributes, l.s.topics.Attributes(id), true, nil, nil)
	l.publish(familyName, l.s.topics.Name(id), true, nil, nil)
	l.publish(familyLastSeen, l.s.topics.LastSeen(id), true, nil, func() { l.s.cleared(id) })
	return true
}

func (l *link) nextClear() (presence.ID, bool) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.s.link != l {
		return "", false
	}
	for len(l.clears) > 0 {
		id := l.clears[0]
		l.clears = l.clears[1:]
		if _, desired := l.s.devices[id]; !desired {
			return id, true
		}
	}
	l.clears = nil
	return "", false
}

// cleared notes that the broker holds nothing of id any more.
func (s *Session) cleared(id presence.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.gone, id)
}

func (l *link) stepSeen() bool {
	d, ok := l.pop(func() *[]*tracked { return &l.seen }, func(t *tracked) *bool { return &t.inSeen })
	if ok {
		l.publishLastSeen(&d)
	}
	return ok
}

func (l *link) publishLastSeen(d *presence.Device) {
	e, payload := l.sentOf(d.ID), discovery.LastSeen(d)
	if payload == nil || e.lastSeen.Equal(d.LastSeen) {
		return
	}
	e.lastSeen = d.LastSeen
	l.publish(familyLastSeen, l.s.topics.LastSeen(d.ID), true, payload, nil)
}
