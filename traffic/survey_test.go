package traffic

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Ports are told with how long they were held, as far as that was looked at.
func TestSurvey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		web, dns := Port{Protocol: "tcp", Port: 80, Program: "nginx"}, Port{Protocol: "udp", Port: 53, Program: "dnsmasq"}
		phone := netip.MustParseAddr("192.0.2.9")
		type answer struct {
			open  []Port
			fault error
		}
		var now atomic.Pointer[answer]
		now.Store(&answer{[]Port{dns, web, web}, nil})
		s := &survey{
			listeners: func() ([]Port, error) { a := now.Load(); return a.open, a.fault },
			devices:   func() map[netip.Addr]string { return map[netip.Addr]string{phone: "phone"} },
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.run(ctx, time.Minute) }()
		for _, step := range []struct {
			open  []Port // after 10 s of the minute
			fault error
			want  []Port // of the minute
		}{
			{[]Port{web}, nil, []Port{{"tcp", 80, "nginx", time.Minute}, {"udp", 53, "dnsmasq", 30 * time.Second}}},
			{[]Port{web}, nil, []Port{{"tcp", 80, "nginx", time.Minute}}},
			{nil, errors.New("no right"), []Port{{"tcp", 80, "nginx", 30 * time.Second}}},
			{nil, nil, []Port{}},
		} {
			time.Sleep(10 * time.Second)
			now.Store(&answer{step.open, step.fault})
			time.Sleep(50*time.Second - time.Millisecond)
			synctest.Wait()
			wantProblem := ""
			if step.fault != nil {
				wantProblem = "which ports are listened on is not known: no right"
			}
			if got := s.problem(); got != wantProblem {
				t.Errorf("problem %q, want %q", got, wantProblem)
			}
			got := s.take()
			for i := range got {
				got[i].Held = got[i].Held.Round(time.Second)
			}
			if diff := cmp.Diff(step.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			time.Sleep(time.Millisecond)
		}
		if got := s.deviceNames()[phone]; got != "phone" {
			t.Errorf("the phone is called %q", got)
		}
		cancel()
		<-done
	})
}

// A machine with thousands of ports fills nobody's disk.
func TestSurveyBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var all []Port
		for i := range 3 * maxPorts {
			all = append(all, Port{Protocol: "tcp", Port: uint16(i), Held: time.Hour})
		}
		s := &survey{listeners: func() ([]Port, error) { return all[2*maxPorts:], nil }}
		s.look()
		time.Sleep(10 * time.Second)
		s.listeners = func() ([]Port, error) { return all, nil }
		s.look()
		time.Sleep(time.Second)
		got := s.take()
		if len(got) != maxPorts {
			t.Fatalf("%d ports, want %d", len(got), maxPorts)
		}
		for i, p := range got {
			if want := (Port{"tcp", uint16(2*maxPorts + i), "", 11 * time.Second}); p != want {
				t.Errorf("port %+v, want %+v", p, want)
			}
		}
		s.end()
		time.Sleep(time.Second)
		if got := s.take(); len(got) != 0 {
			t.Errorf("%d ports after the end", len(got))
		}
	})
}
