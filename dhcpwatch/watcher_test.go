package dhcpwatch

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"

	"porchlight/capture"
	"porchlight/capture/capturetest"
	"porchlight/presence"
)

// watched is a Watcher on the near end of a wire, and a socket on the far end.
type watched struct {
	*capturetest.Wire
	t         *testing.T
	watcher   *Watcher
	far       int
	sightings chan presence.Sighting
}

func watch(t *testing.T) *watched {
	t.Helper()
	w := &watched{Wire: capturetest.NewWire(t), t: t, sightings: make(chan presence.Sighting, 64)}
	var err error
	w.watcher, err = New(Config{
		Interface: capturetest.Near,
		Sight:     func(s presence.Sighting) { w.sightings <- s },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.far = w.Socket(capturetest.Far, unix.ETH_P_ALL)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	w.Go(func() { done <- w.watcher.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		_ = unix.Close(w.far)
	})
	w.hears()
	return w
}

func (w *watched) send(frame []byte) {
	w.t.Helper()
	if _, err := unix.Write(w.far, frame); err != nil {
		w.t.Fatalf("sending: %v", err)
	}
}

// hears sends knocks until one is heard, and takes the others off the channel.
func (w *watched) hears() {
	w.t.Helper()
	knock := func(xid byte) []byte {
		m := client(typed(dhcpv4.MessageTypeInform).with(dhcpv4.OptionRequestedIPAddress, 10, 0, 0, xid))
		return fromClient(m)
	}
	deadline := time.After(time.Minute)
	for heard := false; !heard; {
		w.send(knock(1))
		select {
		case <-w.sightings:
			heard = true
		case <-time.After(20 * time.Millisecond):
		case <-deadline:
			w.t.Fatal("nothing heard in a minute")
		}
	}
	w.send(knock(2))
	for s := range w.sightings {
		if s.Addr.As4()[3] == 2 {
			return
		}
	}
}

func TestWatcher(t *testing.T) {
	w := watch(t)
	before := w.watcher.Stats()

	w.send(ethernet(broadcast, phone, capture.EtherTypeIPv4, udp(68, 53, client(nil)))) // the filter takes it
	w.send(fromClient(client(nil)))                                                     // plain BOOTP
	for _, name := range []string{"wrong cookie", "option past the end", "total length past the end"} {
		w.send(hostile()[name])
	}
	w.send(append(fromClient(client(nil)), make([]byte, 8000)...)) // a jumbo frame
	relayed := bootp{op: 1, chaddr: phone, giaddr: []byte{10, 0, 0, 1}}.message(typed(dhcpv4.MessageTypeDiscover))
	w.send(ethernet(gateway, gateway, capture.EtherTypeIPv4, udp(67, 67, relayed)))
	w.send(fromServer(bootp{op: 2, chaddr: phone}.message(typed(dhcpv4.MessageTypeAck))))
	w.send(tagged(devices["Android"], 30))

	want := []struct {
		kind  presence.Kind
		iface string
	}{
		{presence.DHCPDiscover, "near"},
		{presence.DHCPAck, "near"},
		{presence.DHCPRequest, "near.30"},
	}
	for _, want := range want {
		got := <-w.sightings
		if got.Kind != want.kind || got.MAC != phone || got.Interface != want.iface {
			t.Errorf("got %v of %v on %s, want %v on %s", got.Kind, got.MAC, got.Interface, want.kind, want.iface)
		}
		if age := time.Since(got.At); age < 0 || age > time.Minute {
			t.Errorf("heard %v ago", age)
		}
	}
	after := w.watcher.Stats()
	count := func(name string, got, want uint64) {
		if got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
	count("sightings", after.Sightings-before.Sightings, 3)
	count("malformed", after.Malformed-before.Malformed, 3)
	count("ignored", after.Ignored-before.Ignored, 2)
	count("relayed", after.Relayed-before.Relayed, 1)
	count("other source", after.OtherSource-before.OtherSource, 1)
	count("frames", after.Capture.Frames-before.Capture.Frames, 8)
}

func TestWatcherListensAgain(t *testing.T) {
	w := watch(t)
	w.Do(func() {
		w.SetUp(capturetest.Near, false)
		w.SetUp(capturetest.Near, true)
	})
	w.hears()
}

func TestWatcherDebugLogIsBounded(t *testing.T) {
	var out bytes.Buffer
	w, err := New(Config{
		Interface: "eth0",
		Sight:     func(presence.Sighting) {},
		Log:       slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		for _, raw := range hostile() {
			w.handle(parse(t, raw))
		}
	}
	if got := strings.Count(out.String(), "\n"); got < 1 || got > 5 {
		t.Errorf("%d lines logged, want a few:\n%s", got, out.String())
	}
	if got, want := w.Stats().Malformed, uint64(1000*len(hostile())); got != want {
		t.Errorf("malformed: %d, want %d", got, want)
	}
}
