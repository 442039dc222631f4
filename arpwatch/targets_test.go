package arpwatch

import (
	"log/slog"
	"net/netip"
	"testing"

	"porchlight/capture"
)

func TestHosts(t *testing.T) {
	tests := []struct {
		name        string
		own         []string
		count       int
		first, last string
	}{
		{"/24", []string{"192.168.1.2/24"}, 253, "192.168.1.1", "192.168.1.254"},
		{"/22 across byte borders", []string{"10.1.2.255/22"}, 1021, "10.1.0.1", "10.1.3.254"},
		{"/16", []string{"10.1.0.1/16"}, 65533, "10.1.0.2", "10.1.255.254"},
		{"larger than /16", []string{"10.7.0.1/8"}, 65533, "10.7.0.2", "10.7.255.254"},
		{"/30", []string{"192.0.2.1/30"}, 1, "192.0.2.2", "192.0.2.2"},
		{"/31", []string{"192.0.2.0/31"}, 1, "192.0.2.1", "192.0.2.1"},
		{"/32", []string{"192.0.2.1/32"}, 0, "", ""},
		{"link-local beside a subnet", []string{"169.254.1.1/16", "192.168.1.2/30"}, 1, "192.168.1.1", "192.168.1.1"},
		{"two addresses in one subnet", []string{"192.168.1.2/24", "192.168.1.3/24"}, 252, "192.168.1.1", "192.168.1.254"},
		{"subnet within a subnet", []string{"192.168.1.2/24", "192.168.1.65/26"}, 252, "192.168.1.1", "192.168.1.254"},
		{"two subnets", []string{"192.168.2.1/24", "10.0.0.1/30"}, 254, "10.0.0.2", "192.168.2.254"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var link capture.Link
			for _, s := range tt.own {
				link.Prefixes = append(link.Prefixes, netip.MustParsePrefix(s))
			}
			got := hosts(ownRanges(link, slog.New(slog.DiscardHandler)), link)
			if len(got) != tt.count {
				t.Fatalf("%d hosts, want %d", len(got), tt.count)
			}
			if tt.count > 0 && (got[0].String() != tt.first || got[len(got)-1].String() != tt.last) {
				t.Errorf("%v to %v, want %s to %s", got[0], got[len(got)-1], tt.first, tt.last)
			}
		})
	}
}

func TestHostsExplicit(t *testing.T) {
	got := hosts([]netip.Prefix{
		netip.MustParsePrefix("192.0.2.7/32"),
		netip.MustParsePrefix("192.0.2.4/31"),
		netip.MustParsePrefix("127.0.0.0/30"),
		netip.MustParsePrefix("0.0.0.0/30"),
	}, capture.Link{})
	if len(got) != 3 || got[0].String() != "192.0.2.4" || got[2].String() != "192.0.2.7" {
		t.Errorf("hosts %v", got)
	}
}
