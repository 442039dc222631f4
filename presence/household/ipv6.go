package household

import (
	"net/netip"
	"time"

	"porchlight/presence"
)

// This file is how devices speak that have IPv6 only.

// linkLocal is the address of the i-th device.
func linkLocal(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 14: byte(i >> 8), 15: byte(i + 2)})
}

// joinIPv6 is join as Linux does it.
func (s *stage) joinIPv6(a *actor, t time.Time) {
	for _, word := range []struct {
		after time.Duration
		kind  presence.Kind
	}{
		{0, presence.MLDReport},
		{400 * time.Millisecond, presence.NDPDad},
		{1400 * time.Millisecond, presence.NDPRouterSolicitation},
		{5400 * time.Millisecond, presence.NDPRouterSolicitation},
	} {
		s.cue(t.Add(word.after), func(t time.Time) {
			if !a.on {
				return
			}
			addr := a.addr
			if word.kind == presence.MLDReport {
				addr = netip.Addr{} // it has none yet
			}
			s.speak(a, t, word.kind, addr)
		})
	}
	s.cue(t.Add(2*time.Second), func(t time.Time) { s.renew(a, t) })
}

// renew has a device make up a temporary address to speak from (RFC 8981).
func (s *stage) renew(a *actor, t time.Time) {
	if !a.on || !a.awake {
		return
	}
	day := t.Sub(Start) / (24 * time.Hour)
	a.temp = netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 13: byte(day), 14: byte(a.index >> 8), 15: byte(a.index + 2)})
	s.speak(a, t, presence.NDPDad, a.temp)
}

// renewDaily has it do so every day.
func (s *stage) renewDaily(a *actor) {
	for day := range s.play.Days {
		at := Start.Add(time.Duration(day)*24*time.Hour + time.Duration(a.index)*time.Hour)
		s.cue(at, func(t time.Time) { s.renew(a, t) })
	}
}

// chat is a frame that a device sends by itself.
func (s *stage) chat(a *actor, t time.Time) {
	switch {
	case !s.play.IPv6:
		s.say(a, t, presence.ARPRequest)
	case a.temp.IsValid():
		s.speak(a, t, presence.NDPSolicitation, a.temp)
	default:
		s.say(a, t, presence.NDPSolicitation)
	}
}

// kind is k of ARP, or the advertisement that stands for it in IPv6.
func (s *stage) kind(k presence.Kind) presence.Kind {
	if s.play.IPv6 {
		return presence.NDPAdvertisement
	}
	return k
}
