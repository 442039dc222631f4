package capture

import (
	"context"
	"encoding/hex"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"porchlight/capture/capturetest"
)

// until polls what the kernel tells in its own time.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// setIPv6 switches IPv6 on or off on the near end.
func setIPv6(t *testing.T, w *capturetest.Wire, on bool) {
	t.Helper()
	value := map[bool]string{true: "0", false: "1"}[on]
	w.Do(func() {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+capturetest.Near+"/disable_ipv6", []byte(value), 0); err != nil {
			t.Skip("this kernel has no IPv6:", err)
		}
	})
}

func TestGroups(t *testing.T) {
	w := capturetest.NewWire(t)
	setIPv6(t, w, true)
	groups := []netip.Addr{netip.MustParseAddr("ff02::2"), netip.MustParseAddr("ff02::1:2")}
	member := func() (n int) {
		w.Do(func() {
			list, err := os.ReadFile("/proc/thread-self/net/igmp6")
			if err != nil {
				t.Error(err)
			}
			for _, g := range groups {
				b := g.As16()
				if strings.Contains(string(list), hex.EncodeToString(b[:])) {
					n++
				}
			}
		})
		return n
	}
	hearsAll := func() (yes bool) {
		w.Do(func() {
			out, err := exec.CommandContext(t.Context(), "ip", "-d", "link", "show", capturetest.Near).CombinedOutput()
			if err != nil {
				t.Errorf("ip link: %v: %s", err, out)
			}
			yes = strings.Contains(string(out), "allmulti 1")
		})
		return yes
	}
	run := func() (end func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		l := NewListener(Config{Interface: capturetest.Near, Groups: groups, Handle: func(Frame) {}})
		w.Go(func() { done <- l.Run(ctx) })
		return func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	}
	if member() != 0 || hearsAll() {
		t.Fatal("in the groups before it listens")
	}
	end := run()
	until(t, "both groups", func() bool { return member() == 2 && hearsAll() })
	w.Do(func() {
		w.SetUp(capturetest.Near, false)
		w.SetUp(capturetest.Near, true)
	})
	until(t, "both groups after the link was down", func() bool { return member() == 2 && hearsAll() })
	end()
	until(t, "the end of the memberships", func() bool { return member() == 0 && !hearsAll() })

	// Without IPv6 it listens all the same.
	setIPv6(t, w, false)
	end = run()
	until(t, "listening without IPv6", hearsAll)
	end()
}

func TestListenerFollowsLinkLocal(t *testing.T) {
	b := newBench(t, arpFilter(t))
	b.wantState(false, "near hears")
	linkLocal := func() netip.Addr {
		l, _ := b.l.Link()
		return l.LinkLocal
	}
	if a := linkLocal(); a.IsValid() {
		t.Fatalf("%v though IPv6 is off", a)
	}
	b.Do(func() { b.Address(capturetest.Near, "192.0.2.7/24", true) })
	setIPv6(t, b.Wire, true)
	until(t, "a link-local address", func() bool { return linkLocal().IsValid() })
	var mac [6]byte
	b.Do(func() { mac = [6]byte(b.Link(capturetest.Near).Attrs().HardwareAddr) })
	want := netip.AddrFrom16([16]byte{0xfe, 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]})
	if got := linkLocal(); got != want {
		t.Errorf("link-local address %v, want %v", got, want)
	}
	if l, _ := b.l.Link(); len(l.Prefixes) != 1 || l.Prefixes[0].String() != "192.0.2.7/24" {
		t.Errorf("prefixes %v", l.Prefixes)
	}
	setIPv6(t, b.Wire, false)
	until(t, "its end", func() bool { return !linkLocal().IsValid() })
}

// TestListenerNeverUsesTentative: an address that is still being checked for
// duplicates must not be spoken from.
func TestListenerNeverUsesTentative(t *testing.T) {
	b := newBench(t, arpFilter(t))
	b.wantState(false, "near hears")
	b.Do(func() {
		for name, value := range map[string]string{"dad_transmits": "3", "accept_dad": "1"} {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+capturetest.Near+"/"+name, []byte(value), 0); err != nil {
				t.Skip("this kernel has no IPv6:", err)
			}
		}
	})
	start := time.Now()
	setIPv6(t, b.Wire, true)
	until(t, "a link-local address", func() bool {
		l, _ := b.l.Link()
		return l.LinkLocal.IsValid()
	})
	if took := time.Since(start); took < 2*time.Second {
		t.Errorf("used after %v, while three questions take 3 s", took)
	}
}
