package arpwatch

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"porchlight/capture"
	"porchlight/presence"
)

func TestSweepFindsThoseWhoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLAN(t, "192.168.1.2/24")
		live := hostsFrom("192.168.1.100", 50)
		l.answer = func(a netip.Addr, _ int) (time.Duration, bool) { return time.Millisecond, live[a] }
		var last Progress
		res, err := l.w.Sweep(t.Context(), SweepOptions{Rate: 500, Progress: func(p Progress) { last = p }})
		if err != nil {
			t.Fatal(err)
		}
		want := SweepResult{Addresses: 253, Frames: 253 + 203, Passes: 2, Answers: res.Answers, Took: res.Took}
		if d := cmp.Diff(want, res, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
			t.Errorf("result (-want +got):\n%s", d)
		}
		if len(res.Answers) != len(live) {
			t.Fatalf("%d answers, want %d", len(res.Answers), len(live))
		}
		for i, a := range res.Answers {
			if !live[a.Addr] || a.MAC != macOf(a.Addr) || a.Interface != "eth0" || a.Kind != presence.ARPReply {
				t.Errorf("answer %+v", a)
			}
			if i > 0 && !res.Answers[i-1].Addr.Less(a.Addr) {
				t.Errorf("answers are not in order: %v after %v", a.Addr, res.Answers[i-1].Addr)
			}
		}
		if last != (Progress{Asked: 456, Total: 456, Answered: 50, Pass: 2}) {
			t.Errorf("last progress %+v", last)
		}
		// arp-scan with its defaults takes 1.97 s and 462 packets.
		if res.Took > 1300*time.Millisecond {
			t.Errorf("took %v", res.Took)
		}
		checkPace(t, l.times, 500)
		for _, a := range []string{"192.168.1.0", "192.168.1.255", "192.168.1.2"} {
			if l.asked[netip.MustParseAddr(a)] != 0 {
				t.Errorf("%s was asked", a)
			}
		}
	})
}

// TestSweepLossyLAN has phones that answer late and lose every tenth request:
// a third pass finds those that two miss.
func TestSweepLossyLAN(t *testing.T) {
	missed, asked := 0, 0
	const rounds = 20
	for seed := range uint64(rounds) {
		synctest.Test(t, func(t *testing.T) {
			l := newFakeLAN(t, "10.1.0.1/22")
			live := hostsFrom("10.1.1.0", 300)
			rng := rand.New(rand.NewPCG(seed, 1))
			l.answer = func(a netip.Addr, _ int) (time.Duration, bool) {
				return time.Duration(rng.IntN(800)) * time.Millisecond, live[a] && rng.Float64() >= 0.1
			}
			res, err := l.w.Sweep(t.Context(), SweepOptions{Rate: 500, Seed: seed + 1})
			if err != nil {
				t.Fatal(err)
			}
			missed += len(live) - len(res.Answers)
			asked += res.Frames
			checkPace(t, l.times, 500)
		})
	}
	// Two questions each miss 3 of 300 on average.
	if perRound := float64(missed) / rounds; perRound > 1 {
		t.Errorf("%.1f of 300 missed on average", perRound)
	}
	t.Logf("missed %.2f of 300, %d frames on average", float64(missed)/rounds, asked/rounds)
}

// TestSweepLarge is a /16 in the background: 22 minutes a pass.
func TestSweepLarge(t *testing.T) {
	if testing.Short() {
		t.Skip("130,000 frames")
	}
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLAN(t, "10.1.0.1/16")
		live := map[netip.Addr]bool{}
		for i := range 1000 {
			live[netip.AddrFrom4([4]byte{10, 1, byte(i / 4), byte(10 + 60*(i%4))})] = true
		}
		l.answer = func(a netip.Addr, _ int) (time.Duration, bool) { return 5 * time.Millisecond, live[a] }
		res, err := l.w.Sweep(t.Context(), SweepOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Answers) != 1000 || res.Frames != 65533+64533 {
			t.Errorf("%d of 1000 found with %d frames", len(res.Answers), res.Frames)
		}
		checkPace(t, l.times, DefaultRate)
		if want := time.Duration(res.Frames) * time.Second / DefaultRate; res.Took > want+time.Second {
			t.Errorf("took %v, want %v at the rate that was set", res.Took, want)
		}
	})
}

func TestSweepLeavesOutHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLAN(t, "192.168.1.2/28")
		addr := func(s string) netip.Addr { return netip.MustParseAddr(s) }
		l.hear(addr("192.168.1.3"), presence.ARPRequest) // heard long ago
		time.Sleep(20 * time.Minute)
		l.hear(addr("192.168.1.4"), presence.ARPAnnouncement) // heard lately
		l.hear(addr("192.168.1.5"), presence.ARPProbe)        // asks for it, does not have it yet
		l.hearOn("eth0.10", addr("192.168.1.6"), presence.ARPReply)
		l.hear(addr("172.16.0.1"), presence.ARPReply) // not of this subnet
		if n := l.w.Stats().Heard; n != 2 {
			t.Errorf("%d addresses in the table, want 2", n)
		}
		time.Sleep(time.Minute)
		res, err := l.w.Sweep(t.Context(), SweepOptions{SkipHeard: 10 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if res.Skipped != 1 || res.Addresses != 12 {
			t.Errorf("%d skipped, %d to ask; want 1, 12", res.Skipped, res.Addresses)
		}
		got := map[string]int{}
		for _, s := range []string{"192.168.1.3", "192.168.1.4", "192.168.1.5", "192.168.1.6"} {
			got[s] = l.asked[addr(s)]
		}
		want := map[string]int{
			"192.168.1.3": 3, // known: worth insisting
			"192.168.1.4": 0, "192.168.1.5": 2, "192.168.1.6": 2,
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("how often each was asked (-want +got):\n%s", d)
		}
		checkPace(t, l.times, DefaultRate)
	})
}

func TestSweepOrder(t *testing.T) {
	order := func(seed uint64) (out []string) {
		synctest.Test(t, func(t *testing.T) {
			l := newFakeLAN(t, "192.168.1.2/24")
			if _, err := l.w.Sweep(t.Context(), SweepOptions{Rate: 500, Seed: seed}); err != nil {
				t.Fatal(err)
			}
			for _, f := range l.sent {
				out = append(out, netip.AddrFrom4([4]byte(f.Payload[24:28])).String())
			}
		})
		return out
	}
	one, two := order(1), order(1)
	if d := cmp.Diff(one, two); d != "" {
		t.Errorf("the same seed gives another order:\n%s", d)
	}
	if cmp.Equal(one, order(2)) {
		t.Error("another seed gives the same order")
	}
	first, second := one[:253], one[253:]
	if cmp.Equal(first, second) {
		t.Error("both passes have the same order")
	}
	place := map[string]int{}
	for i, a := range first {
		place[a] = i
	}
	for i, a := range second {
		if gap := 253 + i - place[a]; gap < 125 {
			t.Errorf("%s was asked again after %d frames", a, gap)
		}
	}
}

func TestSweepLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLAN(t, "192.168.1.2/29")
		// One is always slow; the other wakes up at the second question only.
		slow, late := netip.MustParseAddr("192.168.1.3"), netip.MustParseAddr("192.168.1.4")
		l.answer = func(a netip.Addr, n int) (time.Duration, bool) {
			return 450 * time.Millisecond, a == slow || a == late && n == 2
		}
		res, err := l.w.Sweep(t.Context(), SweepOptions{Rate: 500, Passes: 2})
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Answers) != 2 {
			t.Errorf("%d answers, want 2: the wait after the last frame was too short", len(res.Answers))
		}
	})
}

func TestSweepCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLAN(t, "192.168.0.2/16")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		start := time.Now()
		res, err := l.w.Sweep(ctx, SweepOptions{})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
		if d := time.Since(start); d > time.Minute+20*time.Millisecond {
			t.Errorf("ended %v after the start, want one minute", d)
		}
		if res.Frames != 3000 && res.Frames != 3001 {
			t.Errorf("%d frames in a minute, want 50 a second", res.Frames)
		}
	})
}

func TestSweepErrors(t *testing.T) {
	prefixes := func(ss ...string) (out []netip.Prefix) {
		for _, s := range ss {
			out = append(out, netip.MustParsePrefix(s))
		}
		return out
	}
	tests := []struct {
		name string
		own  []string
		down bool
		send error
		opt  SweepOptions
		want error // nil: any
	}{
		{name: "no address", want: ErrNothingToSweep},
		{name: "host route and link-local only", own: []string{"10.0.0.1/32", "169.254.3.4/16"}, want: ErrNothingToSweep},
		{name: "link is gone", down: true, want: capture.ErrBlind},
		{name: "link goes during the sweep", own: []string{"10.0.0.1/24"}, send: capture.ErrBlind, want: capture.ErrBlind},
		{name: "prefix too large", opt: SweepOptions{Prefixes: prefixes("10.0.0.0/8")}},
		{name: "too many prefixes", opt: SweepOptions{Prefixes: prefixes("10.0.0.0/16", "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.4.0.0/16")}},
		{name: "IPv6", opt: SweepOptions{Prefixes: prefixes("2001:db8::/120")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newFakeLAN(t, tt.own...)
			l.err = tt.send
			if tt.down {
				l.link = capture.Link{}
			}
			_, err := l.w.Sweep(t.Context(), tt.opt)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			t.Log(err)
		})
	}
}

func TestSweepQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLAN(t, "192.168.1.2/29")
		l.err = unix.ENOBUFS
		time.AfterFunc(100*time.Millisecond, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.err = nil
		})
		res, err := l.w.Sweep(t.Context(), SweepOptions{Rate: 500})
		if err != nil {
			t.Fatal(err)
		}
		if res.Frames != 5 || res.Passes != 2 {
			t.Errorf("%d frames in %d passes, want 5 of the second", res.Frames, res.Passes)
		}
	})
}

func TestSweepOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLAN(t, "192.168.1.2/24")
		done := make(chan error)
		go func() {
			_, err := l.w.Sweep(t.Context(), SweepOptions{})
			done <- err
		}()
		synctest.Wait()
		if _, err := l.w.Sweep(t.Context(), SweepOptions{}); !errors.Is(err, ErrSweeping) {
			t.Errorf("second sweep: %v, want ErrSweeping", err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
