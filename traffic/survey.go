package traffic

import (
	"cmp"
	"context"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	maxLook  = 30 * time.Second // between looks at who listens
	maxPorts = 1000             // in a round
)

// survey looks, twice a round, at which ports are listened on and at what the LAN's
// devices are called. Between two looks all is as it was at the first.
type survey struct {
	listeners func() ([]Port, error)
	devices   func() map[netip.Addr]string

	mu     sync.Mutex
	now    []Port // of the last look
	looked time.Time
	held   map[Port]time.Duration // since the last take; the keys' Held is 0
	names  map[netip.Addr]string
	fault  error // of the last look
}

// run looks until ctx ends.
func (s *survey) run(ctx context.Context, round time.Duration) {
	every := time.NewTicker(max(min(round/2, maxLook), time.Second))
	defer every.Stop()
	for {
		s.look()
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
	}
}

func (s *survey) look() {
	var ports []Port
	var err error
	if s.listeners != nil {
		ports, err = s.listeners()
	}
	ports = slices.Clone(ports)
	for i := range ports {
		ports[i].Held = 0
	}
	var names map[netip.Addr]string
	if s.devices != nil {
		names = s.devices()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(time.Now())
	s.now, s.fault = ports, err
	if names != nil || s.names == nil {
		s.names = nobodies()
		maps.Copy(s.names, names)
	}
}

// nobodies are the broadcast addresses of this machine's subnets, without a name.
func nobodies() map[netip.Addr]string {
	names := map[netip.Addr]string{}
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || !p.Addr().Is4() || p.Bits() > 30 {
			continue
		}
		last := p.Masked().Addr().As4()
		for i := p.Bits(); i < 32; i++ {
			last[i/8] |= 0x80 >> (i % 8)
		}
		names[netip.AddrFrom4(last)] = ""
	}
	return names
}

// advance counts the time since the last look to the ports of that.
func (s *survey) advance(now time.Time) {
	if s.held == nil {
		s.held = make(map[Port]time.Duration)
	}
	last := make(map[Port]struct{}, len(s.now)) // by IPv4 and IPv6 it may be there twice
	for _, p := range s.now {
		last[p] = struct{}{}
	}
	for p := range last {
		s.held[p] += now.Sub(s.looked)
	}
	s.looked = now
}

// deviceNames are those of the last look.
func (s *survey) deviceNames() map[netip.Addr]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.names
}

// take returns the ports that were listened on since the last take, by protocol,
// port and program; of too many those that were for longest.
func (s *survey) take() []Port {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance(time.Now())
	ports := make([]Port, 0, len(s.held))
	for p, held := range s.held {
		if p.Held = held; held > 0 {
			ports = append(ports, p)
		}
	}
	clear(s.held)
	return longestHeld(ports, maxPorts)
}

// end forgets who listens: nobody looks any more.
func (s *survey) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now, s.fault = nil, nil
}

func (s *survey) problem() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fault == nil {
		return ""
	}
	return "which ports are listened on is not known: " + s.fault.Error()
}

func byName(a, b Port) int {
	return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Program, b.Program))
}
