package main

import (
	"sync"

	"porchlight/presence"
)

// scanEar listens while a scan asks: for names, and for when it can begin.
type scanEar struct {
	mu    sync.Mutex
	hosts map[presence.MAC]string
	ready chan presence.Sensing
}

func (e *scanEar) Sight(s presence.Sighting) {
	if s.DHCP == nil || s.DHCP.HostName == "" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.hosts) < 4096 {
		e.hosts[s.MAC] = s.DHCP.HostName
	}
}

func (e *scanEar) Sense(s presence.Sensing) {
	select {
	case e.ready <- s:
	default:
	}
}

// hostOf returns the name of m: as just heard, else as known from before.
func (e *scanEar) hostOf(m presence.MAC, known map[presence.MAC]string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := e.hosts[m]; n != "" {
		return n
	}
	return known[m]
}
