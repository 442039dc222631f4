package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"porchlight/traffic"
)

type trafficCmd struct {
	form
	span
	Top int `default:"10" placeholder:"N" help:"How many hosts and devices to list."`
}

// Validate is called by kong.
func (c trafficCmd) Validate() error {
	if c.Top < 1 {
		return fmt.Errorf("--top %d: want at least 1", c.Top)
	}
	return nil
}

const (
	// shownTraffic is how far back the command looks if nothing is said.
	shownTraffic = time.Hour
	// mostTraffic is the longest time that is shown as such: longer than any is
	// kept. Of a longer one what there is.
	mostTraffic = 101 * 365 * 24 * time.Hour
)

// Run shows what passed this machine's interfaces.
func (c trafficCmd) Run(a *app) error {
	store, err := a.traffic()
	if err != nil {
		return err
	}
	defer func() { _ = store.Close() }()
	since, until, err := c.times()
	if err != nil {
		return err
	}
	if until.IsZero() {
		until = time.Now()
	}
	if since.IsZero() {
		since = until.Add(-shownTraffic)
	}
	switch {
	case since.Before(until):
	case c.Until.text == "":
		return fmt.Errorf("--since %s is not in the past", when(since))
	default:
		return fmt.Errorf("--since %s is not before --until %s", when(since), when(until))
	}
	first, last, err := store.Span(a.ctx)
	if errors.Is(err, traffic.ErrEmpty) {
		return a.noTraffic()
	}
	if err != nil {
		return moveAway(err)
	}
	if !last.After(since) || !first.Before(until) {
		return fmt.Errorf("no traffic was recorded from %s to %s; what there is begins at %s and ends at %s", when(since), when(until), when(first), when(last))
	}
	if until.Sub(since) > mostTraffic {
		if since.Before(first) {
			since = first
		}
		if until.After(last) {
			until = last
		}
	}
	if c.table() {
		return moveAway(c.show(a, store, since, until))
	}
	return moveAway(c.print(a, store, since, until))
}

// noTraffic says where there is none, and how it gets there.
func (a *app) noTraffic() error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	return fmt.Errorf("%w in %s: set PORCHLIGHT_TRAFFIC=always, or attended for only while someone is at this machine, and restart Porchlight (a round is stored when it is over)%s",
		traffic.ErrEmpty, cfg.DataDir, sudoHint())
}

// traffic opens what is recorded.
func (a *app) traffic() (*traffic.Store, error) {
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	store, err := traffic.OpenStore(a.ctx, cfg.DataDir, false)
	if errors.Is(err, traffic.ErrEmpty) {
		return nil, a.noTraffic()
	}
	return store, moveAway(err)
}

// print prints each round for programs.
func (c trafficCmd) print(a *app, store *traffic.Store, since, until time.Time) error {
	w := bufio.NewWriter(a.stdout) // a month is millions of rows
	out, err := newLines(w, c.CSV, trafficCell{})
	if err != nil {
		return err
	}
	err = store.Each(a.ctx, since, until, func(r *traffic.Round) error {
		line := traffic.NewLine(r)
		if !c.CSV {
			return out.print(line)
		}
		for _, cell := range trafficCells(line) {
			if err := out.print(cell); err != nil {
				return err
			}
		}
		return nil
	})
	return cmp.Or(err, w.Flush())
}

// trafficCell is a row of the CSV: one of the things that a round is made of.
type trafficCell struct {
	Start     time.Time `json:"start"`
	Length    float64   `json:"length_s"`
	Counted   float64   `json:"counted_s"`
	Kind      string    `json:"kind"` // count, host, device, port or dropped
	Interface string    `json:"interface,omitempty"`
	Protocol  string    `json:"protocol,omitempty"`
	Direction string    `json:"direction,omitempty"`
	Host      string    `json:"host,omitempty"`
	Device    string    `json:"device,omitempty"`
	Port      uint16    `json:"port,omitempty"`
	Program   string    `json:"program,omitempty"`
	Packets   uint64    `json:"packets,omitempty"`
	Bytes     uint64    `json:"bytes,omitempty"`
	Held      float64   `json:"held_s,omitempty"`
}

func trafficCells(l traffic.Line) (cells []trafficCell) {
	add := func(kind string, cell trafficCell) {
		cell.Start, cell.Length, cell.Counted, cell.Kind = l.Start, l.Length, l.Counted, kind
		cells = append(cells, cell)
	}
	for _, c := range l.Counts {
		add("count", trafficCell{Interface: c.Interface, Protocol: c.Protocol, Direction: c.Direction, Packets: c.Packets, Bytes: c.Bytes})
	}
	for _, t := range slices.Concat(l.Hosts, l.Devices) {
		kind, cell := "host", trafficCell{Device: t.Device, Host: text(t.Host)}
		if !t.Host.IsValid() {
			kind = "device"
		}
		cell.Direction, cell.Packets, cell.Bytes = traffic.In.String(), t.InPackets, t.InBytes
		add(kind, cell)
		cell.Direction, cell.Packets, cell.Bytes = traffic.Out.String(), t.OutPackets, t.OutBytes
		add(kind, cell)
	}
	for _, p := range l.Ports {
		add("port", trafficCell{Protocol: p.Protocol, Port: p.Port, Program: p.Program, Held: p.Held})
	}
	if l.Dropped > 0 || len(cells) == 0 {
		add("dropped", trafficCell{Packets: l.Dropped})
	}
	return cells
}
