package traffic

import (
	"encoding/binary"
	"hash/maphash"
)

// The table of flows: what was recognised by its first packets is known by their
// addresses later. Its size is fixed, whoever sends what.
const (
	flowSets = 8192
	flowWays = 4 // flows per set
)

// How long a flow is known after its last packet that was looked up, in seconds.
const (
	keepTCP      = 24 * 3600
	keepUDP      = 600
	keepFragment = 30 // RFC 8200, section 4.5, allows 60
)

// flow is what is remembered of one.
type flow struct {
	id       uint64 // 0: there is none
	seen     uint32 // when, in seconds
	next     uint32 // of a doubtful one: the sequence number of the next record
	size     uint32 // and a record's, with its header
	keep     uint32 // for how many seconds
	protocol Protocol
	ways     uint8 // bits: 1<<Direction
	doubtful bool  // not counted as the protocol yet
}

// both says whether packets in both directions were recognised: a stranger's
// lone word can be made up, with a made-up sender.
func (f *flow) both() bool { return f.ways == 1<<In|1<<Out }

// flows is the table: sets of flows, chosen by a hash with a secret seed, so that
// nobody can aim at a set. A full set forgets the one longest silent, first
// among those who were not heard in both directions.
type flows struct {
	seed maphash.Seed
	sets [flowSets][flowWays]flow
}

func newFlows() *flows { return &flows{seed: maphash.MakeSeed()} }

// What an entry stands for, besides the IP protocol.
const (
	isFlow = iota
	isServer
	isFragment
)

// flowID names the packet's flow, the same in both directions: the other end
// comes first.
func (f *flows) flowID(h *head, d Direction) uint64 {
	src, dst, sport, dport := &h.src, &h.dst, h.sport, h.dport
	if d == Out {
		src, dst, sport, dport = dst, src, dport, sport
	}
	return f.id(src, dst, uint32(sport)<<16|uint32(dport), h.proto, isFlow)
}

// fragmentID names the datagram that the fragment is of.
func (f *flows) fragmentID(h *head) uint64 {
	return f.id(&h.src, &h.dst, h.fragmentID, h.proto, isFragment)
}

// serverID names one end of flows.
func (f *flows) serverID(addr *[16]byte, port uint16, proto uint8) uint64 {
	return f.id(addr, &[16]byte{}, uint32(port), proto, isServer)
}

func (f *flows) id(a, b *[16]byte, more uint32, proto, kind uint8) uint64 {
	var key [38]byte
	copy(key[:], a[:])
	copy(key[16:], b[:])
	binary.BigEndian.PutUint32(key[32:], more)
	key[36], key[37] = proto, kind
	return max(maphash.Bytes(f.seed, key[:]), 1)
}

// find returns the flow, or nil when it is not known.
func (f *flows) find(id uint64, now uint32) *flow {
	set := &f.sets[id%flowSets]
	for i := range set {
		if x := &set[i]; x.id == id {
			if x.stale(now) {
				return nil
			}
			return x
		}
	}
	return nil
}

// silence is for how long the flow was silent. One that was heard in the future was
// so before the clock was set back: it is known still, but not for ever.
func (f *flow) silence(now uint32) uint32 { return min(now-f.seen, f.seen-now) }

// stale says whether the flow was silent for too long.
func (f *flow) stale(now uint32) bool { return f.silence(now) > f.keep }

// hear notes a packet of the flow.
func (f *flow) hear(now uint32, d Direction) {
	f.seen = now
	f.ways |= 1 << d
}

// add makes an entry, in the place of the one that it may have, or of one that is
// missed least.
func (f *flows) add(id uint64, now, keep uint32, p Protocol, d Direction) *flow {
	set := &f.sets[id%flowSets]
	best, most := &set[0], uint32(0)
	for i := range set {
		x := &set[i]
		if x.id == id {
			best = x
			break
		}
		if n := x.dispensable(now); n > most {
			best, most = x, n
		}
	}
	*best = flow{id: id, seen: now, keep: keep, protocol: p, ways: 1 << d}
	return best
}

// dispensable says how little the entry is missed.
func (f *flow) dispensable(now uint32) uint32 {
	const oneWay = 1 << 30
	switch {
	case f.id == 0 || f.stale(now):
		return 1 << 31
	case f.both():
		return 1 + f.silence(now)
	}
	return oneWay + f.silence(now)
}

// forget removes the entry, if there is one.
func (f *flows) forget(id uint64) {
	set := &f.sets[id%flowSets]
	for i := range set {
		if set[i].id == id {
			set[i] = flow{}
		}
	}
}
