package mqtt

import (
	"bytes"
	"context"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"time"

	"porchlight/discovery"
	"porchlight/presence"
)

// stage is how far a connection has come.
type stage int

const (
	// collecting: the broker's retained messages of ours come in. Only states
	// that change are published.
	collecting stage = iota
	// verifying: devices whose discovery seems to be missing are asked for once
	// more.
	verifying
	// publishing: the full publish.
	publishing
	// serving: online is published, events flow.
	serving
)

const (
	collectQuiet  = 500 * time.Millisecond // nothing retained for so long: all has come
	collectMost   = 5 * time.Second
	verifyFor     = time.Second
	leftoversWait = 5 * time.Second
	// maxMissing is how many devices a person can have deleted by hand. More
	// missing discovery messages mean that a broker lost them.
	maxMissing = 32
)

// summaryDelay lets what people wait for go before the summary; summaryEvery
// is the least time between two.
const (
	summaryDelay = 100 * time.Millisecond
	summaryEvery = time.Second
)

// sentInfo is what was published of the bridge's own topics.
type sentInfo struct {
	summary    uint64 // hash
	summaryAt  time.Time
	bridge     bool     // its discovery message, which depends on
	interfaces []string // these
	bridgeAt   time.Time
}

// kind is a topic of a full publish, in their order.
type kind uint8

const (
	bridgeConfig kind = iota
	deviceConfig
	deviceState
	deviceAttributes
	deviceLastSeen
	summaryTopic
	statusOnline
)

// item is one message of a full publish. Its payload is rendered when its turn
// comes.
type item struct {
	kind kind
	id   presence.ID
}

func (l *link) begin(now time.Time) {
	l.stage, l.stageAt = collecting, now.Add(collectQuiet)
	l.leftovers = now.Add(leftoversWait)
	l.inbound.touch(now)
}

// stepStage moves on from one stage to the next when its time has come.
func (l *link) stepStage(ctx context.Context, now time.Time) bool {
	switch {
	case l.stage == collecting:
		return l.collect(ctx, now)
	case l.stage == verifying && !now.Before(l.stageAt):
		l.s.confirmDeleted(l.inbound.stillMissing())
		l.startPublishing()
		return true
	case l.stage >= publishing && l.inbound.takeBirth(now):
		l.s.log.Info("Home Assistant has started: publishing everything again")
		l.forget()
		l.startPublishing()
		return true
	case l.stage == serving && !l.leftovers.IsZero() && !now.Before(l.leftovers):
		l.leftovers = time.Time{}
		l.clearLeftovers(now)
		return true
	}
	return false
}

// collect waits until the broker has sent what it holds of ours, and the
// bridge has told us what should be.
func (l *link) collect(ctx context.Context, now time.Time) bool {
	quiet := l.inbound.lastRetained().Add(collectQuiet)
	if last := l.leftovers.Add(collectMost - leftoversWait); quiet.After(last) {
		quiet = last
	}
	if now.Before(quiet) {
		l.stageAt = quiet
		return false
	}
	l.s.mu.Lock()
	ready := l.s.updated && l.s.summarised
	l.s.mu.Unlock()
	if !ready {
		l.stageAt = now.Add(time.Hour) // Update and SetSummary wake us
		return false
	}
	missing := l.missing()
	switch {
	case len(missing) == 0:
		l.startPublishing()
	case len(missing) > maxMissing:
		l.s.log.Warn("the broker has lost discovery messages: publishing them again", "devices", len(missing))
		l.startPublishing()
	default:
		l.stage, l.stageAt = verifying, now.Add(verifyFor)
		l.s.writers.Go(func() { l.verify(ctx, missing) })
	}
	return true
}

// missing returns the desired devices that the user seems to have deleted in
// Home Assistant while we were away. The mark of that: the broker holds our
// bridge's discovery and the device's attributes, which are always published
// after the device's discovery, but not the latter. A broker that lost
// everything has lost the marks too.
func (l *link) missing() (ids []presence.ID) {
	if !l.s.cfg.Announce {
		return nil
	}
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.inbound.missing(func(id presence.ID) bool { return l.s.devices[id] != nil })
}

// verify asks for the discovery message of each device by its own topic, since
// a broker may have dropped some of the many that the wildcard matched.
func (l *link) verify(ctx context.Context, ids []presence.ID) {
	filters := make(map[string]byte, len(ids))
	for _, id := range ids {
		filters[l.s.topics.Config(id)] = 1
	}
	if err := l.await(ctx, filters); err != nil {
		l.fail(err)
		return
	}
	sleep(ctx, verifyFor/2)
	topics := make([]string, 0, len(ids))
	for f := range filters {
		topics = append(topics, f)
	}
	l.client.Unsubscribe(topics...)
}

// forget makes the next full publish send everything again, and leaves out
// only that two different discovery messages keep their distance.
func (l *link) forget() {
	for _, e := range l.sent {
		*e = sent{configAt: e.configAt}
	}
	l.sentInfo = sentInfo{bridgeAt: l.sentInfo.bridgeAt, summaryAt: l.sentInfo.summaryAt}
}

// startPublishing queues a full publish: discovery, states, attributes, and
// online last.
func (l *link) startPublishing() {
	l.s.mu.Lock()
	ids := make([]presence.ID, 0, len(l.s.devices))
	for id := range l.s.devices {
		ids = append(ids, id)
	}
	l.s.mu.Unlock()
	slices.Sort(ids)
	l.bulk = make([]item, 0, 4*len(ids)+3)
	l.bulk = append(l.bulk, item{kind: bridgeConfig})
	for kind := deviceConfig; kind <= deviceLastSeen; kind++ {
		for _, id := range ids {
			l.bulk = append(l.bulk, item{kind, id})
		}
	}
	l.bulk = append(l.bulk, item{kind: summaryTopic}, item{kind: statusOnline})
	if l.stage < publishing {
		l.stage = publishing
	}
}

// stepBulk publishes the next message of a full publish.
func (l *link) stepBulk(now time.Time) bool {
	if l.stage < publishing || len(l.bulk) == 0 {
		return false
	}
	next := l.bulk[0]
	l.bulk = l.bulk[1:]
	switch next.kind {
	case bridgeConfig:
		l.publishBridge(now)
	case summaryTopic:
		l.publishSummary(now)
	case statusOnline:
		l.publish(l.s.topics.Status(), true, []byte(discovery.Online), nil)
		l.bulk = nil
		l.stage = serving
	default:
		l.publishItem(next, now)
	}
	return true
}

func (l *link) publishItem(i item, now time.Time) {
	d, ok := l.device(i.id)
	if !ok {
		return
	}
	switch i.kind {
	case deviceConfig:
		l.publishConfig(&d, now)
	case deviceState:
		l.publishState(&d)
	case deviceAttributes:
		l.publishAttributes(&d)
	case deviceLastSeen:
		l.publishLastSeen(&d)
	}
}

// bridgeDue stands for the bridge's own device in the deferred queue.
const bridgeDue presence.ID = ""

func (l *link) publishBridge(now time.Time) {
	if !l.s.cfg.Announce {
		return
	}
	l.s.mu.Lock()
	sensing := l.s.summary.Sensing
	l.s.mu.Unlock()
	interfaces := make([]string, 0, len(sensing))
	for _, i := range sensing {
		interfaces = append(interfaces, i.Interface)
	}
	if l.sentInfo.bridge && slices.Equal(interfaces, l.sentInfo.interfaces) {
		return
	}
	if at := l.sentInfo.bridgeAt.Add(settle); now.Before(at) {
		l.deferred = append(l.deferred, due{bridgeDue, at})
		return
	}
	o := &l.s.cfg.Discovery
	payload := o.Bridge(interfaces, l.inbound.bridgeConfig())
	l.publish(l.s.topics.BridgeConfig(), true, payload, nil)
	l.inbound.setBridgeConfig(payload)
	l.sentInfo.bridge, l.sentInfo.bridgeAt, l.sentInfo.interfaces = true, now, interfaces
	if !bytes.Equal(payload, o.Bridge(interfaces, nil)) {
		// It removes components: the next message leaves them out.
		l.sentInfo.bridge = false
		l.deferred = append(l.deferred, due{bridgeDue, now.Add(settle)})
	}
}

// stepSummary publishes the summary when it is stale and its time has come.
func (l *link) stepSummary(now time.Time) bool {
	if l.summaryDue(now).After(now) {
		return false
	}
	l.publishSummary(now)
	l.publishBridge(now) // an interface may have come or gone
	return true
}

// summaryDue returns when to publish the summary; the far future when it is
// not stale. A fresh change is first put off by summaryDelay.
func (l *link) summaryDue(now time.Time) time.Time {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if !l.summaryStale {
		return now.Add(time.Hour)
	}
	if l.summaryAt.IsZero() {
		l.summaryAt = now.Add(summaryDelay)
	}
	if at := l.sentInfo.summaryAt.Add(summaryEvery); at.After(l.summaryAt) {
		return at
	}
	return l.summaryAt
}

func (l *link) publishSummary(now time.Time) {
	l.s.mu.Lock()
	l.summaryStale, l.summaryAt = false, time.Time{}
	summary := l.s.summary
	l.s.mu.Unlock()
	payload := discovery.Summary(&summary)
	hash := maphash.Bytes(l.seed, payload)
	if hash == l.sentInfo.summary {
		return
	}
	l.sentInfo.summary, l.sentInfo.summaryAt = hash, now
	l.publish(l.s.topics.Summary(), true, payload, nil)
}

// clearLeftovers clears what the broker held of ours when we connected and
// nobody owns.
func (l *link) clearLeftovers(now time.Time) {
	found := l.inbound.endCollection()
	l.client.Unsubscribe(l.s.topics.AllStates(), l.s.topics.AllAttributes(), l.s.topics.AllLastSeen())
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
		l.publish(l.s.topics.BridgeConfig(), true, nil, nil)
	}
	for _, id := range found.configs {
		l.publish(l.s.topics.Config(id), true, nil, nil)
	}
	l.client.Unsubscribe(l.s.topics.AllConfigs())
}

// isGone reports whether id's clearing is under way. s.mu is held.
func (s *Session) isGone(id presence.ID) bool {
	_, ok := s.gone[id]
	return ok
}

// nextDue returns when there may be something to do although nobody wakes the
// writer.
func (l *link) nextDue(now time.Time) time.Time {
	next := now.Add(time.Hour)
	sooner := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	if l.inflight.len() > 0 {
		sooner(l.inflight.queue[0].at.Add(ackTimeout + time.Millisecond))
	}
	if l.inflight.len() >= maxInFlight {
		return next // nothing is sent before an acknowledgement
	}
	if l.stage < publishing {
		sooner(l.stageAt)
		return next
	}
	sooner(l.summaryDue(now))
	if len(l.deferred) > 0 {
		sooner(l.deferred[0].at)
	}
	if len(l.clearing) > 0 {
		sooner(l.clearing[0].at)
	}
	if at := l.inbound.birthDue(); !at.IsZero() {
		sooner(at)
	}
	if l.stage == serving && !l.leftovers.IsZero() {
		sooner(l.leftovers)
	}
	return next
}

// birthPause is the random wait after Home Assistant's birth, so that it is
// ready and not everybody answers at once.
func birthPause() time.Duration { return time.Second + rand.N(4*time.Second) }
