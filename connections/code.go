package connections

import (
	"cmp"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"porchlight/compact"
)

// The stored form of a snapshot is its difference to the one before it, or to
// an empty one, compressed (RFC 1951). Unpacked it is
//
//	form   byte, 1
//	texts  what is missing: how many, each a length and bytes
//	rows   of the processes
//	rows   of the connections
//	counts of each connection, in the order of its rows
//
// Rows are texts of bytes in their order; a difference of rows is a list of
// steps (keep k of the old, leave out d of them, add texts). Counts are a byte
// that says which of them differ from those of the row that was kept, or from
// zero, and for each that does a signed difference. Numbers are varints.
const form = 1

// errDamaged is what any unreadable form is.
var errDamaged = errors.New("the stored snapshot is damaged")

// packed is a snapshot in rows: processes and connections in the order of their
// bytes, counts beside the connections.
type packed struct {
	missing   []string
	processes []string
	rows      []string
	counts    []Counters
}

// pack makes rows of a snapshot.
func pack(s *Snapshot) *packed {
	p := &packed{missing: s.Missing}
	type row struct {
		text   string
		counts Counters
	}
	rows := make([]row, len(s.Connections))
	for i := range s.Connections {
		c := &s.Connections[i]
		rows[i] = row{connectionRow(c), c.Counters}
		if c.Process != nil {
			p.processes = append(p.processes, processRow(c.Process))
		}
	}
	slices.Sort(p.processes)
	p.processes = slices.Compact(p.processes)
	slices.SortStableFunc(rows, func(x, y row) int { return cmp.Compare(x.text, y.text) })
	for _, r := range rows {
		p.rows, p.counts = append(p.rows, r.text), append(p.counts, r.counts)
	}
	return p
}

// unpack makes connections of rows.
func (p *packed) unpack() ([]Connection, error) {
	processes := make(map[processKey]*Process, len(p.processes))
	for _, text := range p.processes {
		r := readerOf(text)
		q := &Process{PID: r.Int(), Ticks: r.Uint(), UID: uint32(r.Uint()), Name: r.Text(), User: r.Text(), Container: r.Text(), Command: r.Text()}
		if !r.Done() {
			return nil, errDamaged
		}
		processes[q.key()] = q
	}
	all := make([]Connection, 0, len(p.rows))
	for i, text := range p.rows {
		r := readerOf(text)
		c := Connection{
			Protocol: r.Text(), State: State(r.Text()), Local: r.end(), Remote: r.end(), Interface: r.Text(), Inode: r.Uint(),
			UID: uint32(r.Uint()), User: r.Text(), Device: r.Text(), Others: r.Int(), Counters: p.counts[i],
		}
		c.readGiven()
		if pid := r.Int(); pid != 0 {
			key := processKey{pid, r.Uint()}
			if c.Process = processes[key]; c.Process == nil {
				return nil, errDamaged
			}
		}
		if !r.Done() {
			return nil, errDamaged
		}
		all = append(all, c)
	}
	return all, nil
}

// processKey is what no two processes of one boot have in common.
type processKey struct {
	pid   int
	ticks uint64
}

func (p *Process) key() processKey { return processKey{p.PID, p.Ticks} }

func processRow(p *Process) string {
	b := binary.AppendUvarint(nil, uint64(p.PID))
	b = binary.AppendUvarint(b, p.Ticks)
	b = binary.AppendUvarint(b, uint64(p.UID))
	return string(compact.AppendTexts(b, p.Name, p.User, p.Container, p.Command))
}

func connectionRow(c *Connection) string {
	b := compact.AppendTexts(nil, c.Protocol, c.stateAndGiven())
	b = appendEnd(appendEnd(b, c.Local), c.Remote)
	b = compact.AppendTexts(b, c.Interface)
	b = binary.AppendUvarint(b, c.Inode)
	b = binary.AppendUvarint(b, uint64(c.UID))
	b = compact.AppendTexts(b, c.User, c.Device)
	b = binary.AppendUvarint(b, uint64(c.Others))
	if c.Process == nil {
		return string(append(b, 0))
	}
	b = binary.AppendUvarint(b, uint64(c.Process.PID))
	return string(binary.AppendUvarint(b, c.Process.Ticks))
}

// otherwise, after the state, says that Given is not what the port's number says.
const otherwise = "*"

// usualGiven is Given by the port's number alone, with the range of ports that
// Linux has when nobody changes it.
func (c *Connection) usualGiven() bool { return c.Waiting() && c.Local.Port() >= firstGiven }

func (c *Connection) stateAndGiven() string {
	if c.Given != c.usualGiven() {
		return string(c.State) + otherwise
	}
	return string(c.State)
}

// readGiven undoes stateAndGiven.
func (c *Connection) readGiven() {
	state, differs := strings.CutSuffix(string(c.State), otherwise)
	c.State = State(state)
	c.Given = c.usualGiven() != differs
}

func appendEnd(b []byte, end netip.AddrPort) []byte {
	a := end.Addr()
	b = compact.AppendTexts(b, string(a.AsSlice()), a.Zone())
	return binary.BigEndian.AppendUint16(b, end.Port())
}

// encode returns the stored form of p as a difference to base.
func (p *packed) encode(base *packed) ([]byte, error) {
	b := binary.AppendUvarint([]byte{form}, uint64(len(p.missing)))
	b = compact.AppendTexts(b, p.missing...)
	b, _ = appendRows(b, base.processes, p.processes)
	b, kept := appendRows(b, base.rows, p.rows)
	for i, c := range p.counts {
		var before Counters
		if kept[i] >= 0 {
			before = base.counts[kept[i]]
		}
		b = appendCounts(b, before, c)
	}
	return compact.Deflate(b)
}

// appendRows appends the difference of two lists of rows, and says for each new
// row which old one it is; -1: none.
func appendRows(b []byte, before, now []string) (_ []byte, kept []int) {
	kept = make([]int, len(now))
	type step struct{ keep, drop, from, to int }
	var steps []step
	i, j := 0, 0
	for i < len(before) || j < len(now) {
		var s step
		for ; i < len(before) && j < len(now) && before[i] == now[j]; i, j = i+1, j+1 {
			kept[j] = i
			s.keep++
		}
		for ; i < len(before) && (j == len(now) || before[i] < now[j]); i++ {
			s.drop++
		}
		s.from = j
		for ; j < len(now) && (i == len(before) || now[j] < before[i]); j++ {
			kept[j] = -1
		}
		s.to = j
		steps = append(steps, s)
	}
	b = binary.AppendUvarint(b, uint64(len(steps)))
	for _, s := range steps {
		for _, n := range []int{s.keep, s.drop, s.to - s.from} {
			b = binary.AppendUvarint(b, uint64(n))
		}
		b = compact.AppendTexts(b, now[s.from:s.to]...)
	}
	return b, kept
}

func (c *Counters) fields() []*uint64 {
	return []*uint64{&c.Sent, &c.Received, &c.Retransmitted, &c.RTT, &c.SendQueue, &c.ReceiveQueue}
}

func appendCounts(b []byte, before, now Counters) []byte {
	at := len(b)
	b = append(b, 0)
	old := before.fields()
	for i, n := range now.fields() {
		if *n != *old[i] {
			b[at] |= 1 << i
			b = binary.AppendVarint(b, int64(*n-*old[i]))
		}
	}
	return b
}

// decode reads a stored form, a difference to base.
func decode(stored []byte, base *packed) (*packed, error) {
	b, err := compact.Inflate(stored)
	if err != nil || len(b) == 0 || b[0] != form {
		return nil, errDamaged
	}
	r := readerOf(b[1:])
	p := &packed{}
	for range r.Count() {
		p.missing = append(p.missing, r.Text())
	}
	p.processes, _ = r.rows(base.processes)
	var kept []int
	p.rows, kept = r.rows(base.rows)
	if r.Failed() {
		return nil, errDamaged
	}
	p.counts = make([]Counters, len(p.rows))
	for i, old := range kept {
		if old >= 0 {
			p.counts[i] = base.counts[old]
		}
		r.counts(&p.counts[i])
	}
	if !r.Done() {
		return nil, errDamaged
	}
	return p, nil
}

// reader takes what there is in rows off bytes.
type reader struct{ compact.Reader }

func readerOf[T []byte | string](b T) *reader { return &reader{compact.Reader{B: []byte(b)}} }

func (r *reader) end() netip.AddrPort {
	a, _ := netip.AddrFromSlice([]byte(r.Text()))
	if zone := r.Text(); zone != "" {
		a = a.WithZone(zone)
	}
	port := r.Take(2)
	if port == nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(port))
}

// rows reads a difference to the rows before, and says for each row which of
// them it is; -1: none.
func (r *reader) rows(before []string) (now []string, kept []int) {
	at := 0
	for range r.Count() {
		keep, drop := r.Int(), r.Int()
		if keep+drop > len(before)-at {
			r.Fail()
			return nil, nil
		}
		for range keep {
			now, kept = append(now, before[at]), append(kept, at)
			at++
		}
		at += drop
		for range r.Count() {
			now, kept = append(now, r.Text()), append(kept, -1)
		}
	}
	return now, kept
}

func (r *reader) counts(c *Counters) {
	differ := r.Take(1)
	if differ == nil {
		return
	}
	for i, f := range c.fields() {
		if differ[0]&(1<<i) == 0 {
			continue
		}
		*f += uint64(r.Signed())
	}
}
