package reach

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestMeet: whether a router answers pings is learned over a lost one, and
// unlearned when it answers no more while others are reached through it.
func TestMeet(t *testing.T) {
	gateway := netip.MustParseAddr("10.77.0.1")
	for name, c := range map[string]struct {
		rounds [][]bool // what becomes of the pings of each time it is met
		counts bool     // whether its silence says something afterwards
	}{
		"it answers":                     {[][]bool{{true}}, true},
		"it does not":                    {[][]bool{{false, false, false}}, false},
		"the first ping is lost":         {[][]bool{{false, true}}, true},
		"it answers later":               {[][]bool{{false, false, false}, {true}}, true},
		"silent once":                    {[][]bool{{true}, {false, false, false}}, true},
		"silent twice":                   {[][]bool{{true}, {false, false, false}, {false, false, false}}, false},
		"silent now and then":            {[][]bool{{true}, {false, false, false}, {true}, {false, false, false}}, true},
		"silent twice, then it does":     {[][]bool{{true}, {false, false, false}, {false, false, false}, {true}}, true},
		"silent at first, and once more": {[][]bool{{false, false, false}, {true}, {false, false, false}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var left []bool
				r := &routers{ping: func(ctx context.Context, a netip.Addr) error {
					if a != gateway || len(left) == 0 {
						t.Fatalf("%s is asked, of whom %d pings are expected", a, len(left))
					}
					answers := left[0]
					left = left[1:]
					if answers {
						return nil
					}
					<-ctx.Done()
					return ctx.Err()
				}}
				for i, pings := range c.rounds {
					left = pings
					r.meet(t.Context(), gateway)
					r.meet(t.Context(), gateway) // not again so soon
					if len(left) > 0 {
						t.Errorf("time %d: %d pings were not sent", i, len(left))
					}
					time.Sleep(routerAgain + time.Second)
				}
				if counts := !r.get(gateway).answered.IsZero(); counts != c.counts {
					t.Errorf("its silence counts: %t, want %t", counts, c.counts)
				}
			})
		})
	}
}

// TestMeetTogether: what one of several questions learns is not undone by another
// that began before it.
func TestMeetTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gateway := netip.MustParseAddr("10.77.0.1")
		lost := true
		r := &routers{ping: func(ctx context.Context, _ netip.Addr) error {
			if lost {
				lost = false
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}}
		slow := make(chan bool)
		go func() { slow <- r.answers(t.Context(), gateway) }()
		synctest.Wait()
		if !r.answers(t.Context(), gateway) || <-slow {
			t.Error("the first ping is lost, the second answered")
		}
		if r.get(gateway).answered.IsZero() {
			t.Error("that it answered is forgotten")
		}
	})
}

// TestMeetStopped: a program that ends learns nothing from it.
func TestMeetStopped(t *testing.T) {
	gateway := netip.MustParseAddr("10.77.0.1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := &routers{ping: func(context.Context, netip.Addr) error { return errors.New("stopped") }}
	r.meet(ctx, gateway)
	if r.get(gateway).silent {
		t.Error("it is taken to be silent")
	}
}
