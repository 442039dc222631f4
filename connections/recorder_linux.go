package connections

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"porchlight/sqlitefile"
)

// RecorderConfig is what a Recorder needs. What is nil has the default that is
// named.
type RecorderConfig struct {
	Interval time.Duration // between two looks
	Dir      string        // of the store
	Keep     Keep
	Log      *slog.Logger

	// Seen is given each snapshot, which nobody may change any more, and Tell what
	// is new: it returns when that cannot be lost any more. Nil: nobody wants to know.
	Seen func(*Snapshot)
	Tell func(context.Context, []Event) error
	// Names is asked what the devices are called before each look. Nil: nothing.
	Names func(context.Context) DeviceNames
	// Take looks. Nil: Take, of this package.
	Take func(DeviceNames) (*Snapshot, error)
}

// Recorder looks at this machine's connections again and again, stores what it
// sees, and tells what is new. Whatever keeps it from one of these is a problem,
// and does not keep it from the others.
type Recorder struct {
	RecorderConfig
	stored sqlitefile.Held[*Store]
	watch  *Watcher
	tries  int // in vain, to learn from the store what is usual

	recalled map[uint64]bool // inodes of sockets of the last look whose process was that of the one before

	mu       sync.Mutex
	latest   *Snapshot
	problems [3]string // by what they are about; empty: none
}

// about is what a problem is about.
type about int

const (
	looking about = iota
	storing
	telling
)

const (
	// lookAgain is when a look is taken that the watcher asks for.
	lookAgain = 2 * time.Second
	// patience is at how many looks a store is tried that cannot be read, before
	// all is learned anew.
	patience = 3
	// slowLook is when a look that does not end is told: to read what /proc says of
	// a process can wait for that process.
	slowLook = time.Minute
)

var errNoStore = errors.New("there are no stored snapshots to be had")

// NewRecorder returns a recorder. Run starts it.
func NewRecorder(c RecorderConfig) *Recorder {
	if c.Take == nil {
		c.Take = Take
	}
	if c.Seen == nil {
		c.Seen = func(*Snapshot) {}
	}
	if c.Tell == nil {
		c.Tell = func(context.Context, []Event) error { return nil }
	}
	if c.Names == nil {
		c.Names = func(context.Context) DeviceNames { return nil }
	}
	r := &Recorder{RecorderConfig: c}
	r.stored = sqlitefile.Held[*Store]{Path: filepath.Join(c.Dir, file), Open: r.open, Log: c.Log}
	return r
}

// Latest is what was seen last; nil: nothing yet. Nobody changes it any more.
func (r *Recorder) Latest() *Snapshot {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.latest
}

// Problems says what does not work, and the remedy.
func (r *Recorder) Problems() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, text := range r.problems {
		if text != "" {
			all = append(all, text)
		}
	}
	return all
}

// problem sets what is wrong with something; empty: nothing is. The log hears of
// it when that changes.
func (r *Recorder) problem(with about, text string) {
	r.mu.Lock()
	before := r.problems[with]
	r.problems[with] = text
	r.mu.Unlock()
	switch {
	case before == "" && text != "":
		r.Log.Warn("recording the connections: " + text)
	case before != "" && text == "":
		r.Log.Info("recording the connections works again", "was", before)
	}
}

// Run records until ctx ends.
func (r *Recorder) Run(ctx context.Context) error {
	defer r.stored.Close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	next := time.Now()
	for again := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		extra := again
		again = r.look(ctx, !extra) && !extra
		// Looks that take long, or a machine that slept, cause no burst of them.
		for now := time.Now(); !next.After(now); {
			next = next.Add(r.Interval * (now.Sub(next)/r.Interval + 1))
		}
		wait := time.Until(next)
		if again = again && lookAgain < wait; again {
			wait = lookAgain
		}
		timer.Reset(wait)
	}
}

// look takes a snapshot, stores it if it is one of those that were due, and
// tells what is new.
func (r *Recorder) look(ctx context.Context, due bool) (again bool) {
	slow := time.AfterFunc(slowLook, func() {
		r.problem(looking, "this machine's connections cannot be seen: a look at them does not end. See whether ps hangs too: then a process does, or the disk it runs from")
	})
	s, err := r.Take(r.Names(ctx))
	slow.Stop()
	if err != nil {
		r.problem(looking, "this machine's connections cannot be seen: "+err.Error())
		return false
	}
	r.problem(looking, "")
	if r.Latest() == nil {
		for _, text := range s.Missing {
			r.Log.Info("not all of this machine's connections can be seen", "missing", text)
		}
	}
	r.recalled = s.recall(r.Latest(), r.recalled)
	if due { // it gets its number
		r.keep(ctx, s)
	}
	r.mu.Lock()
	r.latest = s
	r.mu.Unlock()
	r.Seen(s)
	return r.news(ctx, s)
}

// news tells what is new, and keeps what is usual now.
func (r *Recorder) news(ctx context.Context, s *Snapshot) (again bool) {
	if r.watch == nil && !r.begin(ctx) {
		return false
	}
	learnt := r.watch.Learnt
	events, again := r.watch.Look(s)
	if len(events) > 0 {
		if err := r.Tell(ctx, events); err != nil {
			if ctx.Err() == nil {
				r.Log.Warn("what is new on this machine was not told", "events", len(events), "err", err)
			}
			return again // after a restart it is new still
		}
	}
	if !learnt && r.watch.Learnt {
		r.Log.Info("learned which ports this machine listens on; from now on new ones are told", "listeners", len(r.watch.listeners))
	}
	r.problem(telling, strings.Join(r.watch.Problems(), "; "))
	if _, ok := r.stored.Opened(); ok {
		r.keepUsual(ctx)
	}
	return again
}

// begin makes the watcher, from what another one has learned before.
func (r *Recorder) begin(ctx context.Context) bool {
	var baseline []byte
	err := errNoStore
	if s, ok := r.stored.Opened(); ok {
		baseline, err = s.Baseline(ctx)
	}
	if r.tries++; err != nil && r.tries <= patience {
		return false
	}
	if r.watch, err = NewWatcher(baseline); err != nil {
		r.Log.Warn("what was usual on this machine is learned anew", "err", err)
	}
	return true
}

// open opens the store.
func (r *Recorder) open(ctx context.Context) (*Store, error) {
	s, err := OpenStore(ctx, r.Dir, true)
	if err == nil && r.watch != nil {
		r.watch.changed = true // another file may not have what is usual
	}
	return s, err
}

// keep stores a snapshot. What cannot be stored is lost; it is tried again with
// the next one.
func (r *Recorder) keep(ctx context.Context, s *Snapshot) {
	err := r.stored.Write(ctx, func(to *Store) error { return to.Add(ctx, s, r.Keep) })
	if r.failed(ctx, err); err == nil {
		r.problem(storing, "")
	}
}

// keepUsual stores what is usual, if that has changed.
func (r *Recorder) keepUsual(ctx context.Context) {
	b := r.watch.Baseline()
	if b == nil {
		return
	}
	err := r.stored.Write(ctx, func(to *Store) error { return to.SetBaseline(ctx, b) })
	if r.failed(ctx, err); err == nil {
		r.watch.Kept()
	}
}

// failed says that the store does not work, if err is not nil.
func (r *Recorder) failed(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil { // it was not interrupted
		r.problem(storing, "snapshots of this machine's connections are not stored: "+err.Error())
	}
}
