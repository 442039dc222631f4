package main

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"porchlight/presence"
)

// TestNamesFrom: however often the connections are looked at, the devices are
// asked for once a minute, and again at once when that fails.
func TestNamesFrom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addr := netip.MustParseAddr("192.168.1.20")
		asked, fault := 0, errors.New("starting")
		names := namesFrom(func(context.Context) ([]presence.Device, error) {
			asked++
			return []presence.Device{{HostName: "NAS", Addr: addr}}, fault
		})
		for second := range 130 {
			got := names(t.Context())
			if want := second >= 5; (got[addr] == "NAS") != want {
				t.Errorf("after %d s: %v", second, got)
			}
			time.Sleep(time.Second)
			if second == 4 {
				fault = nil
			}
		}
		if asked != 5+3 {
			t.Errorf("asked %d times", asked)
		}
	})
}
