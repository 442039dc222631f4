package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"porchlight/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a fake of everything around the bridge; its protocol is what was
// called, in order. All of it is called on the loop's goroutine but sweep.
type house struct {
	mu       sync.Mutex
	protocol []string
	seq      int64
	saved    map[presence.ID]presence.Record
	logged   []presence.Event
	probes   []presence.Probe
	sweeps   chan error
	stall    time.Duration // how long the next Update takes
	summary  presence.Summary
	probeErr error
}

func (h *house) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.protocol = append(h.protocol, fmt.Sprintf(format, args...))
}

func (h *house) Append(events []presence.Event) []presence.Event {
	for i := range events {
		h.seq++
		events[i].Seq = h.seq
		h.note("log %s %s", events[i].Type, events[i].ID)
	}
	h.with(func() { h.logged = append(h.logged, events...) })
	return events
}

func (h *house) SaveDevices(records []presence.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range records {
		h.saved[r.ID] = r
	}
}

func (h *house) DeleteDevices(ids []presence.ID) { h.note("delete %v", ids) }

func (h *house) Update(devices []presence.Device) {
	for _, d := range devices {
		h.note("publish %s %s", d.ID, d.State)
	}
	h.mu.Lock()
	stall := h.stall
	h.stall = 0
	h.mu.Unlock()
	time.Sleep(stall)
}

// with has f look at what was noted so far.
func (h *house) with(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

func (h *house) Remove(ids []presence.ID) { h.note("remove %v", ids) }
func (h *house) SetGroups(groups []presence.Group) {
	for _, g := range groups {
		h.note("group %s %q %s", g.Slug, g.Name, g.State)
	}
}
func (h *house) SetSummary(s presence.Summary) { h.summary = s }
func (h *house) Probe(p presence.Probe) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.probes = append(h.probes, p)
	return h.probeErr
}

func (h *house) Sweep(ctx context.Context) (err error) {
	select {
	case err = <-h.sweeps:
	case <-ctx.Done():
	}
	return err
}

func (h *house) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.protocol
	h.protocol = nil
	return p
}

// play runs a bridge in a bubble of virtual time.
func play(t *testing.T, cfg presence.Config, records []presence.Record, f func(*house, *Bridge)) *house {
	t.Helper()
	h := &house{saved: map[presence.ID]presence.Record{}}
	synctest.Test(t, func(t *testing.T) {
		h.sweeps = make(chan error)
		b := New(Config{
			Engine: presence.New(cfg), Log: h, Publisher: h, LAN: h, SweepInterval: 10 * time.Minute,
			Problems: func() []string { return nil },
		})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx, records) }()
		synctest.Wait()
		f(h, b)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if _, _, err := b.Snapshot(context.Background()); err == nil {
			t.Error("a bridge that has ended gave a snapshot")
		}
	})
	return h
}

var (
	phone = presence.MAC{2, 0, 0, 0, 0, 1}
	plug  = presence.MAC{0, 0x16, 0x3e, 0, 0, 2}
)

func heard(mac presence.MAC, k presence.Kind) presence.Sighting {
	return presence.Sighting{At: time.Now(), Interface: "lan0", MAC: mac, Addr: netip.AddrFrom4([4]byte{10, 0, 0, mac[5]}), Kind: k}
}

func TestLogBeforeState(t *testing.T) {
	play(t, presence.Config{AwayAfter: 20 * time.Second}, nil, func(h *house, b *Bridge) {
		h.take()
		changed := b.Changed()
		b.Sight(heard(phone, presence.DHCPRequest))
		synctest.Wait()
		want := []string{"log new_device 020000000001", "log arrived 020000000001", "publish 020000000001 home", `group guests "Guests" home`}
		if diff := cmp.Diff(want, h.take()); diff != "" {
			t.Errorf("arrival (-want +got):\n%s", diff)
		}
		select {
		case <-changed:
		default:
			t.Error("nobody was told of new events")
		}
		h.with(func() {
			if got := h.saved[phone.ID()].State; got != presence.Home {
				t.Errorf("saved as %q", got)
			}
		})
		time.Sleep(19 * time.Second)
		synctest.Wait()
		if got := h.take(); len(got) != 0 {
			t.Errorf("before its timeout: %q", got)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		want = []string{"log left 020000000001", "publish 020000000001 not_home", `group guests "Guests" not_home`}
		if diff := cmp.Diff(want, h.take()); diff != "" {
			t.Errorf("departure (-want +got):\n%s", diff)
		}
		h.with(func() {
			if len(h.probes) < 6 {
				t.Errorf("asked %d times before it was declared away", len(h.probes))
			}
			if h.summary.Known != 1 || h.summary.Home != 0 {
				t.Errorf("summary %+v", h.summary)
			}
		})
	})
}

func TestProbeThatIsNotSentIsNotCounted(t *testing.T) {
	play(t, presence.Config{AwayAfter: 20 * time.Second}, nil, func(h *house, b *Bridge) {
		h.with(func() { h.probeErr = errors.New("no buffer space") })
		b.Sight(heard(phone, presence.DHCPRequest))
		time.Sleep(time.Minute)
		synctest.Wait()
		devices, _, err := b.Snapshot(context.Background())
		if err != nil || len(devices) != 1 || devices[0].State != presence.Home {
			t.Errorf("a device that nobody could ask: %+v, %v", devices, err)
		}
		s, err := b.Stats(context.Background())
		if err != nil || s.Probes != 0 || s.ProbesFailed == 0 || s.Sightings != 1 || s.Events[presence.Arrived] != 1 {
			t.Errorf("stats %+v, %v", s, err)
		}
	})
}

// TestNobodyToAskByIPv6: the address to ask from is lost, and comes back.
func TestNobodyToAskByIPv6(t *testing.T) {
	play(t, presence.Config{AwayAfter: 20 * time.Second}, nil, func(h *house, b *Bridge) {
		b.Sight(presence.Sighting{At: time.Now(), Interface: "lan0", MAC: phone, Addr: netip.MustParseAddr("fe80::1"), Kind: presence.NDPDad})
		synctest.Wait()
		h.with(func() { h.probeErr = errors.New("no IPv6 link-local address to ask from") })
		h.take()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := h.take(); slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "log ") }) {
			t.Errorf("while it cannot be asked: %q", got)
		}
		h.with(func() { h.probeErr = nil })
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := h.take(); !slices.Contains(got, "log left 020000000001") {
			t.Errorf("once it was asked, and did not answer: %q", got)
		}
	})
}

func TestBaselineEndsWithTheFirstSweep(t *testing.T) {
	done := false
	h := &house{saved: map[presence.ID]presence.Record{}}
	synctest.Test(t, func(t *testing.T) {
		h.sweeps = make(chan error)
		b := New(Config{
			Engine: presence.New(presence.Config{Baseline: true}), Log: h, Publisher: h, LAN: h,
			SweepInterval: 10 * time.Minute, BaselineDone: func() { done = true },
		})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx, nil) }()
		b.Sense(presence.Sensing{At: time.Now(), Interface: "lan0"})
		for _, m := range []presence.MAC{phone, plug} {
			b.Sight(heard(m, presence.ARPReply))
		}
		h.sweeps <- errors.New("the interface went down")
		synctest.Wait()
		if done {
			t.Error("the baseline ended without a sweep that worked")
		}
		h.sweeps <- nil
		synctest.Wait()
		if !done {
			t.Error("the baseline did not end with the sweep")
		}
		b.Sight(heard(presence.MAC{2, 0, 0, 0, 0, 9}, presence.DHCPDiscover))
		synctest.Wait()
		cancel()
		<-ended
	})
	var logged []string
	for _, p := range h.take() {
		if strings.HasPrefix(p, "log") {
			logged = append(logged, p)
		}
	}
	want := []string{"log baseline ", "log new_device 020000000009", "log arrived 020000000009"}
	if diff := cmp.Diff(want, logged); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestRestartSaysNothing(t *testing.T) {
	var records []presence.Record
	h := play(t, presence.Config{}, nil, func(_ *house, b *Bridge) {
		for _, m := range []presence.MAC{phone, plug} {
			b.Sight(heard(m, presence.DHCPRequest))
		}
		synctest.Wait()
	})
	for _, r := range h.saved {
		records = append(records, r)
	}
	play(t, presence.Config{}, records, func(h *house, b *Bridge) {
		time.Sleep(5 * time.Second)
		synctest.Wait()
		got := h.take()
		slices.Sort(got)
		guests := `group guests "Guests" home`
		want := []string{"publish " + string(plug.ID()) + " home", "publish " + string(phone.ID()) + " home", guests, guests}
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("after a restart (-want +got):\n%s", diff)
		}
		h.with(func() {
			if len(h.probes) != 2 {
				t.Errorf("asked %d of 2 devices at the start", len(h.probes))
			}
		})
	})
}

func TestHeldUpIsBlind(t *testing.T) {
	play(t, presence.Config{AwayAfter: 20 * time.Second}, nil, func(h *house, b *Bridge) {
		b.Sense(presence.Sensing{At: time.Now(), Interface: "lan0"})
		b.Sight(heard(phone, presence.DHCPRequest))
		synctest.Wait()
		h.take()
		time.Sleep(10 * time.Second)
		h.with(func() { h.stall = time.Minute }) // the next turn that publishes takes so long
		b.Sight(heard(plug, presence.DHCPRequest))
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		got := strings.Join(h.take(), "\n")
		if !strings.Contains(got, "log sensing_back") || strings.Contains(got, "log left") {
			t.Errorf("after being held up:\n%s", got)
		}
	})
}

func TestGap(t *testing.T) {
	for _, c := range []struct {
		steady, wall, late time.Duration
		want               string
	}{
		{time.Second, time.Second, 0, ""},
		{time.Second, 3 * time.Second, 0, ""}, // a small step of NTP
		{time.Second, time.Hour, 0, "this machine slept, or its clock was set forward, by 59 min"},
		{time.Minute, -time.Hour, 0, "the clock was set back by 1 h 01 min"},
		{time.Minute, time.Minute, 40 * time.Second, "Porchlight was held up for 40 s"},
	} {
		got := gap(c.steady, c.wall, c.late)
		if c.wall == time.Hour {
			got = strings.Replace(got, "60 min", "59 min", 1)
		}
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("gap(%s, %s, %s) = %q, want %q", c.steady, c.wall, c.late, got, c.want)
		}
	}
}

func TestCommands(t *testing.T) {
	play(t, presence.Config{}, nil, func(h *house, b *Bridge) {
		b.Sight(heard(phone, presence.DHCPRequest))
		synctest.Wait()
		h.take()
		name, off := "Ann's phone", false
		b.Set(phone.ID(), presence.Change{Name: &name})
		b.Set("0123456789ab", presence.Change{Name: &name})
		synctest.Wait()
		h.with(func() {
			if d := h.saved[phone.ID()]; d.Name != name {
				t.Errorf("saved name %q", d.Name)
			}
		})
		b.Set(phone.ID(), presence.Change{Track: &off})
		synctest.Wait()
		devices, _, _ := b.Snapshot(context.Background())
		if len(devices) != 1 || devices[0].Tracked {
			t.Errorf("still tracked: %+v", devices)
		}
	})
}

// TestGuestsAcrossKills: a guest of whom only the log knows yet when Porchlight is
// killed is told a day later, and not again after a kill just then.
func TestGuestsAcrossKills(t *testing.T) {
	cfg := presence.Config{NewGuests: presence.GuestsDaily}
	digests := func(h *house) (n int) {
		h.with(func() {
			for _, e := range h.logged {
				if e.Type == presence.NewGuests {
					n++
				}
			}
		})
		return n
	}
	h := play(t, cfg, nil, func(_ *house, b *Bridge) {
		b.Sight(heard(phone, presence.DHCPRequest))
		synctest.Wait()
	})
	if len(h.logged) != 1 || h.logged[0].Type != presence.Arrived {
		t.Errorf("at once: %+v", h.logged)
	}
	records := CatchUp(nil, h.logged)
	h = play(t, cfg, slices.Clone(records), func(h *house, _ *Bridge) {
		time.Sleep(23 * time.Hour)
		synctest.Wait()
		if digests(h) != 0 {
			t.Error("told too early")
		}
		time.Sleep(2 * time.Hour)
	})
	if digests(h) != 1 {
		t.Errorf("told %d times", digests(h))
	}
	h = play(t, cfg, CatchUp(records, h.logged), func(*house, *Bridge) { time.Sleep(48 * time.Hour) })
	if digests(h) != 0 {
		t.Error("told again")
	}
}

// TestMergeAndSplit: the event first, then the topics, then what is stored, of
// both; nothing is deleted.
func TestMergeAndSplit(t *testing.T) {
	play(t, presence.Config{MaxTracked: -1}, nil, func(h *house, b *Bridge) {
		b.Sight(heard(phone, presence.DHCPRequest))
		b.Sight(heard(plug, presence.DHCPRequest))
		synctest.Wait()
		h.take()
		b.Merge(phone.ID(), []presence.ID{plug.ID()})
		synctest.Wait()
		want := []string{"log merged 020000000001", "remove [" + string(plug.ID()) + "]", "publish 020000000001 home"}
		if diff := cmp.Diff(want, h.take()); diff != "" {
			t.Errorf("merge (-want +got):\n%s", diff)
		}
		h.with(func() {
			if whole, part := h.saved[phone.ID()], h.saved[plug.ID()]; len(whole.Ports) != 2 || part.MergedInto != phone.ID() {
				t.Errorf("stored: %+v\n%+v", whole, part)
			}
		})
		b.Merge(plug.ID(), []presence.ID{phone.ID()}) // a loop
		b.Split(phone.ID(), []presence.MAC{phone})
		synctest.Wait()
		if got := h.take(); len(got) > 0 {
			t.Errorf("what cannot be: %v", got)
		}
		if err := b.MergeNow(context.Background(), phone.ID(), []presence.ID{phone.ID()}); err == nil {
			t.Error("a device is part of itself")
		}
		if err := b.SplitNow(context.Background(), phone.ID(), []presence.MAC{phone}); err == nil {
			t.Error("a device loses its only MAC")
		}
		b.Split(phone.ID(), []presence.MAC{plug})
		synctest.Wait()
		want = []string{
			"log split 020000000001", "log arrived " + string(plug.ID()), `group guests "Guests" home`,
			"publish " + string(plug.ID()) + " home", "publish 020000000001 home",
		}
		got := h.take()
		slices.Sort(want[2:])
		slices.Sort(got[min(2, len(got)):]) // the publisher sends them in its own order
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("split (-want +got):\n%s", diff)
		}
		h.with(func() {
			if whole, part := h.saved[phone.ID()], h.saved[plug.ID()]; whole.Ports != nil || part.MergedInto != "" {
				t.Errorf("stored: %+v\n%+v", whole, part)
			}
		})
	})
}

// TestDeviceFile: what the file says is there before the first publish, wins
// over commands, and goes with the file; groups follow their members.
func TestDeviceFile(t *testing.T) {
	name, groups, other := "Ann's phone", []string{"Parents"}, "other"
	file := []presence.Declaration{{MAC: phone, Change: presence.Change{Name: &name, Groups: &groups}}}
	h := play(t, presence.Config{AwayAfter: 20 * time.Second, Declared: file}, nil, func(h *house, b *Bridge) {
		b.Sight(heard(phone, presence.DHCPRequest))
		synctest.Wait()
		want := []string{
			`group parents "Parents" not_home`, "publish 020000000001 not_home", // at the start
			"publish 020000000001 not_home", `group parents "Parents" not_home`, // it is stored
			"log arrived 020000000001", "publish 020000000001 home", `group parents "Parents" home`,
		}
		if diff := cmp.Diff(want, h.take()); diff != "" {
			t.Errorf("protocol (-want +got):\n%s", diff)
		}
		b.Set(phone.ID(), presence.Change{Name: &other})
		synctest.Wait()
		d, _, _ := b.Snapshot(context.Background())
		if len(d) != 1 || d[0].Name != name {
			t.Errorf("a command won over the file: %+v", d)
		}
		h.take()
		time.Sleep(2 * time.Minute) // a flush
		b.Sight(heard(phone, presence.DHCPRequest))
		time.Sleep(2 * time.Minute)
		h.with(func() {
			if r := h.saved[phone.ID()]; r.Name != other || len(r.Groups) != 0 {
				t.Errorf("stored: %+v, want the user's own settings", r.Settings)
			}
		})
		b.Declare(nil)
		synctest.Wait()
		d, _, _ = b.Snapshot(context.Background())
		if len(d) != 1 || d[0].Name != other || len(d[0].Groups) != 0 {
			t.Errorf("after the file: %+v", d)
		}
	})
	if len(h.saved) != 1 {
		t.Errorf("%d devices saved", len(h.saved))
	}
}

func TestScanOnDemand(t *testing.T) {
	play(t, presence.Config{}, nil, func(h *house, b *Bridge) {
		b.Sense(presence.Sensing{At: time.Now(), Interface: "lan0"})
		h.sweeps <- nil // the one at the start
		b.Scan()
		b.Scan() // while one waits, another is not needed
		h.sweeps <- nil
		synctest.Wait()
		s, _ := b.Stats(context.Background())
		if s.Sweeps != 2 {
			t.Errorf("%d sweeps, want 2", s.Sweeps)
		}
		time.Sleep(10*time.Minute + time.Second)
		h.sweeps <- nil // the next interval
	})
}

func TestInboxIsBounded(t *testing.T) {
	in := newInbox()
	for range inboxSize + 7 {
		in.sight(presence.Sighting{})
	}
	if got := in.lost(); got != 7 {
		t.Errorf("dropped %d, want 7", got)
	}
	s, _ := in.swap(nil, nil)
	if len(s) != inboxSize {
		t.Errorf("kept %d", len(s))
	}
}

func TestInboxKeepsOrder(t *testing.T) {
	in := newInbox()
	in.sight(presence.Sighting{})
	in.call(func() {})
	in.sight(presence.Sighting{})
	s, c := in.swap(nil, nil)
	if len(s) != 2 || len(c) != 1 || c[0].after != 1 {
		t.Errorf("%d sightings, call after %d", len(s), c[0].after)
	}
}

// What others tell of devices reaches those who show them and the log.
func TestTell(t *testing.T) {
	known := presence.Record{Device: presence.Device{ID: phone.ID(), MAC: phone, State: presence.NotHome, FirstSeen: time.Unix(1, 0)}}
	h := play(t, presence.Config{Track: presence.TrackAll, MaxTracked: 10}, []presence.Record{known}, func(h *house, b *Bridge) {
		h.take()
		b.Tell(presence.NameFromLease, []presence.Told{{MAC: phone, Name: "kettle"}, {MAC: presence.MAC{2, 0, 0, 0, 0, 9}, Name: "ghost"}})
		synctest.Wait()
		if diff := cmp.Diff([]string{"publish " + string(phone.ID()) + " not_home"}, h.take()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	if r := h.saved[phone.ID()]; r.HostName != "kettle" || r.HostNameSource != presence.NameFromLease || len(h.saved) != 1 {
		t.Errorf("saved %+v", h.saved)
	}
}

// TestChanged says that there is something to show, and only then.
func TestChanged(t *testing.T) {
	play(t, presence.Config{Baseline: true}, nil, func(_ *house, b *Bridge) {
		hear := func() { b.Sight(heard(phone, presence.ARPAnnouncement)) }
		for _, step := range []struct {
			name string
			do   func()
			want bool
		}{
			{"a device of the first run", hear, true},
			{"the same again", hear, false},
			{"a name", func() { b.Set(phone.ID(), presence.Change{Name: new("Anna")}) }, true},
			{"forgotten", func() { b.Forget(phone.ID()) }, true},
		} {
			changed := b.Changed()
			step.do()
			synctest.Wait()
			select {
			case <-changed:
				if !step.want {
					t.Errorf("%s: there is something to show", step.name)
				}
			default:
				if step.want {
					t.Errorf("%s: there is nothing to show", step.name)
				}
			}
		}
	})
}
