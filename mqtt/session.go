package mqtt

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"time"

	"porchlight/discovery"
	"porchlight/presence"
)

// consumer is our name in the event log's cursors.
const consumer = "mqtt"

// Session keeps one broker in step. Its methods are safe for concurrent use,
// and only Run waits for anything.
type Session struct {
	cfg      Config
	addr     address
	topics   discovery.Topics
	events   EventLog
	commands Commands
	log      *slog.Logger
	backoff  backoff
	rules    *rules
	rivals   *rivals
	warnings throttle
	once     once
	writers  sync.WaitGroup

	mu             sync.Mutex
	devices        map[presence.ID]*tracked // desired: those that have topics
	gone           map[presence.ID]struct{} // to be cleared on the broker
	deleted        map[presence.ID]struct{} // by the user in Home Assistant; until Commands has untracked it
	summary        presence.Summary
	groups         []presence.Group  // desired
	deletedGroups  map[string]bool   // by the user in Home Assistant, by slug
	machine        *presence.Machine // nil: not known yet
	machineDeleted bool              // by the user in Home Assistant
	updated        bool              // Update has been called
	summarised     bool              // SetSummary has been called
	acked          int64             // the last event that a broker acknowledged
	acks           []ack             // the latest
	lostAt         time.Time         // when a connection was last lost; zero: never
	resumed        bool              // acked is known
	link           *link             // nil: no connection
	why            string
}

// tracked is a device as it should be on the broker.
type tracked struct {
	device presence.Device
	// Which of the link's queues it stands in.
	inStates, inDetails, inSeen bool
	seenSent                    time.Time // LastSeen when it was last queued for inSeen
}

// New checks cfg and returns a session that Run starts. Each fault is a line of
// the error, with the remedy; none has a secret in it.
func New(cfg Config, events EventLog, commands Commands) (*Session, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Session{
		cfg:           cfg,
		topics:        cfg.Discovery.Topics,
		events:        events,
		commands:      commands,
		log:           cfg.Log,
		backoff:       cmp.Or(cfg.pauses, defaultBackoff),
		devices:       make(map[presence.ID]*tracked),
		gone:          make(map[presence.ID]struct{}),
		deleted:       make(map[presence.ID]struct{}),
		deletedGroups: make(map[string]bool),
		why:           "not connected yet",
	}
	if cfg.Dial == nil {
		s.addr, _ = parseAddress(&cfg) // checked above
	}
	s.rules = newRules(cfg.Log, &s.topics)
	s.rivals = newRivals(cfg.Log, &s.topics, cmp.Or(cfg.Host, hostName()))
	return s, nil
}

// Update sets the desired state of devs. A device whose Tracked is false has no
// topics; if it had, they are cleared. The first call carries all devices: what
// else the broker still holds of ours is then known to be left over.
//
// Call it as soon as the event is in the log, and before EventLog.Changed tells
// of it, so that the state is published before the event. Nothing is published
// for a device that looks as before, unless Config.LastSeenInterval says so.
func (s *Session) Update(devs []presence.Device) {
	s.mu.Lock()
	s.updated = true
	for i := range devs {
		s.update(&devs[i])
	}
	l := s.link
	urgent := l != nil && len(l.states) > 0
	s.mu.Unlock()
	l.poke()
	if urgent {
		runtime.Gosched() // the writer, just woken, goes first
	}
}

// update does Update for one device. s.mu is held.
func (s *Session) update(d *presence.Device) {
	if !d.Tracked {
		delete(s.deleted, d.ID)
		s.remove(d.ID)
		return
	}
	if _, ok := s.deleted[d.ID]; ok {
		return // the user deleted it, and the engine has not heard yet
	}
	t := s.devices[d.ID]
	if t == nil {
		t = &tracked{device: *d, seenSent: d.LastSeen}
		s.devices[d.ID] = t
		delete(s.gone, d.ID)
		s.link.queueState(t)
		s.link.queueDetails(t)
		s.link.queueSeen(t)
		return
	}
	stateChanged, shownChanged := t.device.State != d.State, !sameShown(&t.device, d)
	t.device = *d
	if stateChanged {
		s.link.queueState(t)
	}
	if stateChanged || shownChanged {
		s.link.queueDetails(t)
	}
	every := s.cfg.LastSeenInterval
	if stateChanged || every > 0 && d.LastSeen.Sub(t.seenSent) >= every {
		t.seenSent = d.LastSeen
		s.link.queueSeen(t)
	}
}

// sameShown reports whether a and b look the same in attributes and discovery.
// The learned timeout does not count: it changes with every silence, and goes
// out with the next change.
func sameShown(a, b *presence.Device) bool {
	return a.State == b.State && a.Since.Equal(b.Since) && a.Why == b.Why &&
		a.Addr == b.Addr && a.MAC == b.MAC && slices.Equal(a.MACs, b.MACs) &&
		a.HostName == b.HostName && a.Vendor == b.Vendor && a.Name == b.Name &&
		a.Kind == b.Kind && a.Icon == b.Icon && a.Important == b.Important &&
		a.Settings.AwayAfter == b.Settings.AwayAfter &&
		slices.Equal(a.IPv6, b.IPv6) && slices.Equal(a.Groups, b.Groups)
}

// Remove clears the topics and entities of forgotten devices.
func (s *Session) Remove(ids []presence.ID) {
	s.mu.Lock()
	for _, id := range ids {
		delete(s.deleted, id)
		s.remove(id)
	}
	l := s.link
	s.mu.Unlock()
	l.poke()
}

// remove forgets a device and queues its clearing. s.mu is held.
func (s *Session) remove(id presence.ID) {
	if _, ok := s.devices[id]; !ok {
		return
	}
	delete(s.devices, id)
	s.gone[id] = struct{}{}
	s.link.queueClear(id)
}

// SetSummary sets the household's summary. It is published at most once a
// second, the last one always.
func (s *Session) SetSummary(sum presence.Summary) {
	s.mu.Lock()
	s.summary = sum
	s.summarised = true
	l := s.link
	if l != nil {
		l.summaryStale = true
	}
	s.mu.Unlock()
	l.poke()
}

// SetCredentials has the next connection use another user name and password.
func (s *Session) SetCredentials(username, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addr.username, s.addr.password = username, password
}

func (s *Session) credentials() (username, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr.username, s.addr.password
}

// Status reports whether the broker is connected, and if not, why, with the
// remedy.
func (s *Session) Status() (connected bool, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link != nil, s.why
}

// Problems says, in words, what keeps the session from working fully: access
// rules of the broker, or another instance.
func (s *Session) Problems() []string {
	return append(s.rivals.problems(), s.rules.problems()...)
}

// Run connects, publishes, and connects again when the connection ends, until
// ctx is cancelled; then it publishes offline, waits at most 2 s for the
// broker, and returns nil. Only states that change are published before Update
// and SetSummary have both been called.
func (s *Session) Run(ctx context.Context) error {
	defer s.awaitWriters()
	reasons := reporter{log: s.log, broker: s.brokerName()}
	for tries := 0; ctx.Err() == nil; tries++ {
		lasted, err := s.runLink(ctx, &reasons)
		if ctx.Err() != nil {
			break
		}
		if errors.Is(err, errAnew) {
			tries = -1
			continue
		}
		if !errors.As(err, new(forbidden)) {
			s.rules.again()
		}
		why := explain(err, &s.addr, &s.cfg).Error()
		if lasted > 0 && lasted <= steady && endedByBroker(err) && !s.rules.takeProgress() {
			reasons.brief++
			if reasons.brief >= briefLimit {
				why = tooBrief(why)
			}
		} else {
			reasons.brief = 0
		}
		if lasted > 0 { // only a broker that ends each connection slows down
			tries = max(reasons.brief-1, 0)
		}
		s.mu.Lock()
		s.why = why
		if lasted > 0 {
			s.doubt(time.Now())
		}
		s.mu.Unlock()
		reasons.report(why)
		sleep(ctx, s.backoff.delay(tries))
	}
	s.mu.Lock()
	s.why = "stopped"
	s.mu.Unlock()
	return nil
}

// awaitWriters waits for writers whose last publish was stuck in a connection
// that has ended, but not for long: they can do no harm.
func (s *Session) awaitWriters() {
	done := make(chan struct{})
	go func() {
		s.writers.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(farewell / 4):
	}
}

func (s *Session) brokerName() string {
	if s.cfg.Dial != nil {
		return "embedded"
	}
	return s.addr.String()
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
