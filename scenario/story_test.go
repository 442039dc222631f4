package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"porchlight/discovery"
	"porchlight/presence"
)

// story is a day of a household. Times in it are in units of the away timeout,
// which is minutes in the simulation and seconds in the virtual LAN.
type story struct {
	name   string
	people []person
	steps  []step
	// cellar: there is a second segment, on which the observer has lan1.
	cellar bool
}

// person is a device of the household; "gateway" is always there as well.
type person struct {
	name string
	mac  presence.MAC
	// static is the number of its fixed address; 0: it gets one by DHCP.
	static int
	// here: it has joined before Porchlight first starts.
	here bool
	// ipv6: it has no IPv4, and a link-local address.
	ipv6 bool
}

// world is where a story is played. What Porchlight says is read from where
// its users read it.
type world interface {
	// timeout is the away timeout.
	timeout() time.Duration
	// start starts Porchlight; stop ends it in order, kill does not.
	start()
	stop()
	kill()
	breakBroker()
	mendBroker()
	unplug(ifname string)
	plug(ifname string)

	join(person)     // by DHCP, or with its own address and an announcement
	leave(person)    // without a word
	roam(person)     // to the other segment, where it joins
	sleep(person)    // deaf and dumb, still connected
	wake(person)     // answers again, says nothing
	announce(person) // an ARP announcement
	renew(person)    // its lease, by unicast
	release(p person, stays bool)
	claim(p person, second bool) // asks for another address by DHCP, then uses it; second: just uses it
	offered(by, to person)       // an OFFER and an ACK of the server by, which nobody asked for
	proxy(person)                // answers for every IPv4 address from now on, with its own MAC
	ask(person)                  // by ARP for every address, quickly
	rotate(person, presence.MAC) // goes without a word, and has another MAC when it joins
	set(person, string)          // a command to its set topic
	usurp(p, of person)          // announces the address of another
	scan()                       // by command: asks every address

	// next returns the next event, each once; false when none came in time.
	next(within time.Duration) (presence.Event, bool)
	// await is next for an event that is to come: where others take the
	// processor's time it waits for longer.
	await(within time.Duration) (presence.Event, bool)
	// slack is how much less time than it seems may be left until a device is
	// away: it was last heard a while before, and what happens takes its time.
	slack() time.Duration
	// state and attributes are the retained ones, zero when there are none.
	state(person) presence.State
	attributes(person) discovery.Attributes
	// status is the retained availability, summary the retained summary.
	status() string
	summary() summary
	addr(person) netip.Addr
	// settle returns when what was published by now can be read, or when until
	// is true.
	settle(until func() bool)
}

// summary is what stories look at in the summary topic.
type summary struct {
	Home, Known int
	Sensing     map[string]struct{ OK bool }
	Problems    []string
}

// teller plays one story in one world.
type teller struct {
	*testing.T
	world
	story
	step string // under way
}

type step struct {
	words string
	do    func(*teller)
}

func (s *teller) tell() {
	for i, st := range s.steps {
		s.step = fmt.Sprintf("step %d, %s", i+1, st.words)
		st.do(s)
	}
}

func (s *teller) fatalf(format string, args ...any) {
	s.Helper()
	s.Fatalf("%s: %s", s.step, fmt.Sprintf(format, args...))
}

func (s *teller) person(name string) person {
	for _, p := range s.people {
		if p.name == name {
			return p
		}
	}
	s.fatalf("nobody is called %q", name)
	return person{}
}

// times returns n timeouts.
func (s *teller) times(n float64) time.Duration { return time.Duration(n * float64(s.timeout())) }

// verb is a step of one person.
func verb(words string, do func(world, person)) func(name string) step {
	return func(name string) step {
		return step{name + " " + words, func(s *teller) { do(s.world, s.person(name)) }}
	}
}

var (
	joins     = verb("joins", world.join)
	leaves    = verb("leaves", world.leave)
	roams     = verb("goes to the other segment", world.roam)
	sleeps    = verb("falls asleep", world.sleep)
	wakes     = verb("wakes", world.wake)
	announces = verb("announces itself", world.announce)
	renews    = verb("renews its lease", world.renew)
	isOffered = verb("is offered an address", func(w world, p person) { w.offered(gateway, p) })
	asksAll   = verb("asks for every address", world.ask)
	saysBye   = verb("says RELEASE and stays", func(w world, p person) { w.release(p, true) })
	goesOff   = verb("says RELEASE and goes", func(w world, p person) { w.release(p, false) })
	proxies   = verb("answers for every address", world.proxy)
	moves     = verb("gets another address", func(w world, p person) { w.claim(p, false) })
	alsoUses  = verb("uses a second address", func(w world, p person) { w.claim(p, true) })
)

// serves has a device offer an address to another, as DHCP servers do.
func serves(name, to string) step {
	return step{name + " offers an address", func(s *teller) { s.offered(s.person(name), s.person(to)) }}
}

// quarrel has two use the address of the first in turn.
func quarrel(first, second string) step {
	return step{second + " uses the address of " + first, func(s *teller) {
		for range 2 {
			s.announce(s.person(first))
			s.usurp(s.person(second), s.person(first))
		}
	}}
}

func act(words string, do func(world)) step {
	return step{words, func(s *teller) { do(s.world) }}
}

var (
	start        = act("Porchlight starts", world.start)
	stop         = act("Porchlight is stopped", world.stop)
	kill         = act("Porchlight is killed", world.kill)
	unplugged    = act("the observer is unplugged", func(w world) { w.unplug("lan0") })
	plugged      = act("the observer is plugged in", func(w world) { w.plug("lan0") })
	cellarLost   = act("the cable to the cellar is pulled", func(w world) { w.unplug("lan1") })
	cellarBack   = act("the cable to the cellar is back", func(w world) { w.plug("lan1") })
	brokerBreaks = act("the broker is killed", world.breakBroker)
	scans        = act("Porchlight looks around", world.scan)
	brokerMended = act("the broker is back", world.mendBroker)
)

// told is an event that is expected; why is part of its words.
type told struct {
	event presence.EventType
	who   string // empty: nobody
	why   string
}

// soon expects these events and no others meanwhile, in this order, each within
// one timeout and a half.
func soon(want ...told) step { return within(1.5, want) }

// later is soon, for when Porchlight may take its time to find the broker again.
func later(want ...told) step { return within(4, want) }

// together is soon, in any order.
func together(want ...told) step {
	return step{fmt.Sprintf("together %v", want), func(s *teller) {
		rest := slices.Clone(want)
		for len(rest) > 0 {
			e, ok := s.await(s.times(1.5))
			if !ok {
				s.fatalf("no event, want %v", rest)
			}
			i := slices.IndexFunc(rest, func(w told) bool {
				return e.Type == w.event && s.nameOf(e.ID) == w.who && strings.Contains(e.Why, w.why)
			})
			if i < 0 {
				s.fatalf("told of %s of %q (%s), want %v", e.Type, s.nameOf(e.ID), e.Why, rest)
			}
			rest = slices.Delete(rest, i, i+1)
		}
	}}
}

func within(timeouts float64, want []told) step {
	return step{fmt.Sprintf("within %.1f timeouts %v", timeouts, want), func(s *teller) {
		for _, w := range want {
			e, ok := s.await(s.times(timeouts))
			if !ok {
				s.fatalf("no event, want %v", w)
			}
			who := ""
			if e.ID != "" {
				who = s.nameOf(e.ID)
			}
			if e.Type != w.event || who != w.who || !strings.Contains(e.Why, w.why) {
				s.fatalf("told of %s of %q (%s), want %v", e.Type, who, e.Why, w)
			}
		}
	}}
}

func (s *teller) nameOf(id presence.ID) string {
	for _, p := range s.people {
		if p.mac.ID() == id {
			return p.name
		}
	}
	return string(id)
}

// quiet expects no event for n timeouts. Less than one is time in which somebody
// silent is still home, so there the slack is left.
func quiet(n float64) step {
	return step{fmt.Sprintf("nothing for %.1f timeouts", n), func(s *teller) {
		d := s.times(n)
		if n < 1 {
			d = max(d-s.slack(), 0)
		}
		if e, ok := s.next(d); ok {
			s.fatalf("told of %s of %q: %s", e.Type, s.nameOf(e.ID), e.Why)
		}
	}}
}

// first expects the one event of the first run, with everyone who is here.
var first = step{"the first run's list", func(s *teller) {
	e, ok := s.await(s.times(3))
	if !ok || e.Type != presence.Baseline {
		s.fatalf("told of %+v, want the baseline", e)
	}
	var got, want []presence.ID
	for _, f := range e.Devices {
		got = append(got, f.ID)
	}
	for _, p := range s.people {
		if p.here {
			want = append(want, p.mac.ID())
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		s.fatalf("the list (-want +got):\n%s", diff)
	}
}}

// are expects the states of several devices.
func are(want presence.State, names ...string) step {
	return step{fmt.Sprintf("%v %s", names, want), func(s *teller) {
		s.settle(func() bool {
			return !slices.ContainsFunc(names, func(n string) bool { return s.state(s.person(n)) != want })
		})
		for _, n := range names {
			p := s.person(n)
			zones := map[presence.State][]string{presence.Home: {"zone.home"}, presence.NotHome: {}}[want]
			if got := s.state(p); got != want {
				s.fatalf("%s is %q", n, got)
			}
			s.settle(func() bool { return cmp.Equal(s.attributes(p).InZones, zones) })
			if diff := cmp.Diff(zones, s.attributes(p).InZones); diff != "" {
				s.fatalf("zones of %s (-want +got):\n%s", n, diff)
			}
		}
	}}
}

// unknown expects that nothing is published about a device.
func unknown(name string) step {
	return step{name + " is unknown", func(s *teller) {
		s.settle(nil)
		if got := s.state(s.person(name)); got != "" {
			s.fatalf("it is %q", got)
		}
	}}
}

// shown expects the attributes of a device that is home.
func shown(name, host string) step {
	return step{name + "'s attributes", func(s *teller) {
		p := s.person(name)
		want := discovery.Attributes{
			InZones: []string{"zone.home"}, MAC: p.mac.String(), IP: s.addr(p).String(), HostName: host,
			IPv6: []netip.Addr{}, Groups: []string{}, PrivateMAC: p.mac.Private(),
			AwayAfterS: int(s.timeout().Seconds()),
		}
		if p.ipv6 {
			want.IP, want.IPv6 = "", []netip.Addr{s.addr(p)}
		}
		if want.PrivateMAC {
			want.Groups = []string{presence.GuestGroup} // nobody has named it
		}
		diff := func() string {
			return cmp.Diff(want, s.attributes(p), cmpopts.EquateComparable(netip.Addr{}),
				cmpopts.IgnoreFields(want, "Since", "Why", "Vendor"))
		}
		s.settle(func() bool { return diff() == "" })
		if d := diff(); d != "" {
			s.fatalf("(-want +got):\n%s", d)
		}
		if a := s.attributes(p); a.Why == "" || a.Since.IsZero() {
			s.fatalf("no reason, or no time: %+v", a)
		}
	}}
}

// counted expects the numbers of the summary, and that all is well.
func counted(home, known int) step {
	return step{fmt.Sprintf("%d of %d are home", home, known), func(s *teller) {
		right := func() bool {
			got := s.summary()
			return got.Home == home && got.Known == known && got.Sensing["lan0"].OK && len(got.Problems) == 0
		}
		s.settle(right)
		if !right() {
			s.fatalf("the summary is %+v", s.summary())
		}
	}}
}

// available expects the retained availability.
func available(want string) step {
	return step{"Porchlight is " + want, func(s *teller) {
		s.settle(func() bool { return s.status() == want })
		if got := s.status(); got != want {
			s.fatalf("it is %q", got)
		}
	}}
}

// unchanged plays steps after which everything published of everyone must be as before.
func unchanged(steps ...step) step {
	return step{"nothing changes", func(s *teller) {
		look := func() map[string]any {
			all := map[string]any{}
			for _, p := range s.people {
				a := s.attributes(p)
				if !p.ipv6 {
					a.IPv6 = nil // which its kernel tells when it likes
				}
				all[p.name+" is"], all[p.name+" has"] = s.state(p), a
			}
			return all
		}
		s.settle(nil)
		before, outer := look(), s.step
		for _, st := range steps {
			s.step = outer + ": " + st.words
			st.do(s)
		}
		s.settle(nil)
		if diff := cmp.Diff(before, look(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			s.fatalf("(-before +after):\n%s", diff)
		}
	}}
}
