package main

import (
	"context"
	"errors"
	"time"

	"porchlight/connections"
	"porchlight/sqlitefile"
	"porchlight/traffic"
)

// ownMachine is what the page shows of the machine that it runs on.
type ownMachine struct {
	connections *ownConnections
	traffic     *ownTraffic
}

func newOwnMachine(dir string) ownMachine {
	return ownMachine{newOwnConnections(dir), newOwnTraffic(dir)}
}

func (m ownMachine) close() {
	m.connections.stored.Close()
	m.traffic.stored.Close()
}

// ownConnections are this machine's, for the page: as they are when it asks, and
// as they are stored, by whomever.
type ownConnections struct {
	stored sqlitefile.Held[*connections.Store]
}

func newOwnConnections(dir string) *ownConnections {
	return &ownConnections{sqlitefile.Held[*connections.Store]{Open: func(ctx context.Context) (*connections.Store, error) {
		return connections.OpenStore(ctx, dir, false)
	}}}
}

// Look implements web.Connections.
func (*ownConnections) Look(names connections.DeviceNames) (*connections.Snapshot, error) {
	return connections.Take(names)
}

// Newest implements web.Connections.
func (o *ownConnections) Newest(ctx context.Context, before int64, limit int) ([]connections.Entry, error) {
	s, err := o.stored.Get(ctx)
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
	s, err := o.stored.Get(ctx)
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
	s, err := o.stored.Get(ctx)
	if err != nil {
		return nil, err
	}
	return s.Load(ctx, number)
}

// ownTraffic is what passed this machine's interfaces, for the page.
type ownTraffic struct {
	stored sqlitefile.Held[*traffic.Store]
}

func newOwnTraffic(dir string) *ownTraffic {
	return &ownTraffic{sqlitefile.Held[*traffic.Store]{Open: func(ctx context.Context) (*traffic.Store, error) {
		return traffic.OpenStore(ctx, dir, false)
	}}}
}

// Buckets implements web.Traffic.
func (o *ownTraffic) Buckets(ctx context.Context, since, until time.Time, step time.Duration) ([]traffic.Round, error) {
	s, err := o.stored.Get(ctx)
	if err != nil {
		return nil, err
	}
	return s.Buckets(ctx, since, until, step)
}
