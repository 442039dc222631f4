package main

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"porchlight/attendance"
	"porchlight/config"
	"porchlight/connections"
	"porchlight/presence"
	"porchlight/sqlitefile"
	"porchlight/traffic"
)

const (
	// trafficBytes bounds the stored rounds.
	trafficBytes = 200e6
	// namesWithin is how long the bridge may take to say what devices are called:
	// counting goes on without.
	namesWithin = 2 * time.Second
	// fresh is how old the last snapshot of the connections may be to say who
	// listens.
	fresh = time.Minute
)

// trafficCount counts what passes this machine's interfaces, if that is wanted.
type trafficCount struct {
	recorder *traffic.Recorder   // nil: it is not
	people   *attendance.Watcher // nil: whether someone is there or not
	stored   sqlitefile.Held[*traffic.Store]
	running  context.Context //nolint:containedctx // ends what the recorder asks for
}

// newTrafficCount returns it. Devices are asked for what they are called.
func newTrafficCount(cfg config.Config, devices func(context.Context) ([]presence.Device, error), recorded recording, log *slog.Logger) *trafficCount {
	t := &trafficCount{}
	if cfg.Traffic == "off" {
		return t
	}
	t.stored = sqlitefile.Held[*traffic.Store]{
		Path: filepath.Join(cfg.DataDir, traffic.File), Log: log,
		Open: func(ctx context.Context) (*traffic.Store, error) {
			s, err := traffic.OpenStore(ctx, cfg.DataDir, true)
			if err == nil {
				s.Keep = traffic.Keep{Age: cfg.TrafficKeep, Size: trafficBytes}
			}
			return s, err
		},
	}
	c := traffic.Config{
		Interfaces: cfg.TrafficInterfaces, Round: cfg.TrafficRound, Top: cfg.TrafficTop,
		Save: func(ctx context.Context, r traffic.Round) error {
			return t.stored.Write(ctx, func(to *traffic.Store) error { return to.Add(ctx, r) })
		},
		Listeners: func() ([]traffic.Port, error) { return listeningPorts(recorded.recorder) },
		Devices: func() map[netip.Addr]string {
			names, err := called(t.running, devices)
			if err != nil {
				log.Debug("devices are called as before in this look at traffic", "err", err)
			}
			return names
		},
		Log: log,
	}
	if cfg.Traffic == "attended" {
		t.people = attendance.New("", log)
		c.Attendance = t.people
	}
	t.recorder = traffic.NewRecorder(c)
	return t
}

// run counts until ctx ends, in the network namespace of the calling goroutine.
func (t *trafficCount) run(ctx context.Context) error {
	if t.recorder == nil {
		return nil
	}
	defer t.stored.Close()
	t.running = ctx
	var people errgroup.Group
	if t.people != nil {
		people.Go(func() error { return t.people.Run(ctx) })
	}
	return errors.Join(t.recorder.Run(ctx), people.Wait())
}

// called says by their addresses what devices are called; nil when nobody says so
// in time.
func called(ctx context.Context, devices func(context.Context) ([]presence.Device, error)) (map[netip.Addr]string, error) {
	ctx, cancel := context.WithTimeout(ctx, namesWithin)
	defer cancel()
	all, err := devices(ctx)
	if err != nil {
		return nil, err
	}
	return namesOf(all), nil
}

func (t *trafficCount) problems() []string {
	if t.recorder == nil {
		return nil
	}
	return t.recorder.Problems()
}

// listeningPorts says which ports are listened on, by which programs: as the
// connections were recorded last, or are now.
func listeningPorts(recorder *connections.Recorder) (ports []traffic.Port, err error) {
	var s *connections.Snapshot
	if recorder != nil {
		s = recorder.Latest()
	}
	if s == nil || time.Since(s.Time).Abs() > fresh {
		if s, err = connections.Take(nil); err != nil {
			return nil, err
		}
	}
	for i := range s.Connections {
		if c := &s.Connections[i]; c.Listening() {
			ports = append(ports, traffic.Port{Protocol: c.Protocol, Port: c.Local.Port(), Program: c.Program()})
		}
	}
	return ports, nil
}
