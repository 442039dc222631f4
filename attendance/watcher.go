package attendance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

const (
	answer = 10 * time.Second      // how long logind may take to say something
	settle = 50 * time.Millisecond // how long its signals are collected before it is asked
	unsaid = time.Minute           // how long it is not asked without a signal: some changes have none

	// Waits between attempts to reach it.
	minRetry = time.Second
	maxRetry = 30 * time.Second
)

// notAsked is the fault while Run does not run.
const notAsked = "logind was not asked yet"

// Watcher follows whether someone is at the machine.
type Watcher struct {
	bus    string
	log    *slog.Logger
	unsaid time.Duration

	mu      sync.Mutex
	there   bool
	changed chan struct{} // closed when there changes
	fault   string        // why it is not known
}

// New returns a Watcher on the bus of this D-Bus address, such as
// "unix:path=/run/dbus/system_bus_socket"; empty: the system bus. Nobody is there
// until Run has asked.
func New(bus string, log *slog.Logger) *Watcher {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Watcher{bus: bus, log: log, unsaid: unsaid, changed: make(chan struct{}), fault: notAsked}
}

// Attended reports whether someone is known to be there, and returns a channel
// that is closed when that has changed. It may be called at any time.
func (w *Watcher) Attended() (bool, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.there, w.changed
}

// Problem says, for people, why it is not known whether someone is there; empty: it
// is known. It may be called at any time.
func (w *Watcher) Problem() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fault == "" {
		return ""
	}
	return "it is not known whether someone is at this machine: " + w.fault
}

// Run follows who is there until ctx ends, and returns nil then. While logind
// cannot be reached, nobody is there; it is tried again.
func (w *Watcher) Run(ctx context.Context) error {
	defer w.end()
	for delay := minRetry; ctx.Err() == nil; {
		err := w.follow(ctx)
		if w.Problem() == "" { // it had answered
			delay = minRetry
		}
		if ctx.Err() == nil {
			w.wonder(err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(delay):
		}
		delay = min(2*delay, maxRetry)
	}
	return nil
}

// follow follows who is there until the bus or logind does not answer.
func (w *Watcher) follow(ctx context.Context) error {
	bus, err := connect(ctx, w.bus)
	if err != nil {
		return err
	}
	defer func() { _ = bus.Close() }()
	signals := make(chan *dbus.Signal, 64)
	bus.Signal(signals)
	for _, match := range news { // first this, then asking: no change is missed
		if err := bus.AddMatchSignalContext(ctx, match...); err != nil {
			return fmt.Errorf("asking for the signals of logind: %w", err)
		}
	}
	for {
		asking, cancel := context.WithTimeout(ctx, answer)
		there, err := attended(asking, bus)
		cancel()
		if err != nil {
			return err
		}
		w.know(there)
		if err := wait(ctx, signals, w.unsaid); err != nil {
			return err
		}
	}
}

// wait waits for a signal, and takes those that come with it; or until it is time
// to ask without one.
func wait(ctx context.Context, signals <-chan *dbus.Signal, unsaid time.Duration) error {
	silent := time.After(unsaid)
	var settled <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-signals:
			if !ok {
				return errors.New("the system bus has ended")
			}
			if settled == nil {
				settled = time.After(settle)
			}
		case <-settled:
			return nil
		case <-silent:
			return nil
		}
	}
}

// know notes that it is known who is there.
func (w *Watcher) know(there bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case there == w.there && w.fault == "":
		return
	case there:
		w.log.Info("someone is at this machine")
	default:
		w.log.Info("nobody is at this machine")
	}
	w.set(there, "")
}

// wonder notes why it is not known. Nobody is taken to be there then.
func (w *Watcher) wonder(fault string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if fault != w.fault {
		w.log.Warn("it is not known whether someone is at this machine", "err", fault)
	}
	w.set(false, fault)
}

// end forgets who is there.
func (w *Watcher) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set(false, notAsked)
}

// set is called with mu held.
func (w *Watcher) set(there bool, fault string) {
	w.fault = fault
	if there != w.there {
		w.there = there
		close(w.changed)
		w.changed = make(chan struct{})
	}
}
