package dhcpwatch

import (
	"context"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"porchlight/lab"
	"porchlight/lab/labtest"
	"porchlight/presence"
)

// A real client joins the virtual LAN twice and gets its lease of a real
// server. What an observer on another port of the switch hears is what the
// client broadcasts.
func TestLive(t *testing.T) {
	l := labtest.Start(t)
	obs := l.Observer("lan0")
	tv := l.Client("tv", lab.PrivateMAC)

	sightings := make(chan presence.Sighting, 1024)
	w, err := New(Config{Interface: "lan0", Sight: func(s presence.Sighting) { sightings <- s }})
	l.Must(err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	done := make(chan error, 1)
	go func() { done <- obs.Do(func() error { return w.Run(ctx) }) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	next := func() presence.Sighting {
		t.Helper()
		select {
		case s := <-sightings:
			return s
		case <-ctx.Done():
			t.Fatal("nothing more heard")
			return presence.Sighting{}
		}
	}

	// Until the watcher hears the gateway, it is not ready.
	knock := func(mark byte) {
		m := fromClient(client(typed(dhcpv4.MessageTypeInform).with(dhcpv4.OptionRequestedIPAddress, 10, 0, 0, mark)))
		_, err := l.Gateway().Say(m)
		l.Must(err)
	}
	for ready := false; !ready; {
		knock(1)
		select {
		case <-sightings:
			ready = true
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("the watcher does not hear")
		}
	}
	knock(2)
	for next().Addr.As4()[3] != 2 {
	}

	for range 2 {
		l.Must(tv.Join(ctx))
		for requested := false; !requested; {
			s := next() // a server that is slow is asked again
			requested = s.Kind == presence.DHCPRequest
			if !requested && s.Kind != presence.DHCPDiscover || s.MAC != presence.MAC(tv.MAC()) || s.Evidence() != presence.Join {
				t.Errorf("heard %+v, want DISCOVER and REQUEST by broadcast of %v", s, presence.MAC(tv.MAC()))
			}
			if s.DHCP.HostName != "tv" || s.DHCP.VendorClass == "" || s.DHCP.Fingerprint == "" {
				t.Errorf("it says %+v of itself", *s.DHCP)
			}
			if requested && s.Addr != tv.Addr() {
				t.Errorf("requests %v, want %v", s.Addr, tv.Addr())
			}
		}
		l.Must(tv.Leave())
	}
	if s := w.Stats(); s.Malformed != 0 || s.Capture.Dropped != 0 {
		t.Errorf("%+v", s)
	}
}
