package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"porchlight/history"
	"porchlight/presence"
)

type eventsCmd struct {
	JSON   bool `xor:"form" help:"Print JSON Lines."`
	CSV    bool `xor:"form" help:"Print CSV."`
	Follow bool `short:"f" help:"Go on with what happens from now."`
	Last   *int `short:"n" placeholder:"N" help:"How many of the newest events to print (50, or all with --since or --until)."`
	span
	chosenDevices
	Program string   `placeholder:"NAME" help:"Only events about this machine, of this program."`
	Type    []string `short:"t" placeholder:"TYPE" help:"Only events of this type, such as arrived."`
}

const (
	// followEvery is how often the database is looked at for new events.
	followEvery = 250 * time.Millisecond
	// usualLast is how many events are printed when nothing else is said.
	usualLast = 50
	// pageSize is how many events are read at a time.
	pageSize = 1000
)

// Validate is called by kong.
func (c eventsCmd) Validate() error {
	if c.Last != nil && *c.Last < 0 {
		return fmt.Errorf("--last %d: want a number of events", *c.Last)
	}
	return knownTypes(c.Type, presence.EventTypes())
}

// knownTypes says which of the values of --type is none of those that there are.
func knownTypes[T ~string](given []string, known []T) error {
	words := make([]string, len(known))
	for i, k := range known {
		words[i] = string(k)
	}
	for _, name := range given {
		if !slices.Contains(words, name) {
			return fmt.Errorf("--type %q: want one of %s", name, strings.Join(words, ", "))
		}
	}
	return nil
}

// Run lists events of the log, the oldest first.
func (c eventsCmd) Run(a *app) error {
	reader, known, err := a.knownDevices()
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	filter, err := c.filter(a, reader.Queries, known)
	if err != nil {
		return err
	}
	out, err := c.printer(a)
	if err != nil {
		return err
	}
	last, err := c.past(a, reader.Queries, filter, out)
	for err == nil && c.Follow {
		select {
		case <-a.ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
		if unread(a.stdout) {
			return nil
		}
		last, err = c.printAfter(a, reader.Queries, filter, last, out)
	}
	if c.Follow && a.ctx.Err() != nil {
		return nil
	}
	return err
}

func (c eventsCmd) filter(a *app, q *history.Queries, known []presence.Device) (f history.EventFilter, err error) {
	if f.Since, f.Until, err = c.times(); err != nil {
		return f, err
	}
	f.Program = c.Program
	for _, t := range c.Type {
		f.Types = append(f.Types, presence.EventType(t))
	}
	if c.chosenDevices.any() {
		f.Devices, err = c.ids(a, q, known)
	}
	return f, err
}

// past prints what has happened, and returns where the log ended.
func (c eventsCmd) past(a *app, q *history.Queries, f history.EventFilter, out func(presence.Event) error) (last int64, err error) {
	newest, err := q.Find(a.ctx, history.EventFilter{}, history.Page{Limit: 1})
	if err != nil || len(newest) == 0 {
		return 0, err
	}
	last = newest[0].Seq
	if c.Last == nil && c.span.any() {
		return c.printAfter(a, q, f, 0, out)
	}
	n := usualLast
	if c.Last != nil {
		n = *c.Last
	}
	events, err := q.Find(a.ctx, f, history.Page{Limit: n, Before: last + 1})
	for _, e := range events {
		if err := out(e); err != nil {
			return last, err
		}
	}
	return last, err
}

// printAfter prints all that comes after a number, a page at a time.
func (c eventsCmd) printAfter(a *app, q *history.Queries, f history.EventFilter, after int64, out func(presence.Event) error) (last int64, err error) {
	for {
		events, err := q.Find(a.ctx, f, history.Page{Limit: pageSize, After: after, Oldest: true})
		for _, e := range events {
			if err := out(e); err != nil {
				return after, err
			}
			after = e.Seq
		}
		if err != nil || len(events) < pageSize {
			return after, err
		}
	}
}

// printer returns what prints an event in the form that is wanted.
func (c eventsCmd) printer(a *app) (func(presence.Event) error, error) {
	if !c.JSON && !c.CSV {
		return func(e presence.Event) error {
			_, err := fmt.Fprintln(a.stdout, eventLine(e))
			return err
		}, nil
	}
	l, err := newLines(a.stdout, c.CSV, presence.Event{})
	return func(e presence.Event) error { return l.print(e) }, err
}
