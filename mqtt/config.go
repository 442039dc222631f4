package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"porchlight/discovery"
	"porchlight/presence"
)

// Config says which broker, and how to speak to it.
type Config struct {
	URL                string // mqtt://, mqtts://, ws:// or wss://; not used with Dial
	Username, Password string // win over those in the URL
	CAFile             string // PEM; instead of the system's authorities
	CertFile, KeyFile  string // PEM; this client's certificate

	Discovery     discovery.Options
	Announce      bool   // HA_DISCOVERY: publish discovery messages
	HAStatusTopic string // Home Assistant's birth topic

	// Machine says that this machine's connections are looked at: it has a device
	// of its own, and SetMachine is called.
	Machine bool

	// LastSeenInterval is how much newer a device's last sighting must be for
	// its last_seen topic to be renewed while it stays home; 0: it is renewed
	// when the device comes or goes.
	LastSeenInterval time.Duration

	Host string // this machine's name, as others are told it; empty: what the system says

	// Dial replaces the network: the embedded broker's Dial, or a test's.
	Dial func(context.Context) (net.Conn, error)
	Log  *slog.Logger

	pauses backoff // between tries; zero: the default
}

// EventLog is the log of events, and the place to keep how far this session
// got.
type EventLog interface {
	// After returns up to limit events whose Seq is above seq, in order.
	After(ctx context.Context, seq int64, limit int) ([]presence.Event, error)
	// Changed returns a channel that is closed when events are appended after
	// this call.
	Changed() <-chan struct{}
	// Cursor returns what SetCursor was last given for consumer, or 0.
	Cursor(ctx context.Context, consumer string) (int64, error)
	// SetCursor stores that consumer has delivered all up to seq. It returns
	// at once.
	SetCursor(consumer string, seq int64)
}

// Commands takes what users ask for over MQTT. The methods may be called from
// any goroutine and return soon.
type Commands interface {
	Scan()
	Set(id presence.ID, c presence.Change)
	Merge(into presence.ID, ids []presence.ID)
	Split(id presence.ID, macs []presence.MAC)
}

// check returns all faults of c, one line each.
func (c *Config) check() error {
	var faults []error
	if err := c.Discovery.Check(); err != nil {
		faults = append(faults, err)
	}
	if t := c.HAStatusTopic; c.Announce && (t == "" || strings.ContainsAny(t, "+#\x00")) {
		faults = append(faults, fmt.Errorf("status topic %q of Home Assistant: want one topic without + and #, such as homeassistant/status", t))
	}
	if c.Dial == nil {
		a, err := parseAddress(c)
		if err != nil {
			faults = append(faults, err)
		} else if _, err := a.tlsConfig(c); err != nil {
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}
