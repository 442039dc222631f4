package main

import (
	"testing"

	"porchlight/lab/labtest"
)

// The stations of an access point are heard on its own interface, on the bridge
// that it is in, or on another port of that.
func TestWhereStationsAreHeard(t *testing.T) {
	l := labtest.Start(t)
	obs := l.Observer("lan0")
	for _, args := range [][]string{
		{"link", "add", "br0", "type", "bridge"},
		{"link", "add", "wlan0", "type", "veth", "peer", "name", "w0"},
		{"link", "add", "wlan1", "type", "veth", "peer", "name", "w1"},
		{"link", "add", "eth1", "type", "veth", "peer", "name", "e1"},
		{"link", "set", "wlan0", "master", "br0"},
		{"link", "set", "eth1", "master", "br0"},
	} {
		if out, err := obs.Command(t.Context(), "ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	for _, test := range []struct {
		ap    string
		names []string
		want  string
	}{
		{"wlan0", []string{"lan0", "br0"}, "br0"},
		{"wlan0", []string{"lan0", "eth1"}, "eth1"},
		{"wlan0", []string{"br0", "wlan0"}, "wlan0"},
		{"wlan1", []string{"lan0", "br0"}, ""}, // on its own, and not listened to
		{"wlan9", []string{"lan0", "br0"}, ""},
		{"wlan9", []string{"lan0"}, "lan0"}, // hostapd is not here
	} {
		var got string
		l.Must(obs.Do(func() error {
			got = hearsOf(test.ap, test.names)
			return nil
		}))
		if got != test.want {
			t.Errorf("those of %s, with %v: %q, want %q", test.ap, test.names, got, test.want)
		}
	}
}
