package main

import (
	"fmt"

	"porchlight/capture"
	"porchlight/presence"
	"porchlight/replay"
)

type replayCmd struct {
	File string       `arg:"" help:"The capture; - for standard input."`
	Self presence.MAC `help:"The MAC of the observer whose probes are in the capture." placeholder:"MAC"`
}

// Run prints the events of a capture.
func (c replayCmd) Run(a *app) error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	file, err := capture.OpenFile(c.File)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	stats, err := replay.Run(a.ctx, file, a.stdout, engineConfig(cfg), c.Self)
	_, _ = fmt.Fprintf(a.stderr, "%d frames in %s of capture: %d sightings, %d probes by the observer, %d malformed\n",
		stats.Frames, presence.Words(stats.To.Sub(stats.From)), stats.Sightings, stats.Asked, stats.Malformed)
	return err
}
