package hostapd

import (
	"context"
	"fmt"
	"time"

	"porchlight/presence"
)

// pace is how often things are done, and how long they may take.
type pace struct {
	// look is how often new control sockets are looked for: hostapd makes them,
	// and their directory, when it starts.
	look time.Duration
	// wait is how long a socket that does not work is left alone at most.
	wait time.Duration
	// ping is how often hostapd is asked whether it is there: that it has ended
	// can only be noticed by sending.
	ping time.Duration
	// reply is how long it may take to answer.
	reply time.Duration
	// list is how often its list is compared with its events: it drops those
	// that there is no room for, and who does not take many of them.
	list time.Duration
}

var usualPace = pace{look: 2 * time.Second, wait: 15 * time.Second, ping: 5 * time.Second, reply: 5 * time.Second, list: time.Minute}

// session is one connection to one access point.
type session struct {
	cfg  *Config
	ap   string // the name of its interface
	conn *conn

	here    map[presence.MAC]bool // those that are associated
	moved   map[presence.MAC]bool // those that came or went during a list; nil: there is none under way
	said    bool                  // something, since the last loss
	compare bool                  // ask for the list now
}

// runSession follows the access point behind a control socket until ctx ends or
// hostapd does. attached is called once hostapd has promised its events.
func runSession(ctx context.Context, cfg *Config, ap, path string, attached func(stations int)) error {
	s := &session{cfg: cfg, ap: ap, here: map[presence.MAC]bool{}}
	var err error
	if s.conn, err = dial(ctx, path, cfg.pace.reply, s.event); err != nil {
		return err
	}
	defer s.conn.close()
	if err := s.conn.command("ATTACH", "OK"); err != nil {
		return err
	}
	defer s.lose()
	if err := s.list(); err != nil {
		return err
	}
	attached(len(s.here))
	for listAt := time.Now().Add(cfg.pace.list); ; {
		if err := s.conn.listen(time.Now().Add(cfg.pace.ping)); err != nil {
			return err
		}
		if err := s.conn.command("PING", "PONG"); err != nil {
			return err
		}
		if s.compare || !time.Now().Before(listAt) {
			s.compare, listAt = false, time.Now().Add(cfg.pace.list)
			if err := s.list(); err != nil {
				return err
			}
		}
	}
}

// event takes an event.
func (s *session) event(message []byte) {
	kind, mac := parseEvent(message)
	switch kind {
	case connected:
		s.set(mac, presence.WiFiAssociation)
	case disconnected:
		s.set(mac, presence.WiFiDisassociation)
	case enabled:
		s.compare = true
	case disabled:
		s.lose()
		s.compare = true
	default:
		return
	}
	if s.moved != nil {
		s.moved[mac] = true
	}
}

// set notes that a station came or went, and tells it.
func (s *session) set(mac presence.MAC, kind presence.Kind) {
	switch {
	case kind == presence.WiFiDisassociation && !s.here[mac]:
		return // said twice, or of one that was never let in
	case kind == presence.WiFiDisassociation:
		delete(s.here, mac)
	case len(s.here) >= maxStations && !s.here[mac]:
		return
	default:
		s.here[mac] = true
	}
	s.said = true
	s.cfg.Sight(presence.Sighting{At: time.Now(), Interface: s.cfg.interfaceOf(s.ap), MAC: mac, Kind: kind, AP: s.ap})
}

// list compares the access point's list with what its events said. Of a station
// that came or went meanwhile the event is what counts.
func (s *session) list() error {
	s.moved = map[presence.MAC]bool{}
	stations, whole, err := s.conn.list()
	if err != nil {
		return fmt.Errorf("asking for the stations: %w", err)
	}
	for mac, authorized := range stations {
		if authorized && !s.here[mac] && !s.moved[mac] {
			s.set(mac, presence.WiFiListed)
		}
	}
	for mac := range s.here {
		if whole && !stations[mac] && !s.moved[mac] {
			s.set(mac, presence.WiFiDisassociation)
		}
	}
	s.moved = nil
	return nil
}

// lose tells that nothing is known of the stations any longer.
func (s *session) lose() {
	clear(s.here)
	if s.said {
		s.said = false
		s.cfg.Lost(s.ap)
	}
}
