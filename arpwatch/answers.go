package arpwatch

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"porchlight/presence"
)

// sweep is who is asked and who has answered. The packet loop writes answers
// while the sending half reads them.
type sweep struct {
	mu      sync.Mutex
	targets []target // by address; their number and addresses do not change

	found []int         // by how often they had been asked: how many answered
	total int           // answered
	slow  time.Duration // the latest answer to a first question
}

// target is one address to ask.
type target struct {
	addr     netip.Addr
	known    bool // heard in the last day
	answered bool
	kind     presence.Kind
	asks     uint8
	mac      presence.MAC
	asked    time.Time // the last time
}

// answer takes a frame from an address as its answer.
func (s *sweep) answer(h presence.Sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := slices.BinarySearchFunc(s.targets, h.Addr, func(t target, a netip.Addr) int { return t.addr.Compare(a) })
	if !ok || s.targets[n].answered {
		return
	}
	t := &s.targets[n]
	t.answered, t.mac, t.kind = true, h.MAC, h.Kind
	s.total++
	for len(s.found) <= int(t.asks) {
		s.found = append(s.found, 0)
	}
	s.found[t.asks]++
	// Only with one question is it certain which one was answered.
	if t.asks == 1 && h.Kind == presence.ARPReply && h.Unicast {
		s.slow = max(s.slow, h.At.Sub(t.asked))
	}
}

// asking notes that target n is asked now, unless it has answered meanwhile.
func (s *sweep) asking(n int, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.targets[n]
	if t.answered {
		return false
	}
	t.asks++
	t.asked = now
	return true
}

func (s *sweep) answered(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.targets[n].answered
}

// count returns how many addresses have answered.
func (s *sweep) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// again returns those of order that are to be asked once more after so many
// passes, in the same order.
func (s *sweep) again(order []int, passes int) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	everyone := s.everyone(passes)
	var out []int
	for _, n := range order {
		if t := &s.targets[n]; !t.answered && (everyone || t.known) {
			out = append(out, n)
		}
	}
	return out
}

// askEveryone reports whether a pass after so many is for everyone silent.
func (s *sweep) askEveryone(passes int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.everyone(passes)
}

// everyone is so after the first pass, and then as long as half a host or more
// can be expected to be missing. When each pass leaves the share p of those
// that were left before, the last two passes tell p, and what is left is the
// last find times p. Where no request gets lost the second pass finds nobody.
func (s *sweep) everyone(passes int) bool {
	last, before := s.foundAfter(passes), s.foundAfter(passes-1)
	return passes < 2 || last > 0 && 2*last*last >= before
}

func (s *sweep) foundAfter(asks int) int {
	if asks < len(s.found) {
		return s.found[asks]
	}
	return 0
}

// wait is how long to listen for late answers: at least shortest, and twice as
// long as the slowest answer took, up to maxWait.
func (s *sweep) wait(shortest time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(shortest, min(2*s.slow, maxWait))
}

// answers lists who answered, by address.
func (s *sweep) answers(ifname string) []Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Answer, 0, s.total)
	for i := range s.targets {
		if t := &s.targets[i]; t.answered {
			out = append(out, Answer{Addr: t.addr, MAC: t.mac, Interface: ifname, Kind: t.kind})
		}
	}
	return out
}
