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
		{Index: 4, Name: "br0"},
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

func TestChooseFew(t *testing.T) {
	all := make([]capture.Interface, capture.MaxHeard+1)
	for i := range all {
		all[i].Index = i + 1
	}
	chosen, problems := choose(all, nil)
	want := []string{"there are 401 interfaces, and the traffic of 400 is recorded: name those that matter in PORCHLIGHT_TRAFFIC_INTERFACES"}
	if diff := cmp.Diff(want, problems); diff != "" || len(chosen) != capture.MaxHeard {
		t.Errorf("%d chosen; problems (-want +got):\n%s", len(chosen), diff)
	}
	if chosen, problems = choose(all[1:], nil); len(chosen) != capture.MaxHeard || problems != nil {
		t.Errorf("%d chosen, problems %q", len(chosen), problems)
	}
}
