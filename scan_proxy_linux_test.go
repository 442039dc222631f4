package main

import (
	"strings"
	"testing"

	"porchlight/presence"
)

// A scan says who answered for others, once.
func TestProxies(t *testing.T) {
	router, proxy := presence.MAC{0, 1, 2, 3, 4, 5}, presence.MAC{0, 1, 2, 3, 4, 6}
	var rows []found
	for range presence.ManyAddresses - 1 {
		rows = append(rows, found{MAC: router}, found{MAC: proxy}, found{MAC: proxy})
	}
	got := proxies(rows)
	if len(got) != 1 || !strings.HasPrefix(got[0], "00:01:02:03:04:06 answers for 16 addresses") {
		t.Errorf("%q", got)
	}
	if got := proxies(nil); len(got) != 0 {
		t.Errorf("nobody: %q", got)
	}
}
