package main

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Rows of a table: a scan is one, and a few tries are some.
func TestMerge(t *testing.T) {
	me, you := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.9")
	tries := func(n int, opened, how, why string) (all []flowLine) {
		for i := range n {
			all = append(all, flowLine{Protocol: "tcp", Local: me, LocalPort: uint16(1000 + i), Remote: you, RemotePort: uint16(50_000 + i), Opened: opened, How: how, Why: why, Sent: 2, flows: 1})
		}
		return all
	}
	for name, test := range map[string]struct {
		all  []flowLine
		want []string
	}{
		"a scan":          {tries(100, "remote", "", "refused"), []string{"192.0.2.1:0 192.0.2.9:0 100 200"}},
		"some tries":      {tries(2, "remote", "", "refused"), []string{"192.0.2.1:1000 192.0.2.9:50000 1 2", "192.0.2.1:1001 192.0.2.9:50001 1 2"}},
		"to other ports":  {append(tries(1, "local", "", "a"), tries(9, "local", "", "a")[8]), []string{"192.0.2.1:1000 192.0.2.9:50000 1 2", "192.0.2.1:1008 192.0.2.9:50008 1 2"}},
		"with a listener": {tries(9, "remote", "listener", "by its listener")[:1], []string{"192.0.2.1:1000 192.0.2.9:50000 1 2"}},
		"one port, often": {[]flowLine{tries(1, "remote", "listener", "1 s")[0], {Protocol: "tcp", Local: me, LocalPort: 1000, Remote: you, RemotePort: 7, Opened: "remote", How: "listener", Why: "2 s", Sent: 5, flows: 1}}, []string{"192.0.2.1:1000 192.0.2.9:0 2 7"}},
	} {
		var got []string
		lines, rows := merge(slices.Values(test.all), 0)
		if first, again := merge(slices.Values(test.all), 1); len(first) != 1 || again != rows || rows != len(lines) || first[0] != lines[0] {
			t.Errorf("%s: %d rows, the first one %+v; want %d, %+v", name, again, first, rows, lines[0])
		}
		for _, l := range lines {
			got = append(got, fmt.Sprintf("%s %s %d %d", netip.AddrPortFrom(l.Local, l.LocalPort), netip.AddrPortFrom(l.Remote, l.RemotePort), l.flows, l.Sent))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
