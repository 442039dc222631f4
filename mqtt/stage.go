package mqtt

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

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

// kind is a topic of a full publish, in their order.
type kind uint8

const (
	bridgeConfig kind = iota
	machineConfig
	deviceConfig
	deviceState
	deviceAttributes
	deviceName
	deviceLastSeen
	groupTopics
	machineTopic
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
	for f := range families {
		l.trials[f].left = l.s.rules.barred(l.s.rules.writing(f))
	}
	l.s.rivals.excuse(now)
}

// stepStage moves on from one stage to the next when its time has come.
func (l *link) stepStage(ctx context.Context, now time.Time) bool {
	switch {
	case l.stage == collecting:
		return l.collect(ctx, now)
	case l.stage == verifying && !now.Before(l.stageAt):
		// Discovery that the broker drops is missing, too.
		if l.trials[familyConfig].echoed.Load() {
			l.s.confirmDeleted(l.inbound.stillMissing())
			for _, slug := range l.missingGroups() {
				l.s.deleteGroup(slug)
			}
			if l.missingMachine() {
				l.s.deleteMachine()
			}
		}
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
	missing, groups, machine := l.missing(), l.missingGroups(), l.missingMachine()
	switch {
	case len(missing)+len(groups) == 0 && !machine:
		l.startPublishing()
	case len(missing) > maxMissing:
		l.s.log.Info("the broker did not send many discovery messages back: publishing them again", "devices", len(missing))
		l.startPublishing()
	default:
		l.stage, l.stageAt = verifying, now.Add(verifyFor)
		l.publishBridge(now)
		l.s.writers.Go(func() { l.verify(ctx, missing, groups, machine) })
	}
	return true
}

// forget makes the next full publish send everything again, and leaves out
// only that two different discovery messages keep their distance.
func (l *link) forget() {
	for _, e := range l.sent {
		*e = sent{configAt: e.configAt}
	}
	l.forgetGroups()
	l.machine = sentMachine{clearAt: l.machine.clearAt}
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
	l.bulk = make([]item, 0, 5*len(ids)+6)
	l.bulk = append(l.bulk, item{kind: bridgeConfig}, item{kind: machineConfig})
	for kind := deviceConfig; kind <= deviceLastSeen; kind++ {
		for _, id := range ids {
			l.bulk = append(l.bulk, item{kind, id})
		}
	}
	l.bulk = append(l.bulk, item{kind: groupTopics}, item{kind: machineTopic}, item{kind: summaryTopic}, item{kind: statusOnline})
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
	case machineConfig:
		l.publishMachineConfig()
	case groupTopics:
		l.startGroups()
	case machineTopic:
		l.publishMachine()
	case summaryTopic:
		l.publishSummary(now)
	case statusOnline:
		l.publishOnline(now)
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
	case deviceName:
		l.publishName(&d)
	case deviceLastSeen:
		l.publishLastSeen(&d)
	}
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
	if !l.maySend(now) {
		if at := l.proofDue(); now.Before(at) {
			sooner(at)
		}
		return next // nothing is sent before an acknowledgement
	}
	if l.urgent.token != nil {
		sooner(l.urgent.until)
		return next
	}
	sooner(l.instanceDue(now))
	if l.stage < publishing {
		sooner(l.stageAt)
		return next
	}
	sooner(l.summaryDue(now))
	sooner(l.groupsAt)
	if len(l.deferred) > 0 {
		sooner(l.deferred[0].at)
	}
	if len(l.clearing) > 0 {
		sooner(l.clearing[0].at)
	}
	if at := l.inbound.birthDue(); !at.IsZero() {
		sooner(at)
	}
	if l.stage == serving {
		sooner(l.onlineDue(now))
		if at := l.machine.clearAt; !at.IsZero() {
			sooner(at)
		}
		if !l.leftovers.IsZero() {
			sooner(l.leftovers)
		} else if at := l.trialDue(); !at.IsZero() {
			sooner(at)
		}
	}
	return next
}

// birthPause is the random wait after Home Assistant's birth, so that it is
// ready and not everybody answers at once.
func birthPause() time.Duration { return time.Second + rand.N(4*time.Second) }
