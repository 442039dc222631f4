package reach

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"porchlight/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var device = presence.MAC{0x02, 0, 0x5e, 0x10, 0, 1}

func probe(i int, port uint16) presence.Probe {
	r := presence.Reach{Addr: netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), Port: port}
	return presence.Probe{Interface: presence.Routed, MAC: device, Addr: r.Addr, Reach: r}
}

// play runs a Prober, whose questions are answered by ask, in a bubble of virtual
// time. What it tells is in told.
func play(t *testing.T, ask func(context.Context, presence.Reach) (bool, error), f func(p *Prober, told chan string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		told := make(chan string, 2*(atOnce+queueLen))
		p := New(Config{
			Sight:  func(s presence.Sighting) { told <- fmt.Sprintf("%s %s %s %s", s.MAC, s.Interface, s.Addr, s.Kind) },
			Unsent: func(q presence.Probe) { told <- "unsent " + q.Reach.String() },
		})
		p.ask, p.learn = ask, func(context.Context, netip.Addr) {}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- p.Run(ctx) }()
		synctest.Wait()
		f(p, told)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

// TestProbe: an answer is a sighting, silence is nothing, and a way that is cut
// is told, and is a problem for as long as it is asked.
func TestProbe(t *testing.T) {
	cut := errors.New("the router 10.0.0.1 does not answer")
	ask := func(_ context.Context, r presence.Reach) (bool, error) {
		switch r.Addr.As4()[3] {
		case 1:
			return true, nil
		case 2:
			return false, nil
		}
		return false, cut
	}
	play(t, ask, func(p *Prober, told chan string) {
		for _, c := range []struct {
			probe presence.Probe
			want  string
		}{
			{probe(1, 0), "02:00:5e:10:00:01 routed 10.9.0.1 answer to a ping"},
			{probe(1, 22), "02:00:5e:10:00:01 routed 10.9.0.1 answer to a TCP connection"},
			{probe(2, 22), ""},
			{probe(3, 0), "unsent ping 10.9.0.3"},
			{probe(3, 22), "unsent tcp 10.9.0.3:22"},
		} {
			if err := p.Probe(c.probe); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			got := ""
			if len(told) > 0 {
				got = <-told
			}
			if got != c.want {
				t.Errorf("%s: told %q, want %q", c.probe.Reach, got, c.want)
			}
		}
		if got := p.Problems(); len(got) != 1 || got[0] != "nobody can be asked at 10.9.0.3: the router 10.0.0.1 does not answer" {
			t.Errorf("problems %q", got)
		}
		cut = nil
		if err := p.Probe(probe(3, 0)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := p.Problems(); len(got) > 0 || len(told) > 0 {
			t.Errorf("when it is open again: %q", got)
		}
	})
}

// TestManyProblems are told in a few lines, and forgotten when nobody asks.
func TestManyProblems(t *testing.T) {
	ask := func(context.Context, presence.Reach) (bool, error) { return false, errNoRoute }
	play(t, ask, func(p *Prober, _ chan string) {
		for i := range 9 {
			if err := p.Probe(probe(i, 0)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		got := p.Problems()
		if len(got) != maxTold+1 || !strings.Contains(got[maxTold], "6 more") || !strings.Contains(got[0], "10.9.0.0") {
			t.Errorf("problems %q", got)
		}
		time.Sleep(stale + time.Second)
		if got := p.Problems(); len(got) > 0 {
			t.Errorf("long after: %q", got)
		}
	})
}

// TestPatience: so many are waited for at once that there is an end to it, and who
// asks is never held up.
func TestPatience(t *testing.T) {
	ask := func(ctx context.Context, _ presence.Reach) (bool, error) {
		select {
		case <-ctx.Done():
		case <-time.After(patience):
		}
		return false, nil
	}
	play(t, ask, func(p *Prober, told chan string) {
		began := time.Now()
		taken := 0
		for i := range 2 * (atOnce + queueLen) {
			err := p.Probe(probe(i, 0))
			if err == nil {
				taken++
			} else if !errors.Is(err, errBusy) {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if most := atOnce + queueLen + 1; taken < atOnce+queueLen || taken > most {
			t.Errorf("%d are under way, want at most %d", taken, most)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("it was held up for %s", took)
		}
		time.Sleep(3 * patience)
		synctest.Wait()
		if err := p.Probe(probe(1, 0)); err != nil || len(told) > 0 {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// TestEndWhileAsking: what is under way when it ends is told to nobody.
func TestEndWhileAsking(t *testing.T) {
	ask := func(ctx context.Context, _ presence.Reach) (bool, error) {
		<-ctx.Done()
		return false, ctx.Err()
	}
	var kept chan string
	play(t, ask, func(p *Prober, told chan string) {
		kept = told
		if err := p.Probe(probe(1, 0)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	})
	if len(kept) > 0 {
		t.Error("something was told")
	}
}
