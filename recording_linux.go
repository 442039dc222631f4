package main

import (
	"context"
	"log/slog"

	"porchlight/bridge"
	"porchlight/config"
	"porchlight/connections"
)

// recording records what this machine is connected to, if that is wanted.
type recording struct {
	recorder *connections.Recorder // nil: it is not
}

// newRecording returns it. b is made after it.
func newRecording(cfg config.Config, b **bridge.Bridge, log *slog.Logger) recording {
	if cfg.ConnectionsInterval == 0 {
		return recording{}
	}
	return recording{connections.NewRecorder(connections.RecorderConfig{
		Interval: cfg.ConnectionsInterval, Dir: cfg.DataDir,
		Keep: connections.Keep{Age: cfg.ConnectionsKeep, Size: keptBytes},
		Names: func(ctx context.Context) connections.DeviceNames {
			devices, _, _ := (*b).Snapshot(ctx) // without names it is of use, too
			return namesOf(devices)
		},
		Tell: func(e connections.Event) {
			log.Info(e.Type, "program", e.Connection.Program(), "local", e.Connection.Local, "why", e.Why)
		},
		Log: log,
	})}
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

// latest is what was seen last; nil: nothing is recorded, or not yet.
func (r recording) latest() *connections.Snapshot {
	if r.recorder == nil {
		return nil
	}
	return r.recorder.Latest()
}
