package main

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porchlight/capture/capturetest"
	"porchlight/config"
	"porchlight/presence"
)

// From the wire to the command: what passes is stored and shown, with the name of
// the device; off, nothing is.
func TestTrafficIsCounted(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	w := capturetest.NewWire(t)
	far := w.Socket(capturetest.Far, unix.ETH_P_ALL)
	defer func() { _ = unix.Close(far) }()
	dir := t.TempDir()
	phone := presence.Device{HostName: "Anna's phone", Addr: netip.MustParseAddr("192.0.2.9")}
	devices := func(context.Context) ([]presence.Device, error) { return []presence.Device{phone}, nil }
	cfg := config.Config{DataDir: dir, Traffic: "always", TrafficRound: time.Second, TrafficTop: 10, TrafficKeep: time.Hour, TrafficInterfaces: []string{capturetest.Near}}
	counted := newTrafficCount(cfg, devices, recording{}, slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	w.Go(func() { done <- counted.run(ctx) })

	// An empty datagram from the phone to port 9 of this machine (RFC 768).
	frame := append(append(slices.Repeat([]byte{0xff}, 6), 2, 0, 0, 0, 0, 9, 8, 0),
		0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 9, 192, 0, 2, 1, 0x9c, 0x40, 0, 9, 0, 8, 0, 0)
	shown := ""
	for deadline := time.Now().Add(time.Minute); !strings.Contains(shown, "Anna's phone") && time.Now().Before(deadline); {
		if _, err := unix.Write(far, frame); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // other processes' work: the kernel's
		_, shown, _ = command(t, dir, "traffic")
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	_, shown, _ = command(t, dir, "traffic", "--json")
	for _, want := range []string{`"interface":"` + capturetest.Near + `","protocol":"udp","direction":"in"`, `"device":"Anna's phone"`} {
		if !strings.Contains(shown, want) {
			t.Errorf("%s is not in %s, problems %q", want, shown, counted.problems())
		}
	}

	cfg.Traffic, cfg.DataDir = "off", t.TempDir()
	off := newTrafficCount(cfg, devices, recording{}, slog.New(slog.DiscardHandler))
	if err := off.run(t.Context()); err != nil || off.problems() != nil {
		t.Error(err, off.problems())
	}
	if files, _ := os.ReadDir(cfg.DataDir); len(files) != 0 {
		t.Errorf("%d files", len(files))
	}
}
