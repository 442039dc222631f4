package main

import (
	"context"
	"log/slog"
	"net/netip"
	"time"

	"porchlight/bridge"
	"porchlight/config"
	"porchlight/connections"
	"porchlight/mqtt"
	"porchlight/presence"
)

// recording records what this machine is connected to, if that is wanted.
type recording struct {
	recorder *connections.Recorder // nil: it is not
}

// newRecording returns it. b is made after it.
func newRecording(cfg config.Config, b **bridge.Bridge, session *mqtt.Session, log *slog.Logger) recording {
	if cfg.ConnectionsInterval == 0 {
		return recording{}
	}
	return recording{connections.NewRecorder(connections.RecorderConfig{
		Interval: cfg.ConnectionsInterval, Dir: cfg.DataDir,
		Keep:  connections.Keep{Age: cfg.ConnectionsKeep, Size: keptBytes},
		Names: namesFrom(func(ctx context.Context) ([]presence.Device, error) { return devicesOf(*b)(ctx) }),
		Seen:  func(s *connections.Snapshot) { session.SetMachine(presence.Machine(s.Counts())) },
		Tell: func(ctx context.Context, events []connections.Event) error {
			told := make([]presence.Event, len(events))
			for i := range events {
				told[i] = machineEvent(&events[i])
			}
			return (*b).Report(ctx, told)
		},
		Log: log,
	})}
}

// namesFrom returns the names of devices, asked for now and then only: to copy all
// devices holds up the loop that hears them. Without names a look is of use, too.
func namesFrom(devices func(context.Context) ([]presence.Device, error)) func(context.Context) connections.DeviceNames {
	var names connections.DeviceNames
	var read time.Time
	return func(ctx context.Context) connections.DeviceNames {
		if !read.IsZero() && time.Since(read) <= namesFor {
			return names
		}
		if all, err := devices(ctx); err == nil {
			names, read = namesOf(all), time.Now()
		}
		return names
	}
}

// machineEvent is what is new in the form of the event log. Without the command
// line, which may hold secrets.
func machineEvent(e *connections.Event) presence.Event {
	c := &e.Connection
	socket := &presence.Socket{Program: c.Program(), User: c.User, Protocol: c.Protocol, Port: c.Local.Port()}
	if p := c.Process; p != nil {
		socket.User, socket.Container, socket.PID = p.User, p.Container, p.PID
	}
	addr := c.Local.Addr()
	if e.Type == connections.NewProgramOnline {
		addr, socket.Port = c.Remote.Addr(), c.Remote.Port()
	}
	if addr.IsUnspecified() { // all
		addr = netip.Addr{}
	}
	return presence.Event{Type: presence.EventType(e.Type), Time: e.Time, Addr: addr, Interface: c.Interface, Why: e.Why, Socket: socket}
}

func (r recording) run(ctx context.Context) error {
	if r.recorder == nil {
		return nil
	}
	return r.recorder.Run(ctx)
}

func (r recording) problems() []string {
	if r.recorder == nil {
		return nil
	}
	return r.recorder.Problems()
}
