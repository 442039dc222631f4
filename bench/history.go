package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"porchlight/history"
	"porchlight/presence"
	"porchlight/presence/household"
)

const (
	month = 30 * 24 * time.Hour
	year  = 365 // days

	mostQuery = 50 * time.Millisecond
	// mostYear is what a year of 250 devices may take, in bytes: what
	// HISTORY_MAX_SIZE is by default.
	mostYear = 256e6
	// steady is how much a month may differ from the others.
	steady = 1.2
)

// past measures a year of a home in the database: its size, how that grows, and
// how long questions take.
func past(ctx context.Context, b *bench) (rows []row, err error) {
	for _, devices := range []int{50, 250} {
		if devices > 50 && b.quick {
			break
		}
		dir := filepath.Join(b.dir, fmt.Sprintf("year-%d", devices))
		b.say("history: writing a year of %d devices", devices)
		y, err := live(ctx, dir, b.seed, devices, 0)
		if err != nil {
			return rows, err
		}
		more, err := y.rows(ctx, dir)
		rows = append(rows, more...)
		if err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// lived is a year that was written.
type lived struct {
	devices, events int
	months          []int64 // what each added, in bytes
	size            int64   // of the file at the end
	end             time.Time
}

// live writes a year of a home with so many devices into a database, later by
// shift than the play.
func live(ctx context.Context, dir string, seed uint64, devices int, shift time.Duration) (y lived, err error) {
	y.devices = devices
	store, err := history.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return y, err
	}
	running, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- store.Run(running) }()
	defer func() { stop(); err = errors.Join(err, <-ran, store.Close()) }()
	var records []presence.Record
	for i := range devices {
		records = append(records, home(i, household.Start.Add(shift)))
	}
	store.SaveDevices(records)
	var batch []presence.Event
	var last int64
	flush := func() {
		if len(batch) > 0 {
			batch = store.Append(batch)
			last = batch[len(batch)-1].Seq
			batch = batch[:0]
		}
	}
	grown, next := int64(0), household.Start.Add(month+shift)
	for e := range household.Past(seed, devices, year) {
		y.events++
		e.Time = e.Time.Add(shift)
		if e.Time.After(next) {
			flush()
			if err := settled(ctx, store, last); err != nil {
				return y, err
			}
			size := store.Size(ctx)
			y.months, grown = append(y.months, size-grown), size
			next = next.Add(month)
		}
		y.end = e.Time
		if batch = append(batch, e); len(batch) == 200 {
			flush()
			if err := settled(ctx, store, last); err != nil {
				return y, err
			}
		}
	}
	flush()
	if err := errors.Join(settled(ctx, store, last), store.Close()); err != nil {
		return y, err
	}
	info, err := os.Stat(filepath.Join(dir, "porchlight.db"))
	if err == nil {
		y.size = info.Size()
	}
	return y, err
}

// home is a device as the database has it, first seen at a time.
func home(i int, at time.Time) presence.Record {
	m := household.MAC(i)
	return presence.Record{Device: presence.Device{
		ID: m.ID(), MAC: m, Interface: "lan0", HostName: fmt.Sprintf("Annas-Galaxy-S%d", i), Vendor: "Xensource, Inc.",
		Fingerprint: "1,3,6,15,26,28,51,58,59,43", VendorClass: "android-dhcp-14", State: presence.NotHome,
		FirstSeen: at, LastSeen: at, Since: at, Why: "never heard so far", Tracked: true,
	}}
}

// settled waits until everything up to seq is in the database.
func settled(ctx context.Context, store *history.Store, seq int64) error {
	for {
		newest, err := store.Queries().Find(ctx, history.EventFilter{}, history.Page{Limit: 1})
		if err != nil || len(newest) > 0 && newest[0].Seq >= seq {
			return err
		}
		if err := store.Fault(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

func (y *lived) rows(ctx context.Context, dir string) (rows []row, err error) {
	name := fmt.Sprintf("a year of %d devices", y.devices)
	months := slices.Sorted(slices.Values(y.months[1:])) // the first has the devices as well
	least, most := months[0], months[len(months)-1]
	size := row{
		what: name + ": the database", measured: fmt.Sprintf("%.1f MB for %d events, %.0f a day", float64(y.size)/1e6, y.events, float64(y.events)/year),
		bound: fmt.Sprintf("%.0f MB (HISTORY_MAX_SIZE)", mostYear/1e6), verdict: judge(y.size < mostYear),
	}
	growth := row{
		what:     name + ": growth a month",
		measured: fmt.Sprintf("%.2f to %.2f MB (%.2f ×)", float64(least)/1e6, float64(most)/1e6, float64(most)/float64(least)),
		bound:    fmt.Sprintf("linear: no month has %.1f × what another has", steady), verdict: judge(float64(most) <= steady*float64(least)),
	}
	reader, err := history.OpenReader(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	rows = []row{size, growth}
	for _, question := range y.questions(reader.Queries) {
		r, err := question.measure(ctx)
		if err != nil {
			return rows, err
		}
		r.what = name + ": " + r.what
		rows = append(rows, r)
	}
	return rows, nil
}

// question is one that people ask of the past.
type question struct {
	what string
	ask  func(context.Context) (int, error) // how many rows the answer has
}

// measure asks forty times.
func (q question) measure(ctx context.Context) (row, error) {
	var took []time.Duration
	n := 0
	for range 40 {
		start := time.Now()
		var err error
		if n, err = q.ask(ctx); err != nil {
			return row{}, fmt.Errorf("%s: %w", q.what, err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	usual := quantile(took, 0.5)
	return row{
		what: q.what, measured: fmt.Sprintf("median %s, 95th percentile %s, %d rows", ms(usual), ms(quantile(took, 0.95)), n),
		bound: "median 50 ms", verdict: judge(usual < mostQuery),
	}, nil
}

func (y *lived) questions(q *history.Queries) []question {
	begin, end := household.Start, y.end
	phone := household.MAC(7).ID()
	var group []presence.ID
	for i := range 10 {
		group = append(group, household.MAC(i).ID())
	}
	find := func(f history.EventFilter) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) {
			events, err := q.Find(ctx, f, history.Page{Limit: 50})
			return len(events), err
		}
	}
	span := func(from, to time.Time) func(context.Context) (int, error) {
		return func(ctx context.Context) (int, error) {
			t, err := q.Timeline(ctx, from, to)
			return len(t.Sessions) + len(t.Gaps), err
		}
	}
	return []question{
		{"sessions of a phone, all year", func(ctx context.Context) (int, error) {
			s, err := q.Sessions(ctx, phone, begin, end)
			return len(s), err
		}},
		{"who was home at a time", func(ctx context.Context) (int, error) {
			s, err := q.HomeAt(ctx, begin.Add(5*month))
			return len(s), err
		}},
		{"the 20 longest absences of the year", func(ctx context.Context) (int, error) {
			s, err := q.LongestAbsences(ctx, begin, end, end, 20)
			return len(s), err
		}},
		{"first seen in a year", func(ctx context.Context) (int, error) {
			s, err := q.FirstSeen(ctx, begin, end)
			return len(s), err
		}},
		{"timeline of the last week", span(end.AddDate(0, 0, -7), end)},
		{"timeline of a month half a year ago", span(begin.Add(5*month), begin.Add(6*month))},
		{"the newest events", find(history.EventFilter{})},
		{"events of a phone", find(history.EventFilter{Devices: []presence.ID{phone}})},
		{"events of a group of ten", find(history.EventFilter{Devices: group})},
		{"departures of a phone half a year ago", find(history.EventFilter{
			Devices: []presence.ID{phone}, Types: []presence.EventType{presence.Left}, Since: begin.Add(5 * month), Until: begin.Add(6 * month),
		})},
		{"when sensing was lost", find(history.EventFilter{Types: []presence.EventType{presence.SensingLost}})},
		{"events of a day half a year ago", find(history.EventFilter{Since: begin.Add(6 * month), Until: begin.Add(6*month + 24*time.Hour)})},
	}
}
