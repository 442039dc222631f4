package sqlitefile

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// asideEvery is how often a damaged file is set aside at most: a disk may damage
// one after the other.
const asideEvery = time.Hour

// Store is what a Held holds.
type Store interface {
	io.Closer
	// Moved reports whether its file is no longer in its place.
	Moved() bool
}

// Held is a store that is opened when it is needed, and anew when another file is
// in its place or when writing to it has failed: a bad disk keeps nothing else from
// its work. Several goroutines may use it at once.
type Held[S Store] struct {
	Open func(context.Context) (S, error)

	// Path is the file, and Log hears when it is set aside. Both are for who writes.
	Path string
	Log  *slog.Logger

	mu    sync.Mutex
	store S
	open  bool
	aside time.Time // when a damaged file was set aside last; zero: never
}

// Get returns the store, opened if need be.
func (h *Held[S]) Get(ctx context.Context) (s S, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open && !h.store.Moved() {
		return h.store, nil
	}
	h.close()
	if s, err = h.Open(ctx); err == nil {
		h.store, h.open = s, true
	}
	return s, err
}

// Opened returns the store if it is open.
func (h *Held[S]) Opened() (s S, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.store, h.open
}

// Write has do write to the store. If that fails the store is closed, for the next
// call to open it anew; a damaged file is set aside first, which the error says.
func (h *Held[S]) Write(ctx context.Context, do func(S) error) error {
	s, err := h.Get(ctx)
	if err == nil {
		err = do(s)
	}
	if err == nil {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.close()
	if !Damaged(err) || !h.aside.IsZero() && time.Since(h.aside) < asideEvery {
		return err
	}
	aside, failed := SetAside(h.Path, time.Now())
	if failed != nil {
		return fmt.Errorf("%w (%w)", err, failed)
	}
	h.aside = time.Now()
	h.Log.Error("a damaged file is set aside, and a new one is begun", "file", aside, "damage", err)
	return fmt.Errorf("%w: the file is damaged; it is set aside as %s, and a new one is begun", err, aside)
}

// Close closes the store, if it is open. Get opens it again.
func (h *Held[S]) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.close()
}

// close forgets the store. What was written to it is in the file already.
func (h *Held[S]) close() {
	if h.open {
		_ = h.store.Close()
	}
	var none S
	h.store, h.open = none, false
}
