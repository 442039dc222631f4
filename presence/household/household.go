// Package household plays a home against a presence.Engine, or against any
// other way to decide, with the truth known: who is there, who sleeps, who has
// left. Months pass in seconds. It is support for tests and benchmarks.
package household

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"porchlight/presence"
)

// Decider is what is put to the test; *presence.Engine is one.
type Decider interface {
	Sight(presence.Sighting) presence.Output
	Sense(presence.Sensing) presence.Output
	Tick(time.Time) presence.Output
	Asked(time.Time, presence.Probe)
	Next() time.Time
}

// Span is a stretch of time from the start of the play.
type Span struct{ From, To time.Duration }

func (s Span) has(t time.Duration) bool { return t >= s.From && t < s.To }

// Play is one run.
type Play struct {
	Seed        uint64
	Days        int
	Devices     []Habit
	Outages     []Span  // the access point is off: nobody is heard
	Blind       []Span  // the observer does not hear, and knows it
	UnseenJoins float64 // chance that nobody hears a device join
	Loss        float64 // chance that a probe or its answer is lost
	IPv6        bool    // the devices have IPv6 only
	Stubborn    bool    // no nudge wakes anybody
}

// Start is when every play begins: a Monday, midnight.
var Start = time.Date(2026, time.January, 5, 0, 0, 0, 0, time.UTC)

// MAC is the address of the device with this place in Play.Devices.
func MAC(i int) presence.MAC { return presence.MAC{0x00, 0x16, 0x3e, 0, byte(i >> 8), byte(i)} }

// Line is one entry of the protocol of a play.
type Line struct {
	At     time.Time
	Device int
	Event  presence.EventType
	There  bool // the truth at that time
	Why    string
}

// Trip is one real departure.
type Trip struct {
	Device int
	Left   time.Time
	Known  time.Time // zero: came back before it was known, or was believed away already
}

// Result is what came of a play.
type Result struct {
	Play
	Lines  []Line
	Trips  []Trip
	Probes []int           // per device
	Nudges []int           // per device; each goes along with a probe
	Unsure []time.Duration // per device: time believed away while it was there
}

// actor is a device on the stage.
type actor struct {
	Habit
	index   int
	mac     presence.MAC
	addr    netip.Addr
	temp    netip.Addr // the IPv6 address that it speaks to others from, made anew each day
	r       *rand.Rand
	there   bool
	awake   bool
	nudged  time.Time // until when a nudge keeps it awake
	on      bool      // on the link: a dropper is there, but not on the link, while it sleeps
	home    bool      // as decided
	era     int       // awake and asleep alternate; what was planned for an earlier era is void
	trip    int       // the open trip; -1: none
	falseAt time.Time
}

type cue struct {
	at  time.Time
	seq int
	do  func(time.Time)
}

type cues []cue

func (c cues) Len() int { return len(c) }
func (c cues) Less(i, j int) bool {
	if !c[i].at.Equal(c[j].at) {
		return c[i].at.Before(c[j].at)
	}
	return c[i].seq < c[j].seq
}
func (c cues) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *cues) Push(x any)   { *c = append(*c, x.(cue)) }
func (c *cues) Pop() any {
	x := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return x
}

type stage struct {
	play   Play
	who    Decider
	actors []*actor
	byMAC  map[presence.MAC]*actor
	byID   map[presence.ID]*actor
	cues   cues
	seq    int
	air    *rand.Rand
	res    *Result
}

// Run plays p against who.
func Run(p Play, who Decider) *Result {
	s := &stage{
		play: p, who: who,
		byMAC: map[presence.MAC]*actor{}, byID: map[presence.ID]*actor{},
		air: rand.New(rand.NewPCG(p.Seed, 99)),
		res: &Result{Play: p, Probes: make([]int, len(p.Devices)), Nudges: make([]int, len(p.Devices)), Unsure: make([]time.Duration, len(p.Devices))},
	}
	for i, h := range p.Devices {
		s.enter(i, h)
	}
	for _, b := range p.Blind {
		s.cue(Start.Add(b.From), func(t time.Time) { s.sense(t, true) })
		s.cue(Start.Add(b.To), func(t time.Time) { s.sense(t, false) })
	}
	for _, o := range p.Outages {
		s.cue(Start.Add(o.To), s.outageOver)
	}
	s.take(Start, who.Tick(Start))
	end := Start.Add(time.Duration(p.Days) * 24 * time.Hour)
	for {
		next := end
		if len(s.cues) > 0 && s.cues[0].at.Before(next) {
			next = s.cues[0].at
		}
		if t := who.Next(); t.Before(next) {
			next = t
			s.take(next, who.Tick(next))
			continue
		}
		if !next.Before(end) {
			break
		}
		c := heap.Pop(&s.cues).(cue)
		c.do(c.at)
	}
	for _, a := range s.actors {
		s.settle(a, end)
	}
	return s.res
}

func (s *stage) cue(t time.Time, do func(time.Time)) {
	s.seq++
	heap.Push(&s.cues, cue{t, s.seq, do})
}

// enter puts a device on the stage: at home, awake, with its outings planned.
func (s *stage) enter(i int, h Habit) {
	a := &actor{
		Habit: h, index: i,
		mac:  MAC(i),
		addr: netip.AddrFrom4([4]byte{10, 77, byte(i >> 8), byte(i + 2)}),
		r:    rand.New(rand.NewPCG(s.play.Seed, uint64(i)+1)),
		trip: -1,
	}
	if s.play.IPv6 {
		a.addr = linkLocal(i)
	}
	s.actors = append(s.actors, a)
	s.byMAC[a.mac], s.byID[a.mac.ID()] = a, a
	if h.Outings != nil {
		free := Start
		for day := range s.play.Days {
			outs := h.Outings(a.r, Start.Add(time.Duration(day)*24*time.Hour))
			slices.SortFunc(outs, func(x, y Outing) int { return x.From.Compare(y.From) })
			for _, o := range outs {
				if o.From.Before(free) {
					continue
				}
				free = o.To.Add(10 * time.Minute)
				s.cue(o.From, func(t time.Time) { s.depart(a, t) })
				s.cue(o.To, func(t time.Time) { s.come(a, t) })
			}
		}
	}
	s.cue(Start.Add(time.Duration(i)*time.Second), func(t time.Time) { s.come(a, t) })
	if s.play.IPv6 {
		s.renewDaily(a)
	}
	if h.Announce > 0 {
		var announce func(time.Time)
		announce = func(t time.Time) {
			if a.on {
				s.say(a, t, s.kind(presence.ARPAnnouncement))
			}
			s.cue(t.Add(h.Announce), announce)
		}
		s.cue(Start.Add(exponential(a.r, h.Announce)), announce)
	}
}

func (s *stage) depart(a *actor, t time.Time) {
	s.settle(a, t)
	a.there, a.on, a.awake = false, false, false
	a.era++
	if a.home {
		a.trip = len(s.res.Trips)
		s.res.Trips = append(s.res.Trips, Trip{Device: a.index, Left: t})
	}
}

// settle ends a stretch of being believed away wrongly.
func (s *stage) settle(a *actor, t time.Time) {
	if !a.falseAt.IsZero() {
		s.res.Unsure[a.index] += t.Sub(a.falseAt)
		a.falseAt = time.Time{}
	}
}

func (s *stage) come(a *actor, t time.Time) {
	a.there, a.trip = true, -1
	if !a.home {
		a.falseAt = t
	}
	s.join(a, t)
	s.wake(a, t)
}

// join is what a device says when it comes onto the link.
func (s *stage) join(a *actor, t time.Time) {
	a.on = true
	if a.r.Float64() < s.play.UnseenJoins {
		return
	}
	short := a.r.Float64() >= 0.6 // sends a REQUEST only
	if s.play.IPv6 {
		s.joinIPv6(a, t)
		return
	}
	later := func(ms int, k presence.Kind) {
		s.cue(t.Add(time.Duration(ms)*time.Millisecond), func(t time.Time) {
			if a.on {
				s.say(a, t, k)
			}
		})
	}
	if !short {
		later(0, presence.DHCPDiscover)
	}
	later(20, presence.DHCPRequest)
	later(60, presence.ARPProbe)
	later(90, presence.ARPAnnouncement)
}

func (s *stage) wake(a *actor, t time.Time) {
	a.awake = true
	a.era++
	era := a.era
	if a.Class == Dropper && !a.on {
		s.join(a, t)
	}
	var chat func(time.Time)
	chat = func(t time.Time) {
		if a.era == era {
			s.chat(a, t)
			s.cue(t.Add(exponential(a.r, a.Chatter)), chat)
		}
	}
	if a.Chatter > 0 {
		s.cue(t.Add(200*time.Millisecond), chat)
	}
	if a.LongestSleep() > 0 {
		s.cue(t.Add(5*time.Second+exponential(a.r, a.Awake)), func(t time.Time) {
			if a.era == era {
				s.sleep(a, t)
			}
		})
	}
}

func (s *stage) sleep(a *actor, t time.Time) {
	a.awake = false
	a.era++
	era := a.era
	a.on = a.Class != Dropper
	s.cue(t.Add(a.Habit.sleep(a.r, t)), func(t time.Time) {
		if a.era == era {
			s.wake(a, t)
		}
	})
}

// hearable reports whether frames pass between a device and the observer at t.
func (s *stage) hearable(t time.Time) bool {
	d := t.Sub(Start)
	off := func(x Span) bool { return x.has(d) }
	return !slices.ContainsFunc(s.play.Outages, off) && !slices.ContainsFunc(s.play.Blind, off)
}

func (s *stage) say(a *actor, t time.Time, k presence.Kind) { s.speak(a, t, k, a.addr) }

// speak has a frame of a heard, with one of its addresses.
func (s *stage) speak(a *actor, t time.Time, k presence.Kind, addr netip.Addr) {
	if s.hearable(t) {
		s.take(t, s.who.Sight(presence.Sighting{At: t, Interface: "lan0", MAC: a.mac, Addr: addr, Kind: k}))
	}
}

func (s *stage) sense(t time.Time, blind bool) {
	why := "the link is back"
	if blind {
		why = "no carrier on lan0"
	}
	s.take(t, s.who.Sense(presence.Sensing{At: t, Interface: "lan0", Blind: blind, Why: why}))
}

// outageOver brings the wireless devices back: those that are awake join within a minute.
func (s *stage) outageOver(t time.Time) {
	for _, a := range s.actors {
		if a.on && a.awake && a.index%3 != 0 {
			s.cue(t.Add(time.Duration(a.r.Float64()*float64(time.Minute))), func(t time.Time) {
				if a.on {
					s.join(a, t)
				}
			})
		}
	}
}

// take carries out what was decided.
func (s *stage) take(t time.Time, out presence.Output) {
	for _, e := range out.Events {
		a := s.byID[e.ID]
		if a == nil {
			continue
		}
		s.res.Lines = append(s.res.Lines, Line{t, a.index, e.Type, a.there, e.Why})
		switch e.Type {
		case presence.Arrived:
			a.home = true
			s.settle(a, t)
		case presence.Left:
			a.home = false
			if a.there {
				a.falseAt = t
			} else if a.trip >= 0 {
				s.res.Trips[a.trip].Known = t
				a.trip = -1
			}
		}
	}
	for _, p := range slices.Clone(out.Probes) {
		s.probe(t, p)
	}
}

func (s *stage) probe(t time.Time, p presence.Probe) {
	s.who.Asked(t, p)
	a := s.byMAC[p.MAC]
	s.res.Probes[a.index]++
	s.nudge(a, t, p)
	if !a.on || !s.hearable(t) || s.lost() || s.lost() {
		return
	}
	if !a.awake && a.LongestSleep() > 0 && !a.nudged.After(t) && a.r.Float64() >= a.Light {
		return
	}
	delay := time.Millisecond + exponential(s.air, 10*time.Millisecond)
	s.cue(t.Add(delay), func(t time.Time) {
		if a.on {
			s.say(a, t, s.kind(presence.ARPReply))
		}
	})
}

func (s *stage) lost() bool { return s.air.Float64() < s.play.Loss }

// Home is the play that the figures in the README come from: sixteen devices,
// four weeks, one join in twenty and one frame in twenty lost.
func Home(seed uint64) Play {
	return Play{Seed: seed, Days: 28, Devices: Household(), UnseenJoins: 0.05, Loss: 0.05}
}
