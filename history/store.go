package history

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"porchlight/presence"
)

const (
	patience  = 100 * time.Millisecond // how long Append waits for the disk
	slow      = 5 * time.Second        // a write that takes longer is a fault
	farewell  = 2 * time.Second        // how long Close waits for the disk
	afterLoss = 100_000                // how far Seq jumps after an unclean end
)

// Store is the writer of one data directory. It is safe for concurrent use.
//
// One goroutine writes, so nothing ever waits for a lock of the database;
// everything that it has not written yet is in memory, under mu, and is read
// from there.
type Store struct {
	dir  string
	path string
	log  *slog.Logger
	opts options

	wake chan struct{} // to the writer, capacity 1
	stop chan struct{} // closed by Close
	done chan struct{} // closed by the writer
	once sync.Once

	// Of the writer (and of Open before it starts).
	lock     *os.File
	opened   time.Time // when this run began
	told     bool      // the database knows that
	replaced time.Time // when a damaged file was last set aside
	loaded   bool      // memory has what a file held at the start
	left     error     // what could not be written at the end

	mu      sync.Mutex
	db      *database // nil: not open
	seq     int64     // the last one given
	head    int64     // the last one that consumers may see
	tail    tail
	changes changes
	notes   notes
	jobs    []func(*database) error
	leases  leaseBook
	waiters []waiter
	changed chan struct{} // closed when head moves

	writing     time.Time      // when the commit under way began; zero: none
	stalled     bool           // an Append gave up waiting for it
	moveCursor  bool           // cursors are due
	blind       bool           // nobody knows what the file held at the start
	suspect     error          // damage that a reader met
	fault       error          // writes fail; nil: they work
	lost        int            // events given up
	commits     int            // since the last checkpoint
	count       int64          // events in the database, once counted
	skipped     map[string]int // events deleted before a consumer had them
	toldSkipped map[string]bool
	unsynced    bool // commits since the last sync
	journal     journal
}

// waiter is an Append that waits until everything up to seq is written down.
type waiter struct {
	seq  int64
	done chan struct{}
}

type options struct {
	maxAge   time.Duration
	maxCount int64
	maxSize  int64 // bytes; 0: no limit
}

// An Option changes how Open works.
type Option func(*options)

// Keep sets how long events and sessions are kept (default 365 days), and how big
// the database may be, in bytes (default 0: no limit but that of events).
func Keep(maxAge time.Duration, maxSize int64) Option {
	return func(o *options) { o.maxAge, o.maxSize = maxAge, maxSize }
}

// keepCount sets how many events are kept (default maxEvents).
func keepCount(n int64) Option { return func(o *options) { o.maxCount = n } }

// Open opens dir/porchlight.db for writing, and makes dir (mode 0700) and the
// file if need be. It fails when another process has it open, and when a newer
// Porchlight has written it. Any other trouble does not keep it from working
// from memory: see Fault.
//
// Run must be called for commits to be synced and for old events to go.
func Open(dir string, log *slog.Logger, opts ...Option) (*Store, error) {
	s := &Store{
		dir: dir, path: filepath.Join(dir, "porchlight.db"), log: log, opened: time.Now(),
		opts: options{maxAge: 365 * 24 * time.Hour, maxCount: maxEvents},
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		changes: newChanges(), notes: newNotes(), changed: make(chan struct{}),
		leases:  leaseBook{make(map[leaseKey]Lease), make(map[leaseKey]time.Time)},
		skipped: make(map[string]int), toldSkipped: make(map[string]bool),
	}
	for _, o := range opts {
		o(&s.opts)
	}
	err := s.attach()
	if errors.Is(err, ErrInUse) || errors.Is(err, errNewer) {
		s.unlock()
		return nil, err
	}
	if err != nil {
		s.startBlind()
		s.failed(err)
	}
	go s.write(err != nil)
	return s, nil
}

// Close writes all that is waiting and closes the file. It waits for a bad disk
// two seconds at most. The error says what could not be saved.
func (s *Store) Close() error {
	s.once.Do(func() { close(s.stop) })
	timeout := time.NewTimer(farewell)
	defer timeout.Stop()
	select {
	case <-s.done:
		return s.left
	case <-timeout.C:
		return fmt.Errorf("closing the history: %w", explain(s.dir, errSlow))
	}
}

// Append gives each event its Seq, writes them down (in the journal, from which
// they go into the database a moment later, or at once into the database), and
// returns them as they stand in the log: with Seq, and Time in UTC to the millisecond. It waits for the
// disk 100 ms at most, and not at all while there is a Fault; then the events
// are written later, in order. At most 10,000 wait; beyond that the oldest is
// given up, and counted in Lost.
func (s *Store) Append(events []presence.Event) []presence.Event {
	if len(events) == 0 {
		return nil
	}
	given := make([]presence.Event, len(events))
	s.mu.Lock()
	for i, e := range events {
		s.seq++
		e.Seq, e.Time = s.seq, e.Time.UTC().Truncate(time.Millisecond)
		given[i] = e
		s.lose(s.tail.add(e))
	}
	last := s.seq
	if s.fault != nil || s.stalled {
		s.show(last)
		s.mu.Unlock()
		return given
	}
	if s.db != nil && s.journal.add(given) {
		s.show(last)
		s.nudge()
		s.mu.Unlock()
		return given
	}
	w := waiter{last, make(chan struct{})}
	s.waiters = append(s.waiters, w)
	s.nudge()
	s.mu.Unlock()

	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-w.done:
	case <-s.done:
		s.mu.Lock()
		s.show(last)
		s.mu.Unlock()
	case <-timeout.C:
		s.mu.Lock()
		s.stalled = s.tail.saved < last
		s.show(last)
		s.mu.Unlock()
	}
	return given
}

// After returns up to limit events with a Seq above seq, in order; fewer do not
// mean that there are no more, but none do. Those that wait for the disk are
// among them. The last 1,024 and more come from memory, so a consumer that is
// near the end is served while the database is gone; one that is far behind
// gets an error then, and tries again.
func (s *Store) After(ctx context.Context, seq int64, limit int) ([]presence.Event, error) {
	for {
		s.mu.Lock()
		floor, db := s.tail.floor, s.db
		if seq >= floor || s.blind {
			defer s.mu.Unlock()
			return s.tail.after(seq, s.head, limit), nil
		}
		if db == nil {
			defer s.mu.Unlock()
			return nil, fmt.Errorf("events after %d cannot be read now: %w", seq, errClosed)
		}
		s.mu.Unlock()

		events, err := eventsBetween(ctx, db.pool, seq, floor, limit)
		switch {
		case err != nil && s.report(db, err):
			continue // the file was closed meanwhile
		case err != nil || len(events) > 0:
			return events, err // the rest comes with the next call
		}
		seq = floor // nothing is left down there
	}
}

// Changed returns a channel that is closed when there are new events. A consumer
// takes the channel first, then calls After until it returns nothing, then waits.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Load returns the devices as they were last saved, by id. A model that cannot
// be read is logged and left empty.
func (s *Store) Load(context.Context) ([]presence.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records(), nil
}

// Recent returns the newest events of the log, as many as are in memory; after
// Open those are the last 1,024.
func (s *Store) Recent() []presence.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tail.events)
}

// SaveDevices stores devices, new and changed. It never waits. What a person
// would notice is written at once; where only the time of the last sighting
// has changed, once a minute, and what was learned every ten minutes. It copies
// the models before it returns.
func (s *Store) SaveDevices(records []presence.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	urgent := false
	for i := range records {
		d, err := newStored(&records[i])
		if err != nil {
			s.log.Error("device saved without what was learned of it", "err", err)
		}
		urgent = s.changes.save(d) || urgent
	}
	if urgent {
		s.nudge()
	}
}

// DeleteDevices forgets devices. Their events stay in the log.
func (s *Store) DeleteDevices(ids []presence.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	urgent := false
	for _, id := range ids {
		urgent = s.changes.remove(id) || urgent
	}
	if urgent {
		s.nudge()
	}
}

// Fault returns nil while the database takes writes, else what is wrong and
// what to do, for a person.
func (s *Store) Fault() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault
}

// Lost returns how many events were given up since the start because too many
// waited for the disk.
func (s *Store) Lost() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}
