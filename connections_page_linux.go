package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"porchlight/connections"
)

// ownConnections are this machine's, for the page: as they are when it asks, and
// as they are stored, by whomever.
type ownConnections struct {
	dir string // of the store

	mu    sync.Mutex
	store *connections.Store // nil: nothing was stored when it was last looked for
}

// Look implements web.Connections.
func (*ownConnections) Look(names connections.DeviceNames) (*connections.Snapshot, error) {
	return connections.Take(names)
}

// opened returns the store, or nil as long as there is none.
func (o *ownConnections) opened(ctx context.Context) (*connections.Store, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.store != nil {
		return o.store, nil
	}
	s, err := connections.OpenStore(ctx, o.dir, false)
	if errors.Is(err, connections.ErrEmpty) {
		return nil, nil
	}
	o.store = s
	return s, err
}

// Newest implements web.Connections.
func (o *ownConnections) Newest(ctx context.Context, before int64, limit int) ([]connections.Entry, error) {
	s, err := o.opened(ctx)
	if s == nil {
		return nil, err
	}
	return s.Newest(ctx, before, limit)
}

// Before implements web.Connections.
func (o *ownConnections) Before(ctx context.Context, t time.Time) (int64, error) {
	s, err := o.opened(ctx)
	if s == nil {
		return 0, err
	}
	return s.Before(ctx, t)
}

// Load implements web.Connections.
func (o *ownConnections) Load(ctx context.Context, number int64) (*connections.Snapshot, error) {
	s, err := o.opened(ctx)
	if err == nil && s == nil {
		err = connections.ErrEmpty
	}
	if err != nil {
		return nil, err
	}
	return s.Load(ctx, number)
}

// close closes the store. Nobody asks any more then.
func (o *ownConnections) close() {
	if o.store != nil {
		_ = o.store.Close()
	}
}
