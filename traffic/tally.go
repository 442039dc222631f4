package traffic

import (
	"net/netip"
	"strconv"
)

// Names tells what the interface with an index is called; empty: it is not
// known.
type Names func(index int) string

// Tally counts the packets of a round. Its memory is fixed but for the number of
// interfaces: 1.3 MB, most of it for the flows that it remembers from round to
// round. It is not safe for concurrent use.
type Tally struct {
	names      Names
	classifier classifier
	talkers    *talkers
	links      map[int]*link
	last       *link // as most packets come by the same one
	scratch    head
}

// link is what was counted of an interface.
type link struct {
	index  int
	name   string
	counts [protocols][directions]Count
}

// NewTally returns a tally that asks names for an interface's name when it counts
// the interface's first packet of a round: at the end it may be gone.
func NewTally(names Names) *Tally {
	return &Tally{
		names:      names,
		classifier: classifier{newFlows()},
		talkers:    newTalkers(),
		links:      map[int]*link{},
	}
}

// Add counts a packet, and keeps nothing of it.
func (t *Tally) Add(p *Packet) {
	protocol, other := t.classifier.classify(p, &t.scratch)
	bytes := uint64(max(p.Length, 0)) //nolint:gosec // not negative
	t.link(p.Interface).counts[protocol][p.Direction].Add(Count{1, bytes})
	if isHost(other) {
		t.talkers.add(other, p.Direction, bytes)
	}
}

// link returns where the interface's packets are counted.
func (t *Tally) link(index int) *link {
	if t.last != nil && t.last.index == index {
		return t.last
	}
	l := t.links[index]
	if l == nil {
		l = &link{index: index, name: t.names(index)}
		if l.name == "" {
			l.name = "if" + strconv.Itoa(index)
		}
		t.links[index] = l
	}
	t.last = l
	return l
}

// isHost says whether the address is one host's, as far as it says itself.
func isHost(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && a != broadcast
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// Cut returns what was counted since the last time: Counts, Hosts and Devices of
// a round, the busiest top of each; the rest of the round is the caller's. The
// devices are those that names has; an address with an empty name in it is
// nobody's, as the broadcast address of a LAN. What an address has sent and got
// may be told too low, but never too high, when there were thousands of them.
func (t *Tally) Cut(names map[netip.Addr]string, top int) Round {
	r := Round{Counts: map[Key]Count{}}
	for _, l := range t.links {
		for p := range l.counts {
			for d, c := range l.counts[p] {
				if c.Packets == 0 {
					continue
				}
				k := Key{l.name, Protocol(p), Direction(d)} //nolint:gosec // few
				c.Add(r.Counts[k])
				r.Counts[k] = c
			}
		}
	}
	clear(t.links)
	t.last = nil
	r.Hosts, r.Devices = t.talkers.cut(names, top)
	return r
}
