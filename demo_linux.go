package main

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"porchlight/demo"
)

type demoCmd struct {
	For  time.Duration `placeholder:"DURATION" help:"How long, such as 90s; without it, until Ctrl-C."`
	Seed uint64        `default:"1" help:"How the story goes on after the first minute and a half."`
}

// Validate is called by kong.
func (c demoCmd) Validate() error {
	if c.For < 0 {
		return fmt.Errorf("--for %s: want a duration such as 90s", c.For)
	}
	return nil
}

// Run shows the demo on the terminal.
func (c demoCmd) Run(a *app) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("looking for this program: %w", err)
	}
	// A closed window or pipe ends the demo as Ctrl-C does, so that it cleans up.
	ctx, stop := signal.NotifyContext(a.ctx, syscall.SIGHUP, syscall.SIGPIPE)
	defer stop()
	return demo.Run(ctx, demo.Options{
		Program: program, For: c.For, Seed: c.Seed, Out: a.stdout,
		NoColour:   a.isSet("NO_COLOR"), // https://no-color.org
		Plain:      slices.Contains(a.environ, "TERM=dumb"),
		SettledKey: baselineDone,
	})
}
