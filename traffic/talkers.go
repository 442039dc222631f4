package traffic

import (
	"cmp"
	"hash/maphash"
	"net/netip"
	"slices"
)

// The table of who is at the other end. Its size is fixed, however many addresses
// a flood makes up.
const (
	talkerSets = 512
	talkerWays = 8 // talkers per set
)

// talker is an address and what was counted of it.
type talker struct {
	addr      netip.Addr // zero: none
	counts    [directions]Count
	inherited uint64 // bytes of those who had its place before
}

// weight is what keeps the place: the most that the talker can have sent and got.
func (t *talker) weight() uint64 { return t.inherited + t.counts[In].Bytes + t.counts[Out].Bytes }

// talkers finds the busiest addresses by the Space-Saving algorithm (Metwally,
// Agrawal, El Abbadi: Efficient Computation of Frequent and Top-k Elements in
// Data Streams, 2005), within each of the sets that a hash with a secret seed
// spreads them over: the newcomer takes the place of the lightest in a full set,
// and inherits its weight. So who has more than an eighth of its set's bytes
// is never lost. Counted is only what was seen since a place was taken: never too
// much, and exactly all while no set is full.
type talkers struct {
	seed maphash.Seed
	sets [talkerSets][talkerWays]talker
}

func newTalkers() *talkers { return &talkers{seed: maphash.MakeSeed()} }

// add counts a packet.
func (t *talkers) add(a netip.Addr, d Direction, bytes uint64) {
	key := a.As16()
	set := &t.sets[maphash.Bytes(t.seed, key[:])%talkerSets]
	lightest := &set[0]
	for i := range set {
		x := &set[i]
		if x.addr == a {
			x.counts[d].Add(Count{1, bytes})
			return
		}
		if x.weight() < lightest.weight() {
			lightest = x
		}
	}
	*lightest = talker{addr: a, inherited: lightest.weight()}
	lightest.counts[d].Add(Count{1, bytes})
}

// cut returns the busiest n hosts and devices, and begins anew. The devices are
// those with a name in names; an empty name is nobody's.
func (t *talkers) cut(names map[netip.Addr]string, n int) (hosts, devices []Talker) {
	byName := map[string]*Talker{}
	for s := range t.sets {
		for _, x := range t.sets[s] {
			name, ok := names[x.addr]
			switch {
			case !x.addr.IsValid() || ok && name == "":
			case !ok:
				hosts = append(hosts, Talker{Addr: x.addr, In: x.counts[In], Out: x.counts[Out]})
			default:
				d := byName[name]
				if d == nil {
					d = &Talker{Device: name}
					byName[name] = d
				}
				d.In.Add(x.counts[In])
				d.Out.Add(x.counts[Out])
			}
		}
	}
	for _, d := range byName {
		devices = append(devices, *d)
	}
	t.sets = [talkerSets][talkerWays]talker{}
	return busiest(hosts, n), busiest(devices, n)
}

// busiest returns the n with most bytes, most first.
func busiest(all []Talker, n int) []Talker {
	slices.SortFunc(all, func(a, b Talker) int {
		return cmp.Or(
			cmp.Compare(b.In.Bytes+b.Out.Bytes, a.In.Bytes+a.Out.Bytes),
			a.Addr.Compare(b.Addr),
			cmp.Compare(a.Device, b.Device),
		)
	})
	return slices.Clip(all[:min(max(n, 0), len(all))])
}
