package scenario

import (
	"fmt"
	"testing"

	"porchlight/presence"
)

// nth is the private MAC of the phone on the n-th day.
func nth(n int) presence.MAC {
	if n == 1 {
		return phone.mac
	}
	return presence.MAC{0x02, 0, 0x5e, 0, 1, byte(n)}
}

func rotates(name string, n int) step {
	return step{fmt.Sprintf("%s makes up MAC %d", name, n), func(s *teller) { s.rotate(s.person(name), nth(n)) }}
}

func set(name, payload string) step {
	return step{fmt.Sprintf("%s is set %s", name, payload), func(s *teller) { s.set(s.person(name), payload) }}
}

// goesBy expects the MAC that a device goes by, and how many it has.
func goesBy(name string, m presence.MAC, of int) step {
	return step{fmt.Sprintf("%s goes by %s, one of %d", name, m, of), func(s *teller) {
		right := func() bool {
			a := s.attributes(s.person(name))
			return a.MAC == m.String() && (len(a.MACs) == of || of == 1 && a.MACs == nil)
		}
		s.settle(right)
		if !right() {
			s.fatalf("attributes %+v", s.attributes(s.person(name)))
		}
	}}
}

// isGone expects that nothing is retained about who had the phone's n-th MAC.
func isGone(n int) step {
	return step{fmt.Sprintf("nothing is left of MAC %d", n), func(s *teller) {
		p := person{mac: nth(n)}
		gone := func() bool { return s.state(p) == "" && s.attributes(p).MAC == "" }
		s.settle(gone)
		if !gone() {
			s.fatalf("it is %q, with %+v", s.state(p), s.attributes(p))
		}
	}}
}

// daily is a phone that has another private MAC each day, and is out for a while
// in between: out and in are in timeouts.
func daily(days int, follows bool, in, out float64) story {
	st := story{people: []person{phone}, steps: []step{
		joins("phone"), soon(newOne("phone"), arrived("phone")), quiet(in), leaves("phone"), soon(left("phone")),
	}}
	if follows {
		st.steps = append(st.steps, set("phone", `{"follow": true}`))
	}
	for n := 2; n <= days; n++ {
		st.steps = append(st.steps, quiet(out), rotates("phone", n), joins("phone"))
		if follows {
			st.steps = append(st.steps,
				soon(told{presence.Merged, "phone", "says by DHCP what phone is known by"}, arrived("phone")),
				goesBy("phone", nth(n), n), isGone(n), counted(2, 2), quiet(in), are(home, "phone"),
				leaves("phone"), soon(left("phone")))
			continue
		}
		id := string(nth(n).ID())
		st.steps = append(st.steps,
			soon(newOne(id), arrived(id), told{presence.MergeSuggested, id, "it calls itself phone and asks by DHCP for the same as phone"}),
			quiet(in), leaves("phone"), soon(left(id)))
	}
	if follows {
		// Once more, while it is at home: nobody sees anything of it.
		return story{people: st.people, steps: append(st.steps,
			joins("phone"), soon(arrived("phone")), rotates("phone", days+1), joins("phone"),
			within(2, []told{{presence.Merged, "phone", ""}}), goesBy("phone", nth(days+1), days+1), quiet(1.2), are(home, "phone"),
			kill, start, available("online"), goesBy("phone", nth(days+1), days+1), quiet(1.2), counted(2, 2))}
	}
	// The user takes the suggestions, and one of them back.
	parts, all := "", []told{}
	for n := 2; n <= days; n++ {
		parts += fmt.Sprintf(`, "%s"`, nth(n).ID())
		all = append(all, told{presence.Merged, "phone", "as you said"})
	}
	st.steps = append(st.steps, set("phone", `{"merge": [`+parts[2:]+`]}`), soon(all...))
	for n := 2; n <= days; n++ {
		st.steps = append(st.steps, isGone(n))
	}
	last := string(nth(days).ID())
	st.steps = append(st.steps,
		counted(1, 2), kill, start, available("online"), isGone(days), counted(1, 2),
		joins("phone"), soon(arrived("phone")), goesBy("phone", nth(days), days), quiet(1.2),
		set("phone", fmt.Sprintf(`{"split": "%s"}`, last)),
		soon(told{presence.Split, "phone", "as you said"}, arrived(last)),
		soon(left("phone")), counted(2, 3))
	return st
}

func TestDailyMAC(t *testing.T) {
	for _, follows := range []bool{true, false} {
		t.Run(fmt.Sprintf("simulated for 14 days, follows %v", follows), func(t *testing.T) {
			simulate(t, daily(14, follows, 48, 90).played())
		})
	}
	for _, follows := range []bool{true, false} {
		t.Run(fmt.Sprintf("real for 3 days, follows %v", follows), func(t *testing.T) {
			t.Parallel()
			s := daily(3, follows, 0.3, 0).played()
			w := raise(t, s)
			(&teller{T: t, world: w, story: s}).tell()
		})
	}
}
