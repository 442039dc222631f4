package daytest

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"porchlight/bridge"
	"porchlight/discovery"
	"porchlight/mqtt"
	"porchlight/presence"
	"porchlight/presence/household"
)

// porchlight is Porchlight in virtual time: a household.Decider whose engine is
// the bridge's, and whose events go to a broker. Until opens it is a bare
// engine, since nobody looks at the messages of the time in which it learns.
type porchlight struct {
	t       *testing.T
	home    []household.Habit
	opens   time.Time
	learner *presence.Engine

	engine *presence.Engine
	bridge *bridge.Bridge // nil: not opened yet
	broker *broker
	log    *eventLog
	close  func()

	told      int // how many events the play has been told of
	sightings int // since it was opened

	mu     sync.Mutex
	probes []presence.Probe
	next   time.Time // when the engine wants its next tick
}

// commands: nobody gives any.
type commands struct{}

func (commands) Scan()                             {}
func (commands) Set(presence.ID, presence.Change)  {}
func (commands) Merge(presence.ID, []presence.ID)  {}
func (commands) Split(presence.ID, []presence.MAC) {}

// open starts Porchlight with what was learned.
func (p *porchlight) open() {
	time.Sleep(time.Until(p.opens))
	p.engine = presence.New(presence.Config{MaxTracked: -1})
	p.log = &eventLog{}
	p.broker = startBroker(p.t)
	session, err := mqtt.New(mqtt.Config{
		Dial: p.broker.dial, Announce: true, HAStatusTopic: "homeassistant/status",
		Discovery: discovery.Options{Topics: Topics, Zone: "zone.home", Version: "1.0"},
		Log:       discard,
	}, p.log, commands{})
	if err != nil {
		p.t.Fatal(err)
	}
	p.bridge = bridge.New(bridge.Config{
		Engine: p.engine, Log: p.log, Publisher: session, LAN: p, SweepInterval: 10 * time.Minute,
		Problems: p.atTurn,
	})
	p.log.bridge = p.bridge
	var records []presence.Record
	for i, h := range p.home {
		if r, ok := p.learner.Record(household.MAC(i).ID()); ok {
			r.Name = h.Name
			records = append(records, r)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func() error{
		func() error { return p.bridge.Run(ctx, records) },
		func() error { return session.Run(ctx) },
	} {
		running.Go(func() {
			if err := run(); err != nil {
				p.t.Error(err)
			}
		})
	}
	p.bridge.Sense(presence.Sensing{At: time.Now(), Interface: "lan0"})
	synctest.Wait()
	p.close = func() {
		cancel()
		running.Wait()
		_ = p.broker.server.Close()
	}
}

// atTurn is called by the bridge at the end of each turn of its loop, where the
// engine can be looked at. There is no problem.
func (p *porchlight) atTurn() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = p.engine.Next()
	return nil
}

// reach lets time pass until t, and opens if that is due. It reports whether
// the bridge runs.
func (p *porchlight) reach(t time.Time) bool {
	if t.Before(p.opens) {
		return false
	}
	if p.bridge == nil {
		p.open()
	}
	time.Sleep(time.Until(t))
	return true
}

// take returns what the bridge has done since the last call.
func (p *porchlight) take() (out presence.Output) {
	synctest.Wait()
	out.Events = p.log.since(p.told)
	p.told += len(out.Events)
	p.mu.Lock()
	defer p.mu.Unlock()
	out.Probes, p.probes = p.probes, nil
	return out
}

// Sight implements household.Decider.
func (p *porchlight) Sight(s presence.Sighting) presence.Output {
	if !p.reach(s.At) {
		return p.learner.Sight(s)
	}
	p.sightings++
	s.At = time.Now()
	p.bridge.Sight(s)
	return p.take()
}

// Sense implements household.Decider.
func (p *porchlight) Sense(s presence.Sensing) presence.Output {
	if !p.reach(s.At) {
		return p.learner.Sense(s)
	}
	p.bridge.Sense(s)
	return p.take()
}

// Tick implements household.Decider: the bridge has its own clock. What is due
// at now is done a moment later.
func (p *porchlight) Tick(now time.Time) presence.Output {
	if !p.reach(now.Add(time.Microsecond)) {
		return p.learner.Tick(now)
	}
	return p.take()
}

// Asked implements household.Decider: the bridge has told its engine already.
func (p *porchlight) Asked(now time.Time, probe presence.Probe) {
	if p.bridge == nil {
		p.learner.Asked(now, probe)
	}
}

// Next implements household.Decider.
func (p *porchlight) Next() time.Time {
	if p.bridge == nil {
		return p.learner.Next()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

// Probe implements bridge.LAN. The play takes it from there.
func (p *porchlight) Probe(probe presence.Probe) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probes = append(p.probes, probe)
	return nil
}

// Sweep implements bridge.LAN: everybody is asked.
func (p *porchlight) Sweep(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.home {
		p.probes = append(p.probes, presence.Probe{Interface: "lan0", MAC: household.MAC(i), Broadcast: true})
	}
	return nil
}
