package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"porchlight/presence"
)

// Log keeps events and devices; history.Store is one.
type Log interface {
	// Append numbers the events and writes them before it returns, as far as
	// the disk lets it.
	Append([]presence.Event) []presence.Event
	SaveDevices([]presence.Record)
	DeleteDevices([]presence.ID)
}

// Publisher tells others; mqtt.Session is one. None of its methods may wait.
type Publisher interface {
	Update([]presence.Device)
	Remove([]presence.ID)
	SetGroups([]presence.Group) // all of them
	SetSummary(presence.Summary)
}

// LAN asks; the watchers of arpwatch and ndpwatch are behind it.
type LAN interface {
	// Probe sends one probe now, without waiting.
	Probe(presence.Probe) error
	// Sweep asks every address that was not heard lately; it takes seconds to minutes.
	Sweep(context.Context) error
}

// Config is what a Bridge needs.
type Config struct {
	Engine    *presence.Engine
	Log       Log
	Publisher Publisher
	LAN       LAN
	Past      Past // may be nil

	SweepInterval time.Duration
	// Problems says what keeps other parts from working, in words; may be nil.
	Problems func() []string
	// BaselineDone is called once the first run's list has been made; may be nil.
	BaselineDone func()
	Logger       *slog.Logger
}

const (
	// flushEvery is how often last-seen times and models are handed to the log,
	// and "last seen" to those who show it.
	flushEvery = time.Minute
	// heldUp is how late the loop may run, or how far the two clocks may
	// differ, before this counts as having been blind.
	heldUp = 5 * time.Second
)

// Stats counts since the start.
type Stats struct {
	Sightings    uint64 // taken from all sources
	Dropped      uint64 // sightings that there was no room for
	Refused      uint64 // frames of made-up MACs
	Probes       uint64 // sent
	ProbesFailed uint64
	Sweeps       uint64
	Events       map[presence.EventType]uint64
}

// Bridge owns the engine. Its methods may be called from any goroutine.
type Bridge struct {
	cfg   Config
	log   *slog.Logger
	inbox *inbox
	done  chan struct{} // closed when the loop has ended
	scan  chan struct{}
	hears chan struct{} // closed when an interface hears for the first time

	hearsOnce sync.Once

	mu      sync.Mutex
	changed chan struct{} // closed, and made anew, when events were logged and their states handed over

	// Only the loop uses these.
	turn     turn
	records  []presence.Record
	last     time.Time // the end of the last turn
	wakeAt   time.Time
	flushAt  time.Time
	problems string
	events   map[presence.EventType]uint64

	sightings, probes, failed, sweeps atomic.Uint64
}

// turn gathers what one turn of the loop brought about.
type turn struct {
	events    []presence.Event
	changed   []presence.Device
	forgotten []presence.ID
	leases    []lease
	outages   []presence.OutageOver
	merged    []presence.ID
	groups    bool // they are different
	dirty     bool // the summary may be different
}

// New returns a Bridge; Run starts it.
func New(cfg Config) *Bridge {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Bridge{
		cfg: cfg, log: cfg.Logger, inbox: newInbox(),
		done: make(chan struct{}), scan: make(chan struct{}, 1), hears: make(chan struct{}),
		events:  map[presence.EventType]uint64{},
		changed: make(chan struct{}),
	}
}

// Changed returns a channel that is closed when there are new events in the log,
// and the states that they speak of are with the Publisher: people wait for the
// state, so it goes first. It is closed as well when there is something else to
// show: a name, a device of the first run's list, a problem.
func (b *Bridge) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

func (b *Bridge) announce() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
}

// Sight hands over what was heard. It never waits.
func (b *Bridge) Sight(s presence.Sighting) { b.inbox.sight(s) }

// Sense hands over what an interface says of itself. It never waits.
func (b *Bridge) Sense(s presence.Sensing) {
	b.inbox.call(func() {
		if s.Blind {
			b.log.Warn("cannot hear", "interface", s.Interface, "why", s.Why)
		} else {
			b.log.Info("listening", "interface", s.Interface)
			b.hearsOnce.Do(func() { close(b.hears) })
		}
		b.take(b.cfg.Engine.Sense(s))
		b.turn.dirty = true
	})
}

// Unsent tells that a probe that LAN.Probe took could not be sent after all. It
// never waits.
func (b *Bridge) Unsent(p presence.Probe) {
	b.inbox.call(func() {
		b.failed.Add(1)
		b.cfg.Engine.Unsent(time.Now(), p)
	})
}

// Scan starts a sweep now, unless one is waiting to start.
func (b *Bridge) Scan() {
	select {
	case b.scan <- struct{}{}:
	default:
	}
}

// Set carries out a user's command.
func (b *Bridge) Set(id presence.ID, c presence.Change) {
	b.inbox.call(func() {
		if names := b.cfg.Engine.Overruled(id, c); len(names) > 0 {
			d, _ := b.cfg.Engine.Device(id)
			b.log.Warn("the device file decides this: what was set otherwise is kept for when the file no longer says it",
				"device", string(id), "name", d.DisplayName(), "settings", strings.Join(names, ", "))
		}
		out, ok := b.cfg.Engine.Set(time.Now(), id, c)
		if !ok {
			b.log.Warn("ignored a command for a device that is not known", "id", string(id))
			return
		}
		b.take(out)
		if other, found := b.cfg.Engine.AlsoFollows(id); found && c.Follow != nil {
			b.log.Warn("two devices follow the same, so neither is followed: take it back from one of them", "device", string(id), "other", string(other))
		}
	})
}

// Merge makes devices part of the device into.
func (b *Bridge) Merge(into presence.ID, ids []presence.ID) {
	b.inbox.call(func() { b.regroup(b.cfg.Engine.Merge(time.Now(), into, ids)) })
}

// Split makes MACs of a device devices of their own.
func (b *Bridge) Split(id presence.ID, macs []presence.MAC) {
	b.inbox.call(func() { b.regroup(b.cfg.Engine.Split(time.Now(), id, macs)) })
}

// MergeNow is Merge, and says why nothing was done.
func (b *Bridge) MergeNow(ctx context.Context, into presence.ID, ids []presence.ID) error {
	return b.asked(ctx, func() (presence.Output, error) { return b.cfg.Engine.Merge(time.Now(), into, ids) })
}

// SplitNow is Split, and says why nothing was done.
func (b *Bridge) SplitNow(ctx context.Context, id presence.ID, macs []presence.MAC) error {
	return b.asked(ctx, func() (presence.Output, error) { return b.cfg.Engine.Split(time.Now(), id, macs) })
}

// asked does what can be refused, for somebody who waits for the answer.
func (b *Bridge) asked(ctx context.Context, do func() (presence.Output, error)) error {
	refused, err := ask(ctx, b, func() error {
		out, err := do()
		b.take(out)
		return err
	})
	if err != nil {
		return err
	}
	return refused
}

func (b *Bridge) regroup(out presence.Output, err error) {
	if err != nil {
		b.log.Warn("ignored a command to merge or split: " + err.Error())
	}
	b.take(out)
}

// Forget removes a device for good.
func (b *Bridge) Forget(id presence.ID) {
	b.inbox.call(func() {
		out, ok := b.cfg.Engine.Forget(time.Now(), id)
		if !ok {
			b.log.Warn("nothing to forget: the device is not known, or the device file has it: remove it there", "id", string(id))
		}
		b.take(out)
	})
}

// Tell hands over what others say of devices (presence.Engine.Tell). It never
// waits.
func (b *Bridge) Tell(from presence.NameSource, told []presence.Told) {
	b.inbox.call(func() { b.take(b.cfg.Engine.Tell(time.Now(), from, told)) })
}

// LoseAP tells that an access point says no more (presence.Engine.LoseAP). It
// never waits.
func (b *Bridge) LoseAP(ap string) {
	b.inbox.call(func() { b.take(b.cfg.Engine.LoseAP(time.Now(), ap)) })
}

// Declare takes what the device file says now.
func (b *Bridge) Declare(list []presence.Declaration) {
	b.inbox.call(func() { b.take(b.cfg.Engine.Declare(time.Now(), list)) })
}

// ask has f called on the loop's goroutine, and returns what it returns.
func ask[T any](ctx context.Context, b *Bridge, f func() T) (answer T, err error) {
	got := make(chan T, 1)
	if !b.inbox.call(func() { got <- f() }) {
		return answer, errors.New("too many commands are waiting")
	}
	select {
	case answer = <-got:
		return answer, nil
	case <-b.done:
		return answer, errors.New("porchlight is stopping")
	case <-ctx.Done():
		return answer, ctx.Err()
	}
}

// Snapshot returns all devices, ordered by id, and the summary, as of now.
func (b *Bridge) Snapshot(ctx context.Context) (devices []presence.Device, sum presence.Summary, err error) {
	type snapshot struct {
		devices []presence.Device
		sum     presence.Summary
	}
	s, err := ask(ctx, b, func() snapshot { return snapshot{b.cfg.Engine.Devices(), b.summary()} })
	return s.devices, s.sum, err
}

// Device returns the device with this id, nil when it is unknown.
func (b *Bridge) Device(ctx context.Context, id presence.ID) (*presence.Device, error) {
	return ask(ctx, b, func() *presence.Device {
		d, ok := b.cfg.Engine.Device(id)
		if !ok {
			return nil
		}
		return &d
	})
}

// Silences returns what was learned of a device's silences; none of one that is
// not known.
func (b *Bridge) Silences(ctx context.Context, id presence.ID) (presence.Silences, error) {
	return ask(ctx, b, func() presence.Silences {
		s, _ := b.cfg.Engine.Silences(id)
		return s
	})
}

// Stats returns the counts so far.
func (b *Bridge) Stats(ctx context.Context) (Stats, error) {
	return ask(ctx, b, func() Stats {
		return Stats{
			Sightings: b.sightings.Load(), Dropped: b.inbox.lost(), Refused: b.cfg.Engine.Refused(),
			Probes: b.probes.Load(), ProbesFailed: b.failed.Load(), Sweeps: b.sweeps.Load(),
			Events: maps.Clone(b.events),
		}
	})
}

// Run is the loop. records are the devices as they were stored. It returns nil
// when ctx ends; everything is handed to the log by then.
func (b *Bridge) Run(ctx context.Context, records []presence.Record) error {
	defer close(b.done)
	sweeping := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	go func() { defer close(sweeping); b.sweepLoop(ctx) }()
	defer func() { cancel(); <-sweeping }()

	now := time.Now()
	b.last, b.flushAt = now, now.Add(flushEvery)
	b.take(b.cfg.Engine.Restore(now, records))
	b.cfg.Publisher.SetGroups(b.cfg.Engine.Groups())
	b.cfg.Publisher.Update(b.cfg.Engine.Devices()) // also when there is none: now all are known
	b.turn.dirty = true
	b.finish(now)

	timer := time.NewTimer(0)
	defer timer.Stop()
	var sightings []presence.Sighting
	var calls []call
	for {
		select {
		case <-ctx.Done():
			b.flush()
			return nil
		case <-b.inbox.ready:
		case <-timer.C:
		}
		now := time.Now()
		b.checkClock(now)
		sightings, calls = b.inbox.swap(sightings, calls)
		b.hand(sightings, calls)
		b.take(b.cfg.Engine.Tick(now))
		b.finish(now)

		b.last = time.Now()
		b.wakeAt = b.cfg.Engine.Next()
		if b.flushAt.Before(b.wakeAt) {
			b.wakeAt = b.flushAt
		}
		timer.Reset(b.wakeAt.Sub(b.last))
	}
}

// hand gives a batch to the engine, in the order in which it came.
func (b *Bridge) hand(sightings []presence.Sighting, calls []call) {
	b.sightings.Add(uint64(len(sightings)))
	for i, s := range sightings {
		for len(calls) > 0 && calls[0].after <= i {
			calls[0].do()
			calls = calls[1:]
		}
		b.take(b.cfg.Engine.Sight(s))
		b.noteLease(s)
		if len(b.turn.events) >= 64 {
			b.finish(s.At) // do not let the first wait for the last
		}
	}
	for _, c := range calls {
		c.do()
	}
}

// take gathers an output, and sends its probes.
func (b *Bridge) take(out presence.Output) {
	b.turn.events = append(b.turn.events, out.Events...)
	b.turn.changed = append(b.turn.changed, out.Changed...)
	b.turn.forgotten = append(b.turn.forgotten, out.Forgotten...)
	b.turn.outages = append(b.turn.outages, out.Outages...)
	b.turn.merged = append(b.turn.merged, out.Merged...)
	b.turn.groups = b.turn.groups || out.GroupsChanged
	for _, p := range out.Probes {
		if err := b.cfg.LAN.Probe(p); err != nil {
			b.failed.Add(1)
			b.cfg.Engine.Unsent(time.Now(), p)
			b.log.Debug("a probe could not be sent", "err", err)
			continue
		}
		b.probes.Add(1)
		b.cfg.Engine.Asked(time.Now(), p)
	}
}

// finish ends a turn: the log first, then the states, which people wait for,
// then the rest.
func (b *Bridge) finish(now time.Time) {
	t := &b.turn
	var logged []presence.Event
	if len(t.events) > 0 {
		logged = b.cfg.Log.Append(t.events)
	}
	if len(t.forgotten)+len(t.merged) > 0 { // who is heard again in the same turn is new
		t.changed = slices.DeleteFunc(t.changed, func(d presence.Device) bool {
			_, known := b.cfg.Engine.Device(d.ID)
			return !known
		})
		b.cfg.Publisher.Remove(slices.Concat(t.forgotten, t.merged))
	}
	if len(t.forgotten) > 0 {
		b.cfg.Log.DeleteDevices(t.forgotten)
	}
	if len(t.changed) > 0 {
		b.cfg.Publisher.Update(t.changed)
	}
	if t.groups {
		b.cfg.Publisher.SetGroups(b.cfg.Engine.Groups())
	}
	if len(logged)+len(t.changed)+len(t.forgotten)+len(t.merged) > 0 {
		b.announce()
	}
	b.save(t.changed, t.merged)
	b.keepPast()
	for _, e := range logged {
		b.events[e.Type]++
		b.tell(e)
	}
	t.dirty = t.dirty || len(t.events)+len(t.changed)+len(t.forgotten) > 0
	if !now.Before(b.flushAt) {
		b.flushAt = now.Add(flushEvery)
		b.flush()
	}
	if p := fmt.Sprint(b.otherProblems()); p != b.problems {
		b.problems, t.dirty = p, true
		b.announce()
	}
	if t.dirty {
		b.cfg.Publisher.SetSummary(b.summary())
	}
	t.events, t.changed, t.forgotten, t.dirty = emptied(t.events), emptied(t.changed), emptied(t.forgotten), false
	t.merged, t.groups = emptied(t.merged), false
}

// emptied returns s without its elements, to be filled again; the room of very
// many, as at the start or when the device file has changed, is given back.
func emptied[T any](s []T) []T {
	if cap(s) > 1024 {
		return nil
	}
	return s[:0]
}

// save hands devices, and what is part of one, over to be stored as they are now.
func (b *Bridge) save(changed []presence.Device, merged []presence.ID) {
	if len(changed)+len(merged) == 0 {
		return
	}
	for _, d := range changed {
		if r, ok := b.cfg.Engine.Record(d.ID); ok {
			b.records = append(b.records, r)
		}
	}
	for _, id := range merged {
		if r, ok := b.cfg.Engine.Record(id); ok {
			b.records = append(b.records, r)
		}
	}
	b.cfg.Log.SaveDevices(b.records)
	b.records = emptied(b.records)
}

// flush hands over what changes with every sighting.
func (b *Bridge) flush() {
	touched := b.cfg.Engine.Touched()
	if len(touched) == 0 {
		return
	}
	b.cfg.Log.SaveDevices(touched)
	devices := make([]presence.Device, 0, len(touched))
	for i := range touched {
		if d, ok := b.cfg.Engine.Device(touched[i].ID); ok { // with the device file's settings
			devices = append(devices, d)
		}
	}
	b.cfg.Publisher.Update(devices)
	b.turn.dirty = true
}

func (b *Bridge) otherProblems() []string {
	if b.cfg.Problems == nil {
		return nil
	}
	return b.cfg.Problems()
}

func (b *Bridge) summary() presence.Summary {
	s := b.cfg.Engine.Summary()
	s.Problems = append(s.Problems, b.otherProblems()...)
	return s
}

// tell logs an event for who reads along.
func (b *Bridge) tell(e presence.Event) {
	attrs := []any{"seq", e.Seq, "why", e.Why}
	if e.ID != "" {
		attrs = append(attrs, "name", e.Name, "mac", e.MAC.String())
		if e.Addr.IsValid() {
			attrs = append(attrs, "ip", e.Addr.String())
		}
	}
	if e.Socket != nil {
		attrs = append(attrs, "program", e.Program, "port", e.PortName())
	}
	b.log.Info(string(e.Type), attrs...)
}

// checkClock notices that this machine slept, that Porchlight was stopped, or
// that the clock was set: it was blind, and nobody left because of that.
func (b *Bridge) checkClock(now time.Time) {
	steady := now.Sub(b.last)                 // monotonic: stands still while the machine sleeps
	wall := now.Round(0).Sub(b.last.Round(0)) // does not
	late := time.Duration(0)
	if !b.wakeAt.IsZero() {
		late = now.Sub(b.wakeAt)
	}
	why := gap(steady, wall, late)
	if why == "" {
		return
	}
	b.log.Warn("nothing could be heard for a while", "why", why)
	b.take(b.cfg.Engine.Gap(now, why+"; every device gets its whole timeout anew"))
}

// gap says why time is missing; empty: none is.
func gap(steady, wall, late time.Duration) string {
	switch {
	case wall-steady > heldUp:
		return "this machine slept, or its clock was set forward, by " + presence.Words(wall-steady)
	case steady-wall > heldUp:
		return "the clock was set back by " + presence.Words(steady-wall)
	case late > heldUp:
		return "Porchlight was held up for " + presence.Words(late)
	}
	return ""
}
