package main

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"porchlight/connections"
	"porchlight/traffic"
)

// file is a store as it was opened.
type file interface {
	io.Closer
	Moved() bool
}

// later is a store that is opened when it is first asked for something, as before
// there may be none, and again when another file is in its place.
type later[S file] struct {
	open func(context.Context) (S, error)

	mu     sync.Mutex
	opened bool
	store  S
}

func (l *later[S]) get(ctx context.Context) (S, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.opened && !l.store.Moved() {
		return l.store, nil
	}
	l.close()
	s, err := l.open(ctx)
	l.store, l.opened = s, err == nil
	return s, err
}

// close closes what was opened.
func (l *later[S]) close() {
	if l.opened {
		_ = l.store.Close()
	}
	l.opened = false
}

// ownMachine is what the page shows of the machine that it runs on.
type ownMachine struct {
	connections *ownConnections
	traffic     *ownTraffic
}

func newOwnMachine(dir string) ownMachine {
	return ownMachine{newOwnConnections(dir), newOwnTraffic(dir)}
}

func (m ownMachine) close() {
	m.connections.stored.close()
	m.traffic.stored.close()
}

// ownConnections are this machine's, for the page: as they are when it asks, and
// as they are stored, by whomever.
type ownConnections struct{ stored later[*connections.Store] }

func newOwnConnections(dir string) *ownConnections {
	return &ownConnections{later[*connections.Store]{open: func(ctx context.Context) (*connections.Store, error) {
		return connections.OpenStore(ctx, dir, false)
	}}}
}

// Look implements web.Connections.
func (*ownConnections) Look(names connections.DeviceNames) (*connections.Snapshot, error) {
	return connections.Take(names)
}

// Newest implements web.Connections.
func (o *ownConnections) Newest(ctx context.Context, before int64, limit int) ([]connections.Entry, error) {
	s, err := o.stored.get(ctx)
	if errors.Is(err, connections.ErrEmpty) {
		return []connections.Entry{}, nil
	}
	if err != nil {
		return nil, err
	}
	return s.Newest(ctx, before, limit)
}

// Before implements web.Connections.
func (o *ownConnections) Before(ctx context.Context, t time.Time) (int64, error) {
	s, err := o.stored.get(ctx)
	if errors.Is(err, connections.ErrEmpty) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return s.Before(ctx, t)
}

// Load implements web.Connections.
func (o *ownConnections) Load(ctx context.Context, number int64) (*connections.Snapshot, error) {
	s, err := o.stored.get(ctx)
	if err != nil {
		return nil, err
	}
	return s.Load(ctx, number)
}

// ownTraffic is what passed this machine's interfaces, for the page.
type ownTraffic struct{ stored later[*traffic.Store] }

func newOwnTraffic(dir string) *ownTraffic {
	return &ownTraffic{later[*traffic.Store]{open: func(ctx context.Context) (*traffic.Store, error) {
		return traffic.OpenStore(ctx, dir, false)
	}}}
}

// Buckets implements web.Traffic.
func (o *ownTraffic) Buckets(ctx context.Context, since, until time.Time, step time.Duration) ([]traffic.Round, error) {
	s, err := o.stored.get(ctx)
	if err != nil {
		return nil, err
	}
	return s.Buckets(ctx, since, until, step)
}
