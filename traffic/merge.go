package traffic

import (
	"cmp"
	"maps"
	"math/bits"
	"net/netip"
	"slices"
	"time"
)

const (
	// mergedTalkers is how many hosts, and how many devices, a merged round has at
	// least, if there are as many.
	mergedTalkers = 50
	// mergedPorts and mergedInterfaces bound what programs and containers can make
	// of a merged round.
	mergedPorts      = 512
	mergedInterfaces = 16
	// slack is how many times more of each there may be while rounds are added.
	slack = 8
)

// OtherInterfaces is what the least busy interfaces of a merged round are counted
// as when there are very many, as where containers come and go.
const OtherInterfaces = "(others)"

// Merge adds up rounds, in any order. Counts, what was dropped, the time that was
// counted and the time that ports were held add up; of rounds that overlap, as
// after the clock was set back, that is more than Length.
//
// Of hosts and devices the busiest stay: 50 of each, or as many as the longest
// list had. Each has what it had in those rounds in which it was listed, so that
// is the least that it had. Of the ports those that were held longest stay, of the
// interfaces the busiest by name.
func Merge(rounds []Round) Round {
	var s sum
	for i := range rounds {
		s.add(&rounds[i], whole)
	}
	return s.round()
}

// share is the part of a round from from to to, of of.
type share struct{ from, to, of uint64 }

var whole = share{0, 1, 1}

// part returns the share of n as if n had passed evenly. The parts of shares that
// follow each other add up to n.
func (s share) part(n uint64) uint64 {
	if s.from == 0 && s.to >= s.of {
		return n
	}
	return s.until(n, s.to) - s.until(n, s.from)
}

func (s share) until(n, to uint64) uint64 {
	high, low := bits.Mul64(n, min(to, s.of))
	part, _ := bits.Div64(high, low, s.of)
	return part
}

func (s share) time(d time.Duration) time.Duration {
	return time.Duration(s.part(uint64(max(d, 0))))
}

func (s share) count(c Count) Count { return Count{s.part(c.Packets), s.part(c.Bytes)} }

// sum is rounds that are added up.
type sum struct {
	start, end time.Time
	counted    time.Duration
	dropped    uint64
	counts     map[Key]Count
	hosts      talkerSum
	devices    talkerSum
	ports      map[Port]time.Duration // the keys' Held is 0
}

func (s *sum) add(r *Round, part share) {
	if end := r.Start.Add(r.Length); s.counts == nil {
		s.start, s.end = r.Start, end
		s.counts, s.ports = map[Key]Count{}, map[Port]time.Duration{}
	} else {
		if r.Start.Before(s.start) {
			s.start = r.Start
		}
		if end.After(s.end) {
			s.end = end
		}
	}
	s.counted += part.time(r.Counted)
	s.dropped += part.part(r.Dropped)
	for k, c := range r.Counts {
		if c = part.count(c); c != (Count{}) {
			c.Add(s.counts[k])
			s.counts[k] = c
		}
	}
	s.hosts.add(r.Hosts, part)
	s.devices.add(r.Devices, part)
	for _, p := range r.Ports {
		held := part.time(p.Held)
		if p.Held = 0; held > 0 {
			s.ports[p] += held
		}
	}
	if len(s.counts) > slack*mergedInterfaces*int(protocols)*int(directions) {
		s.foldInterfaces()
	}
	if len(s.ports) > slack*mergedPorts {
		kept := s.portList()
		clear(s.ports)
		for _, p := range kept {
			held := p.Held
			p.Held = 0
			s.ports[p] = held
		}
	}
}

// round returns the sum; zero when nothing was added.
func (s *sum) round() Round {
	if s.counts == nil {
		return Round{}
	}
	s.foldInterfaces()
	return Round{
		Start: s.start, Length: s.end.Sub(s.start), Counted: s.counted, Dropped: s.dropped, Counts: s.counts,
		Hosts: s.hosts.busiest(), Devices: s.devices.busiest(), Ports: s.portList(),
	}
}

// portList returns the ports that were held longest, by protocol, port and
// program.
func (s *sum) portList() []Port {
	var all []Port
	for p, held := range s.ports {
		p.Held = held
		all = append(all, p)
	}
	return longestHeld(all, mergedPorts)
}

// longestHeld returns at most so many of the ports, those that were held longest,
// by protocol, port and program.
func longestHeld(ports []Port, most int) []Port {
	if len(ports) > most {
		slices.SortFunc(ports, func(x, y Port) int { return cmp.Or(cmp.Compare(y.Held, x.Held), byName(x, y)) })
		ports = ports[:most]
	}
	slices.SortFunc(ports, byName)
	return ports
}

// foldInterfaces counts the least busy interfaces as one when there are too many.
func (s *sum) foldInterfaces() {
	amount := map[string]uint64{}
	for k, c := range s.counts {
		if k.Interface != OtherInterfaces {
			amount[k.Interface] += c.Bytes
		}
	}
	if len(amount) <= mergedInterfaces {
		return
	}
	names := slices.SortedFunc(maps.Keys(amount), func(x, y string) int {
		return cmp.Or(cmp.Compare(amount[y], amount[x]), cmp.Compare(x, y))
	})
	for _, name := range names[:mergedInterfaces] {
		delete(amount, name)
	}
	for k, c := range s.counts {
		if _, fold := amount[k.Interface]; fold {
			delete(s.counts, k)
			k.Interface = OtherInterfaces
			c.Add(s.counts[k])
			s.counts[k] = c
		}
	}
}

// talkerSum is the hosts or the devices of a sum.
type talkerSum struct {
	all     map[talkerKey]*Talker
	longest int // list that was added
}

type talkerKey struct {
	addr   netip.Addr
	device string
}

func (t *talkerSum) add(list []Talker, part share) {
	if t.all == nil {
		t.all = map[talkerKey]*Talker{}
	}
	t.longest = max(t.longest, len(list))
	for _, x := range list {
		x.In, x.Out = part.count(x.In), part.count(x.Out)
		if x.In == (Count{}) && x.Out == (Count{}) {
			continue
		}
		k := talkerKey{x.Addr, x.Device}
		if known := t.all[k]; known != nil {
			known.In.Add(x.In)
			known.Out.Add(x.Out)
		} else {
			t.all[k] = &x
		}
	}
	if len(t.all) > slack*t.kept() {
		kept := t.busiest()
		clear(t.all)
		for i := range kept {
			t.all[talkerKey{kept[i].Addr, kept[i].Device}] = &kept[i]
		}
	}
}

func (t *talkerSum) kept() int { return max(mergedTalkers, t.longest) }

// busiest returns those that are kept, most bytes first.
func (t *talkerSum) busiest() []Talker {
	var all []Talker
	for _, x := range t.all {
		all = append(all, *x)
	}
	return busiest(all, t.kept())
}
