package history

import (
	"net/netip"
	"slices"
	"time"

	"porchlight/presence"
)

const (
	insertLease = `INSERT INTO leases (device, ip, first_seen, last_seen, said, host_name) VALUES (?1, ?2, ?3, ?3, ?4, ?5)
		ON CONFLICT (device, ip) DO UPDATE SET last_seen = max(last_seen, excluded.last_seen), said = excluded.said,
		host_name = CASE WHEN excluded.host_name <> '' THEN excluded.host_name ELSE host_name END`
	trimLeases = `DELETE FROM leases WHERE device = ?1 AND last_seen <=
		(SELECT last_seen FROM leases WHERE device = ?1 ORDER BY last_seen DESC LIMIT 1 OFFSET ?2)`

	maxLeases      = 64        // of one device; the oldest go
	leaseAgain     = time.Hour // how exact last_seen is
	maxNewLeases   = 256       // that are written in one second
	maxLeasesKnown = 20_000    // that are known to be written
)

// leaseKey is one address of one device.
type leaseKey struct {
	id presence.ID
	ip netip.Addr
}

// leaseBook holds the leases that were heard and not written yet, and when the
// others were written.
type leaseBook struct {
	heard   map[leaseKey]Lease
	written map[leaseKey]time.Time // the time of the lease
}

// SaveLease notes that DHCP gave a device an address, or that it asked for it.
// It never waits. It is written within a second, and when it goes on, once an
// hour.
func (s *Store) SaveLease(id presence.ID, sighting presence.Sighting) {
	l := Lease{Device: id, Addr: sighting.Addr, Last: sighting.At, Said: sighting.Kind.String()}
	if sighting.DHCP != nil {
		l.HostName = sighting.DHCP.HostName
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := leaseKey{l.Device, l.Addr}
	if at, known := s.leases.written[key]; known && l.Last.Sub(at) < leaseAgain && !l.Last.Before(at) {
		return
	}
	if _, waits := s.leases.heard[key]; !waits && len(s.leases.heard) >= maxNewLeases {
		return // a device that asks for every address there is
	}
	s.leases.heard[key] = l
}

// writeLeases hands those that were heard to the writer.
func (s *Store) writeLeases() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.leases.heard) == 0 || s.db == nil || s.fault != nil {
		return
	}
	var list []Lease
	if len(s.leases.written) > maxLeasesKnown {
		clear(s.leases.written)
	}
	for key, l := range s.leases.heard {
		list = append(list, l)
		s.leases.written[key] = l.Last
	}
	clear(s.leases.heard)
	slices.SortFunc(list, func(a, b Lease) int { return a.Last.Compare(b.Last) })
	s.jobs = append(s.jobs, func(db *database) error {
		for _, l := range list {
			err := db.exec(insertLease, string(l.Device), fromAddr(l.Addr), fromTime(l.Last), l.Said, l.HostName)
			if err == nil {
				err = db.exec(trimLeases, string(l.Device), maxLeases)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	s.nudge()
}
