package household

import (
	"slices"
	"testing"
	"time"

	"porchlight/presence"
)

// TestNudge is what waking the sleepers gains, and what it costs: the same home
// with it and without.
func TestNudge(t *testing.T) {
	t.Parallel()
	run := func(nudged bool) (Score, *Result) {
		p := home(3)
		var cfg presence.Config
		if nudged {
			cfg.Declared = p.Nudge()
		}
		r := Run(p, presence.New(cfg))
		return r.Score(Learning), r
	}
	without, asleep := run(false)
	with, woken := run(true)
	atMost(t, "false aways per device and week", with.PerWeek, 0.25)
	atMost(t, "sleepers, median", Quantile(with.Delays[Sleeper], 0.5), 4*time.Minute)
	atMost(t, "sleepers, longest", Quantile(with.Delays[Sleeper], 1), 8*time.Minute)
	if q := Quantile(without.Delays[Sleeper], 0.5); q < 10*time.Minute {
		t.Errorf("without it, half of them are known within %s: nothing to gain", q)
	}
	atMost(t, "responsive, median", Quantile(with.Delays[Responsive], 0.5), 45*time.Second)
	atMost(t, "probes per device and day", with.Probes, 3000)
	for i, h := range woken.Devices {
		a := woken.Nudges[i] / woken.Days
		switch {
		case asleep.Nudges[i] > 0:
			t.Errorf("%s was nudged without being declared", h.Name)
		case h.Class != Sleeper && a > 0:
			t.Errorf("%s was nudged", h.Name)
		case h.Class == Sleeper && (a < 50 || a > 720):
			t.Errorf("%s: %d nudges a day, want one in two minutes at most", h.Name, a)
		}
	}
}

// TestNudgeInVain has sleepers that a nudge does not wake: nothing is lost but
// the nudges.
func TestNudgeInVain(t *testing.T) {
	t.Parallel()
	p := home(3)
	p.Stubborn = true
	p.Devices = slices.DeleteFunc(p.Devices, func(h Habit) bool { return h.Class != Sleeper })
	s := Run(p, presence.New(presence.Config{Declared: p.Nudge()})).Score(Learning)
	atMost(t, "false aways per device and week", s.PerWeek, 0.25)
	atMost(t, "sleepers' longest delay, in their longest sleeps", s.OverSleep, 1.5)
}
