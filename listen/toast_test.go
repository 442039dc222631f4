package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
	"porchlight/synced"
)

// startToaster runs one until the test ends.
func startToaster(t *testing.T, show func(title, body string) error) (*toaster, *synced.Buffer) {
	log := new(synced.Buffer)
	toasts := newToaster(Config{show: show, Log: slog.New(slog.NewTextHandler(log, nil))})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { toasts.run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	return toasts, log
}

func newcomerNamed(name string) presence.Event {
	return presence.Event{Type: presence.NewDevice, Name: name, Vendor: "V"}
}

func TestFloodOfToasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		screen := new(desktop)
		toasts, _ := startToaster(t, screen.show)
		for i := range 10 {
			toasts.offer("home", false, newcomerNamed(fmt.Sprint("n", i)))
			synctest.Wait()
		}
		expect(t, "at once", &screen.Buffer, "New device: n0 | V", "New device: n1 | V", "New device: n2 | V")
		time.Sleep(toastPause + time.Second)
		expect(t, "after a pause", &screen.Buffer, "and 7 more new devices | n3, n4, n5, n6, n7")

		time.Sleep(time.Hour)
		toasts.offer("home", false, newcomerNamed("later"))
		synctest.Wait()
		expect(t, "an hour later", &screen.Buffer, "New device: later | V")

		// An hour of made-up MACs.
		time.Sleep(time.Hour)
		for range 36_000 {
			toasts.offer("home", false, newcomerNamed(""))
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(time.Hour)
		lines := strings.Split(strings.TrimSpace(screen.Take()), "\n")
		var sum int
		for _, line := range lines[3:] {
			var n int
			if _, err := fmt.Sscanf(line, "and %d more", &n); err != nil {
				t.Error(line)
			}
			sum += n
		}
		if len(lines) > 20 || sum != 36_000-3 {
			t.Errorf("%d notifications, the rest is %d", len(lines), sum)
		}
	})
}

// A service that hangs, and then answers.
func TestSilentDesktop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan error)
		calls := new(synced.Buffer)
		toasts, log := startToaster(t, func(title, _ string) error {
			_, _ = calls.Write([]byte(title + "\n"))
			return <-answer
		})
		for i := range 50 {
			toasts.offer("home", false, newcomerNamed(fmt.Sprint(i)))
		}
		time.Sleep(time.Hour)
		expect(t, "while it hangs", calls, "New device: 0")
		if n := strings.Count(log.Take(), errDesktopSilent.Error()); n != 1 {
			t.Error(n, "warnings")
		}
		close(answer) // with nil
		time.Sleep(time.Minute)
		one, rest := 0, 0
		for line := range strings.Lines(calls.Take()) {
			var n int
			if _, err := fmt.Sscanf(line, "and %d more new devices", &n); err != nil {
				one++
			}
			rest += n
		}
		if one != 2 || rest != 47 {
			t.Errorf("%d and %d more, of 49", one, rest)
		}
	})
}

func TestNoDesktop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		screen := &desktop{fault: errors.New("no service")}
		toasts, log := startToaster(t, screen.show)
		for range 5 {
			toasts.offer("home", false, newcomerNamed("n"))
			time.Sleep(time.Minute)
		}
		if n := strings.Count(log.Take(), "no service"); n != 1 {
			t.Error(n, "warnings")
		}
		if n := strings.Count(screen.Take(), "\n"); n != 5 {
			t.Error(n, "tries: it may have come later")
		}
	})
}

func TestWords(t *testing.T) {
	mac := presence.MAC{0x3c, 0x5a, 0xb4, 1, 2, 3}
	for want, c := range map[string]struct {
		node  string
		event presence.Event
	}{
		"New device: Pixel-7 | 10.0.0.7, Google, 3c:5a:b4:01:02:03": {"", presence.Event{
			Type: presence.NewDevice, Name: "Pixel-7", Addr: netip.MustParseAddr("10.0.0.7"), Vendor: "Google", MAC: mac, Why: "ARP request heard",
		}},
		"New device: x | private MAC, 3c:5a:b4:01:02:03, at garage": {"garage", presence.Event{
			Type: presence.NewDevice, Name: "x", PrivateMAC: true, Vendor: "?", MAC: mac,
		}},
		"Away: Pixel-7 | no answer":                   {"", presence.Event{Type: presence.Left, Name: "Pixel-7", Why: "no answer"}},
		"Porchlight hears nothing: eth0 | no carrier": {"", presence.Event{Type: presence.SensingLost, Interface: "eth0", Why: "no carrier"}},
		"A port was opened: nginx, TCP port 8443 | nginx began to listen, at nas": {"nas", presence.Event{
			Type: presence.ListenerOpened, Why: "nginx began to listen", Socket: &presence.Socket{Program: "nginx", Protocol: "tcp", Port: 8443},
		}},
		"Porchlight, moved house | ": {"", presence.Event{Type: "moved_house"}},
	} {
		title, body := words(c.node, c.event)
		if diff := cmp.Diff(want, title+" | "+body); diff != "" {
			t.Error(diff)
		}
	}
	for _, kind := range presence.EventTypes() {
		if titles[kind] == "" {
			t.Error("no words for", kind)
		}
	}
}
