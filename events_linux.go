package main

import (
	"fmt"
	"io"
	"time"

	"porchlight/history"
	"porchlight/presence"
)

type eventsCmd struct {
	JSON   bool `help:"Print JSON Lines."`
	Follow bool `short:"f" help:"Go on with what happens from now."`
	Last   int  `short:"n" default:"50" help:"How many of the newest events to print."`
}

// followEvery is how often the database is looked at for new events.
const followEvery = 250 * time.Millisecond

// Validate is called by kong.
func (c eventsCmd) Validate() error {
	if c.Last < 0 {
		return fmt.Errorf("--last %d: want a number of events", c.Last)
	}
	return nil
}

// Run lists the newest events of the log.
func (c eventsCmd) Run(a *app) error {
	reader, err := a.reader()
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	events, err := reader.Last(a.ctx, max(c.Last, 1))
	if err != nil {
		return err
	}
	last := int64(0)
	if c.Last == 0 && len(events) > 0 {
		last, events = events[len(events)-1].Seq, nil
	}
	for {
		for _, e := range events {
			if err := c.print(a.stdout, e); err != nil {
				return err
			}
			last = e.Seq
		}
		if !c.Follow {
			return nil
		}
		select {
		case <-a.ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
		if events, err = reader.Events(a.ctx, last, 1000); err != nil {
			if a.ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

func (c eventsCmd) print(w io.Writer, e presence.Event) error {
	if c.JSON {
		return printJSON(w, []presence.Event{e}, func(e presence.Event) any { return e })
	}
	_, err := fmt.Fprintln(w, eventLine(e))
	return err
}

// reader opens the database for looking only.
func (a *app) reader() (*history.Reader, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	return history.OpenReader(cfg.DataDir)
}
