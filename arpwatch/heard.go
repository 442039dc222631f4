package arpwatch

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"porchlight/capture"
)

const (
	// maxHeard bounds the table: a /16 and no more.
	maxHeard = 1 << 16

	// knownFor is how long an address that was heard stays worth insisting on.
	knownFor = 24 * time.Hour
)

// heard is when each address was last heard. It keeps addresses of the
// interface's own subnets only, so a stranger cannot fill it with others.
type heard struct {
	mu    sync.Mutex
	last  map[netip.Addr]time.Time
	extra []netip.Prefix // explicit prefixes of the latest sweep
}

func (h *heard) note(link capture.Link, a netip.Addr, at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !covers(link.Prefixes, a) && !covers(h.extra, a) {
		return
	}
	if len(h.last) >= maxHeard {
		if _, ok := h.last[a]; !ok {
			return
		}
	}
	h.last[a] = at
}

// prepare makes the table ready for a sweep of also these prefixes, and
// forgets what is old or belongs to subnets that the interface has left.
func (h *heard) prepare(link capture.Link, extra []netip.Prefix, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.extra = slices.Clone(extra)
	for a, at := range h.last {
		if now.Sub(at) > knownFor || !covers(link.Prefixes, a) && !covers(extra, a) {
			delete(h.last, a)
		}
	}
}

// since returns how long ago a was heard; ok is false when it never was.
func (h *heard) since(a netip.Addr, now time.Time) (_ time.Duration, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, ok := h.last[a]
	return now.Sub(at), ok
}

func (h *heard) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.last)
}

func covers(ps []netip.Prefix, a netip.Addr) bool {
	for _, p := range ps {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
