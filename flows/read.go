package flows

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"porchlight/capture"
)

// Dump is what a capture file holds.
type Dump struct {
	Flows    []*Flow   // those that began first first
	From, To time.Time // of the packets
	Count
	Further   Further               // flows that there was no room for
	Malformed uint64                // packets that could not be read
	Names     map[netip.Addr]string // of hosts, by the DNS answers in the dump
	// Back is by how much time goes back at most from one packet to another.
	Back time.Duration
}

// Progress is called now and then with how many bytes of the file were read.
type Progress func(read int64)

// each is after how many packets the progress is told.
const each = 1 << 14

// Read reads a dump to its end, in memory that its size does not change. With an
// error it returns what there was before.
func Read(ctx context.Context, in *capture.File, progress Progress) (*Dump, error) {
	return read(ctx, in, progress, maxFlows)
}

func read(ctx context.Context, in *capture.File, progress Progress, limit int) (*Dump, error) {
	d := &Dump{}
	t, n := newTable(limit), names{}
	var err error
	for err == nil {
		var r capture.Record
		if r, err = in.Next(); err != nil {
			break
		}
		d.record(&r, t, n)
		if d.Packets%each == 0 {
			if err = ctx.Err(); progress != nil {
				progress(in.BytesRead())
			}
		}
	}
	if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	if progress != nil {
		progress(in.BytesRead())
	}
	d.Flows, d.Further, d.Names = t.sorted(), t.further, n
	return d, err
}

func (d *Dump) record(r *capture.Record, t *table, n names) {
	if d.Packets == 0 {
		d.From, d.To = r.At, r.At
	}
	if r.At.Before(d.From) {
		d.From = r.At
	}
	if r.At.After(d.To) {
		d.To = r.At
	}
	d.Back = max(d.Back, d.To.Sub(r.At))
	d.Packets++
	d.Bytes += uint64(r.Length)
	f, err := r.Frame()
	if err != nil {
		d.Malformed++
		return
	}
	p, err := decode(f)
	if err != nil {
		d.Malformed++
		return
	}
	t.add(&p, &f, r.Length)
	n.answer(&p)
}

// disorder is by how much packets of several interfaces may be out of order.
const disorder = 2 * time.Second

// Notes say what to know about the dump.
func (d *Dump) Notes() (all []string) {
	if d.Packets == 0 {
		all = append(all, "the dump has no packets")
	}
	if d.Malformed > 0 {
		all = append(all, fmt.Sprintf("%d of %d packets could not be read: they are damaged, cut off within their headers, or of a link that has no IP", d.Malformed, d.Packets))
	}
	if d.Back > disorder {
		all = append(all, fmt.Sprintf("time goes back by %s within the dump: the clock was set, or several dumps were joined", d.Back.Round(time.Second)))
	}
	if f := d.Further; f.Flows > 0 {
		all = append(all, fmt.Sprintf("THERE ARE MORE FLOWS THAN THERE IS ROOM FOR: the %d smallest, with %d packets and %d bytes, are not listed; choose less of the dump (tcpdump -r DUMP -w PART 'host …')", f.Flows, f.Packets, f.Bytes))
	}
	return all
}
