package flows

import (
	"net/netip"
	"slices"
	"time"

	"porchlight/connections"
)

// maxLives is of how many sockets something is known at once.
const maxLives = 200_000

// life is a socket in snapshots that follow each other.
type life struct {
	connections.Connection
	seen, last time.Time // the first and the last snapshot that has it
	from, to   time.Time // it may have been there so long; to is zero while it is in the newest snapshot
	snapshot   int64     // the last one that has it, or its process
	used       bool      // it explains a flow
}

// tuple is what a connection is found again by.
type tuple struct {
	protocol      string
	local, remote netip.AddrPort
}

// place is where strangers, or anyone, may send to.
type place struct {
	protocol string
	port     uint16
}

// socket is what a life is known again by in the next snapshot.
type socket struct {
	tuple
	inode uint64
}

// lives are the sockets of all snapshots that were given, in their order.
type lives struct {
	limit   time.Duration // how far from a snapshot its sockets may be
	before  *connections.Snapshot
	alive   map[socket]*life // those of the snapshot before
	tuples  map[tuple][]*life
	places  map[place][]*life
	ordered []*life // those in tuples, as they came
	count   int
	further int // that there was no room for
}

func newLives(limit time.Duration) *lives {
	return &lives{limit: limit, alive: map[socket]*life{}, tuples: map[tuple][]*life{}, places: map[place][]*life{}}
}

// add takes the next snapshot. What is in two of them that follow each other was
// there all the time between; otherwise nobody knows when it came or went.
func (l *lives) add(s *connections.Snapshot) {
	gap, unbroken := l.limit, false
	if b := l.before; b != nil && len(connections.Between(b, s)) == 0 {
		gap, unbroken = min(max(s.Time.Sub(b.Time), 0), l.limit), true
	}
	booted := s.Time.Add(-s.Uptime)
	alive := make(map[socket]*life, len(s.Connections))
	for i := range s.Connections {
		c := &s.Connections[i]
		k := socket{tuple{c.Protocol, bare(c.Local), bare(c.Remote)}, c.Inode}
		x := l.alive[k]
		if x == nil && c.Inode == 0 { // closed since
			x = l.closed(k.tuple)
		}
		if x == nil || !unbroken {
			if x = l.begin(k.tuple, c, later(s.Time.Add(-gap), booted)); x == nil {
				continue
			}
			x.seen = s.Time
		}
		if c.Process != nil || x.Process == nil {
			x.Connection, x.snapshot = *c, s.Number
		}
		x.last = s.Time
		alive[k] = x
	}
	for k, x := range l.alive {
		if alive[k] != x && x.last.Equal(l.before.Time) {
			x.to = x.last.Add(gap)
			if l.before.Boot != s.Boot {
				x.to = earlier(x.to, booted)
			}
		}
	}
	l.alive, l.before = alive, s
}

// closed returns the life in the snapshot before of a connection that was open
// there.
func (l *lives) closed(t tuple) *life {
	for _, x := range l.tuples[t] {
		if x.to.IsZero() && x.last.Equal(l.before.Time) {
			return x
		}
	}
	return nil
}

// begin makes a life that may have begun then; nil: there is no room. A socket is
// not older than its process.
func (l *lives) begin(t tuple, c *connections.Connection, from time.Time) *life {
	if l.count++; l.count > maxLives {
		l.further++
		return nil
	}
	if p := c.Process; p != nil {
		from = later(from, p.Started)
	}
	x := &life{from: from}
	if c.Remote.IsValid() {
		l.tuples[t] = append(l.tuples[t], x)
		l.ordered = append(l.ordered, x)
	} else {
		where := place{c.Protocol, c.Local.Port()}
		l.places[where] = append(l.places[where], x)
	}
	return x
}

// end ends those that are in the last snapshot. Now says when the machine was
// started; nil: not known.
func (l *lives) end(now *connections.Snapshot) {
	for _, x := range l.alive {
		if !x.to.IsZero() {
			continue
		}
		x.to = x.last.Add(l.limit)
		if now != nil && now.Boot != l.before.Boot {
			x.to = earlier(x.to, now.Time.Add(-now.Uptime))
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// covers reports whether the socket may have been there at some time of the flow.
func (x *life) covers(f *Flow) bool { return !f.Last.Before(x.from) && !f.First.After(x.to) }

// connection finds the connection between two ends that a flow may be of: of
// several one that a snapshot had meanwhile, then one whose process is known.
func (l *lives) connection(f *Flow, local, remote netip.AddrPort) (found *life) {
	best := 0
	for _, x := range l.tuples[tuple{f.Protocol, local, remote}] {
		if !x.covers(f) {
			continue
		}
		near := 1
		if !f.Last.Before(x.seen) && !f.First.After(x.last) {
			near += 2
		}
		if x.Process != nil {
			near++
		}
		if near > best {
			found, best = x, near
		}
	}
	return found
}

// waiting finds the socket without remote end that may have had a flow's packets
// at this end of it: one of just this address, then one of all of its kind, then
// one of IPv6, which may have IPv4 too.
func (l *lives) waiting(f *Flow, end netip.AddrPort) (found *life) {
	best := 0
	for _, x := range l.places[place{f.Protocol, end.Port()}] {
		if near := x.waitsFor(f, end); near > best {
			found, best = x, near
		}
	}
	return found
}

// sharing returns all programs that have such a socket just as found has it: with
// SO_REUSEPORT (socket(7)), or one after the other between two snapshots.
func (l *lives) sharing(f *Flow, end netip.AddrPort, found *life) (all []*connections.Process) {
	near := found.waitsFor(f, end)
	for _, x := range l.places[place{f.Protocol, end.Port()}] {
		p := x.Process
		if p == nil || x.waitsFor(f, end) != near || slices.ContainsFunc(all, func(q *connections.Process) bool { return q.Name == p.Name }) {
			continue
		}
		all = append(all, p)
	}
	return all
}

// waitsFor says how well a socket without remote end fits this end of a flow; 0:
// not at all.
func (x *life) waitsFor(f *Flow, end netip.AddrPort) (near int) {
	if !x.covers(f) {
		return 0
	}
	switch at := x.Local.Addr().WithZone(""); {
	case at == end.Addr():
		near = 12
	case at.IsUnspecified() && at.Is4() == end.Addr().Is4():
		near = 8
	case at.IsUnspecified() && at.Is6():
		near = 4
	default:
		return 0
	}
	if !f.Last.Before(x.seen) && !f.First.After(x.last) {
		near += 2
	}
	if x.Process != nil {
		near++
	}
	return near
}

// bare is an end without zone, as packets have it.
func bare(e netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(e.Addr().WithZone(""), e.Port())
}
