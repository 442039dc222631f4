// Package replay runs a capture through the engine at the capture's own time,
// as fast as it reads. The same file gives the same events each time.
package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"porchlight/arpwatch"
	"porchlight/capture"
	"porchlight/dhcpwatch"
	"porchlight/ndpwatch"
	"porchlight/presence"
)

// Stats says what a capture held.
type Stats struct {
	Frames, Sightings, Asked, Malformed int
	From, To                            time.Time
}

// Run reads the capture in and writes its events to out, one JSON object a
// line, in the form of the event topic. self names the observer whose probes
// are in the capture; the zero MAC means that there is none, so that nobody
// was asked. A capture that breaks off is an error after the events of what
// could be read.
func Run(ctx context.Context, in *capture.File, out io.Writer, cfg presence.Config, self presence.MAC) (Stats, error) {
	cfg.Passive, cfg.Baseline = true, false
	if self != (presence.MAC{}) {
		cfg.Self = append(cfg.Self, self)
	}
	p := &player{engine: presence.New(cfg), self: self, enc: json.NewEncoder(out)}
	p.enc.SetEscapeHTML(false)
	for ctx.Err() == nil {
		rec, err := in.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return p.stats, p.err
		}
		if err != nil {
			return p.stats, err
		}
		if p.record(rec); p.err != nil {
			return p.stats, p.err
		}
	}
	return p.stats, ctx.Err()
}

type player struct {
	engine *presence.Engine
	self   presence.MAC
	enc    *json.Encoder
	seq    int64 // of the last event written
	stats  Stats
	err    error
}

// record lets time pass until the record, then plays it.
func (p *player) record(rec capture.Record) {
	if p.stats.Frames == 0 {
		p.stats.From = rec.At
		p.write(p.engine.Tick(rec.At)) // time begins with the capture
	}
	p.stats.Frames++
	if rec.At.After(p.stats.To) {
		p.stats.To = rec.At
	}
	f, err := rec.Frame()
	if err != nil {
		p.stats.Malformed++
		return
	}
	for next := p.engine.Next(); !next.After(p.stats.To); next = p.engine.Next() {
		p.write(p.engine.Tick(next))
	}
	if s, ok := p.decode(f); ok {
		p.stats.Sightings++
		p.write(p.engine.Sight(s))
	}
}

// decode returns what a frame says. The observer's own probes say only that
// someone was asked.
func (p *player) decode(f capture.Frame) (s presence.Sighting, ok bool) {
	own := p.self != (presence.MAC{}) && f.Src == p.self
	switch {
	case own && f.EtherType != capture.EtherTypeIPv4:
		p.asked(f)
		return s, false
	case f.EtherType == capture.EtherTypeARP:
		s, err := arpwatch.Decode(f)
		if err != nil {
			p.stats.Malformed++
		}
		return s, err == nil
	case f.EtherType == capture.EtherTypeIPv4:
		s, ok, err := dhcpwatch.Decode(f)
		if err != nil {
			p.stats.Malformed++
		}
		return s, ok && err == nil
	case f.EtherType == capture.EtherTypeIPv6:
		s, ok, err := ndpwatch.Decode(f)
		if err != nil {
			p.stats.Malformed++
		}
		return s, ok && err == nil
	}
	return s, false
}

// asked tells the engine of a probe in the capture.
func (p *player) asked(f capture.Frame) {
	addr, ok := arpwatch.Asked(f)
	if !ok {
		addr, ok = ndpwatch.Asked(f)
	}
	if !ok {
		return
	}
	p.stats.Asked++
	if f.Dst.Station() {
		p.engine.Asked(f.At, presence.Probe{Interface: f.Interface, MAC: f.Dst, Addr: addr})
	} else {
		p.engine.AskedAddr(f.At, addr)
	}
}

func (p *player) write(out presence.Output) {
	for _, e := range out.Events {
		p.seq++
		e.Seq = p.seq
		if err := p.enc.Encode(e); err != nil && p.err == nil {
			p.err = fmt.Errorf("writing events: %w", err)
		}
	}
}
