package traffic

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"porchlight/capture"
)

func TestChoose(t *testing.T) {
	all := []capture.Interface{
		{Index: 1, Name: "lo", Loopback: true},
		{Index: 2, Name: "eth0", Twice: "a port of br0"},
		{Index: 3, Name: "wlan0"},
		{Index: 4, Name: "br0", Up: true},
		{Index: 5, Name: "wlan0.7", Twice: "a VLAN on wlan0"},
	}
	for _, c := range []struct {
		name     string
		names    []string
		want     []string
		problems []string
	}{
		{"by itself", nil, []string{"wlan0", "br0"}, nil},
		{"named", []string{"lo", "eth0"}, []string{"lo", "eth0"}, nil},
		{"missing", []string{"wg0", "br0"}, []string{"br0"}, []string{"the traffic of wg0 is not recorded: there is no such interface"}},
	} {
		chosen, problems := choose(all, c.names)
		var got []string
		for _, i := range chosen {
			got = append(got, i.Name)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if diff := cmp.Diff(c.problems, problems); diff != "" {
			t.Errorf("%s, problems (-want +got):\n%s", c.name, diff)
		}
	}
}
