package bridge

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"porchlight/presence"

	"github.com/google/go-cmp/cmp"
)

// TestReport: an event about this machine gets into the log once, clean, and is
// announced and counted like all others.
func TestReport(t *testing.T) {
	local := time.FixedZone("here", 3600)
	reported := presence.Event{
		Type: presence.ListenerOpened, Time: time.Date(2026, 3, 1, 19, 0, 0, 0, local), Addr: netip.MustParseAddr("fe80::1%eth\x1b0"),
		ID: "02005e100001", Name: "not a device", Interface: "eth0", Why: "nginx\nbegan to listen" + strings.Repeat(".", 500),
		Socket: &presence.Socket{Program: "ng\x1binx", User: "www-data", PID: 812, Protocol: "tcp", Port: 8443},
	}
	want := presence.Event{
		Type: presence.ListenerOpened, Seq: 1, Time: time.Date(2026, 3, 1, 18, 0, 0, 0, time.UTC), Addr: netip.MustParseAddr("fe80::1"),
		Interface: "eth0", Why: ("nginx began to listen" + strings.Repeat(".", 500))[:maxWhy],
		Socket: &presence.Socket{Program: "ng inx", User: "www-data", PID: 812, Protocol: "tcp", Port: 8443},
	}
	h := play(t, presence.Config{}, nil, func(h *house, b *Bridge) {
		changed := b.Changed()
		if err := b.Report(context.Background(), []presence.Event{reported}); err != nil || len(h.logged) != 1 {
			t.Errorf("%d in the log, %v", len(h.logged), err)
		}
		select {
		case <-changed:
		default:
			t.Error("nobody is told that there is something new")
		}
		s, err := b.Stats(context.Background())
		if err != nil || s.Events[presence.ListenerOpened] != 1 {
			t.Errorf("counted %v, %v", s.Events, err)
		}
	})
	byString := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	if diff := cmp.Diff([]presence.Event{want}, h.logged, byString); diff != "" {
		t.Errorf("in the log (-want +got):\n%s", diff)
	}
}

// TestReportIsBounded: a machine that goes mad costs no more than there is room.
func TestReportIsBounded(t *testing.T) {
	b := New(Config{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range inboxCalls + 10 {
		if b.Report(ended, []presence.Event{{Type: presence.ListenerOpened, Socket: &presence.Socket{Protocol: "tcp", Port: 1}}}) == nil {
			t.Fatal("it is in the log of one that does not run")
		}
	}
	if n := len(b.inbox.calls); n != inboxCalls {
		t.Errorf("%d wait, want %d", n, inboxCalls)
	}
}
