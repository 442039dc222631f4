package capture

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/net/bpf"

	"porchlight/capture/capturetest"
	"porchlight/presence"
)

// TestFault: a socket that cannot be opened on a link that is well is a fault,
// however often it is tried; a link that is down is none.
func TestFault(t *testing.T) {
	w := capturetest.NewWire(t)
	l := NewListener(Config{
		Interface: capturetest.Near, Handle: func(Frame) {},
		Filter: []bpf.RawInstruction{{Op: 0xffff}}, // the kernel refuses it
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	w.Go(func() { done <- l.Run(ctx) })
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	until(t, "the fault to be told", func() bool { return l.Fault() != "" })
	if got := l.Fault(); !strings.HasPrefix(got, "attaching the filter: ") {
		t.Errorf("fault %q", got)
	}
	if err := l.Send(make([]byte, 60)); !errors.Is(err, ErrBlind) {
		t.Errorf("sent, error %v", err)
	}
}

// TestFaultIsLogged: a fault is a warning once, its end is told too; with State,
// which tells others, both are for those who look closely.
func TestFaultIsLogged(t *testing.T) {
	for name, test := range map[string]struct {
		state func(presence.Sensing)
		want  []string
	}{
		"without State": {nil, []string{"WARN no room", "INFO listening", "DEBUG eth0 is down", "DEBUG listening", "WARN no room"}},
		"with State":    {func(presence.Sensing) {}, []string{"DEBUG no room", "DEBUG listening", "DEBUG eth0 is down", "DEBUG listening", "DEBUG no room"}},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
			l := NewListener(Config{Interface: "eth0", State: test.state, Log: log})
			well := linkState{Link: Link{Index: 2}, up: true, carrier: true}
			down := linkState{Link: Link{Index: 2}}
			s := &session{Listener: l}
			tell := func(link linkState, fault string) {
				s.link, s.fault, s.reader = link, fault, nil
				if fault == "" && link.up {
					s.reader = &reader{}
				}
				s.tell()
				if want := fault; link.up && l.Fault() != want || !link.up && l.Fault() != "" {
					t.Errorf("fault %q of %+v with %q", l.Fault(), link, fault)
				}
			}
			for range 3 {
				tell(well, "no room")
			}
			tell(well, "")
			tell(down, "no room")
			tell(well, "")
			tell(well, "no room")

			var got []string
			for line := range strings.Lines(out.String()) {
				level, _, _ := strings.Cut(strings.SplitAfter(line, "level=")[1], " ")
				what := "listening"
				for _, why := range []string{"no room", "eth0 is down"} {
					if strings.Contains(line, why) {
						what = why
					}
				}
				got = append(got, level+" "+what)
			}
			if strings.Join(got, ", ") != strings.Join(test.want, ", ") {
				t.Errorf("logged %q, want %q", got, test.want)
			}
		})
	}
}
