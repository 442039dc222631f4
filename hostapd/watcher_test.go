package hostapd

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/hostapd/hostapdtest"
	"porchlight/presence"
	"porchlight/synced"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

func station(n int) presence.MAC { return presence.MAC{2, 0, 0x5e, 0x10, byte(n >> 8), byte(n)} }

// scene is a Watcher that runs, and what it tells: "+ap mac" and "-ap mac" of
// stations, "=ap mac" of those that are listed, and "lost ap".
type scene struct {
	t    *testing.T
	dir  string
	w    *Watcher
	told chan string
	log  synced.Buffer
}

func watch(t *testing.T, sockets ...string) *scene {
	t.Helper()
	s := &scene{t: t, dir: filepath.Join(t.TempDir(), "hostapd"), told: make(chan string, 10000)}
	if len(sockets) == 0 {
		sockets = []string{"."}
	}
	for i, name := range sockets {
		sockets[i] = filepath.Join(s.dir, name)
	}
	s.w = New(Config{
		Sockets:   sockets,
		Interface: func(ap string) string { return "br-" + ap },
		Sight: func(sighting presence.Sighting) {
			if sighting.Interface != "br-"+sighting.AP || time.Since(sighting.At).Abs() > patience {
				t.Errorf("%+v", sighting)
			}
			sign := map[presence.Kind]string{
				presence.WiFiAssociation: "+", presence.WiFiDisassociation: "-", presence.WiFiListed: "=",
			}[sighting.Kind]
			s.told <- sign + sighting.AP + " " + sighting.MAC.String()
		},
		Lost: func(ap string) { s.told <- "lost " + ap },
		Log:  slog.New(slog.NewTextHandler(&s.log, nil)),
	})
	s.w.cfg.pace = pace{look: 20 * time.Millisecond, wait: 100 * time.Millisecond, ping: 100 * time.Millisecond, reply: 3 * time.Second, list: time.Hour}
	return s
}

func (s *scene) run() {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.w.Run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	})
}

func (s *scene) ap(name string, in ...presence.MAC) *hostapdtest.AP {
	s.t.Helper()
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	a, err := hostapdtest.Listen(filepath.Join(s.dir, name), in...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(a.Kill)
	return a
}

// tells waits for what is told next.
func (s *scene) tells(want ...string) {
	s.t.Helper()
	var got []string
	for range want {
		select {
		case line := <-s.told:
			got = append(got, line)
		case <-time.After(patience):
			s.t.Fatalf("told %q, want %q; the log:\n%s", got, want, s.log.String())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.t.Fatalf("(-want +got):\n%s", diff)
	}
}

// until polls what belongs to another goroutine.
func (s *scene) until(what string, f func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited for %s; problems %q, the log:\n%s", what, s.w.Problems(), s.log.String())
		}
	}
}

func (s *scene) hears(a *hostapdtest.AP) {
	s.t.Helper()
	s.until("the watcher to listen", func() bool { return a.Monitors() == 1 && len(s.w.Problems()) == 0 })
}

// saysProblem waits until the only problem has these words.
func (s *scene) saysProblem(words string) {
	s.t.Helper()
	s.until("the problem "+words, func() bool {
		p := s.w.Problems()
		return len(p) == 1 && strings.Contains(p[0], words)
	})
}

// Who was there before is listed, without those who were never let in; then
// each comes and goes by its events, once each.
func TestStations(t *testing.T) {
	t.Parallel()
	s := watch(t, "wlan0")
	a := s.ap("wlan0")
	a.Associate(station(1))
	a.Knock(station(2))
	s.run()
	s.tells("=wlan0 02:00:5e:10:00:01")
	s.hears(a)
	a.Associate(station(3))
	a.Disassociate(station(2)) // was never in
	a.Disassociate(station(1))
	a.Disassociate(station(1)) // hostapd says some of them twice
	a.Say("<3>AP-STA-CONNECTED nonsense")
	a.Say("<3>WPS-PBC-ACTIVE ")
	a.Say("<3>" + strings.Repeat("x", 20000))
	a.Say("")
	a.Associate(station(1))
	s.tells("+wlan0 02:00:5e:10:00:03", "-wlan0 02:00:5e:10:00:01", "+wlan0 02:00:5e:10:00:01")
	if found := Look(t.Context(), s.w.cfg.Sockets); len(found) != 1 || found[0].Stations != 2 || found[0].Err != nil {
		t.Errorf("%+v", found)
	}
}

// A directory stands for all that is in it, also what comes later.
func TestDirectory(t *testing.T) {
	t.Parallel()
	s := watch(t)
	s.run()
	s.saysProblem("ctrl_interface=" + s.dir)
	one := s.ap("wlan0")
	global := s.ap("global")
	global.Break(hostapdtest.Global)
	s.hears(one)
	two := s.ap("wlan1")
	s.hears(two)
	one.Associate(station(1))
	s.tells("+wlan0 02:00:5e:10:00:01")
	two.Associate(station(1))
	s.tells("+wlan1 02:00:5e:10:00:01")
	two.Stop()
	s.tells("-wlan1 02:00:5e:10:00:01", "lost wlan1")
	s.until("that it is forgotten", func() bool { return !strings.Contains(s.log.String(), "global") && len(s.w.Problems()) == 0 })
	if found := Look(t.Context(), []string{s.dir}); len(found) != 1 || found[0].Err != nil || found[0].Stations != 1 {
		t.Errorf("%+v", found)
	}
}

// hostapd ends, is killed, and hangs; each time what was known is lost, and
// when it is back its list counts.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := watch(t, "wlan0")
	a := s.ap("wlan0")
	s.run()
	s.hears(a)
	a.Associate(station(1))
	s.tells("+wlan0 02:00:5e:10:00:01")
	a.Stop()
	s.tells("-wlan0 02:00:5e:10:00:01", "lost wlan0")
	s.saysProblem("no control socket of hostapd at")

	a = s.ap("wlan0")
	s.hears(a)
	a.Associate(station(2))
	s.tells("+wlan0 02:00:5e:10:00:02")
	a.Kill()
	s.tells("lost wlan0")
	s.saysProblem("hostapd has ended")

	a = s.ap("wlan0", station(2))
	s.tells("=wlan0 02:00:5e:10:00:02")
	a.Disable()
	s.tells("-wlan0 02:00:5e:10:00:02", "lost wlan0")
	a.Enable()
	a.Associate(station(2))
	s.tells("+wlan0 02:00:5e:10:00:02")

	a.Break(hostapdtest.Hangs)
	s.tells("lost wlan0")
	s.saysProblem("does not answer")
	a.Break(hostapdtest.None)
	s.tells("=wlan0 02:00:5e:10:00:02")
	s.until("no problem", func() bool { return len(s.w.Problems()) == 0 })
}

// What is no access point is said, and left alone.
func TestNoAccessPoint(t *testing.T) {
	t.Parallel()
	for fault, words := range map[hostapdtest.Fault]string{
		hostapdtest.Global:   "not the control socket of an access point",
		hostapdtest.Garbage:  "cannot be spoken to",
		hostapdtest.Oversize: "cannot be spoken to",
	} {
		s := watch(t, "wlan0")
		a := s.ap("wlan0")
		a.Associate(station(1))
		a.Break(fault)
		s.run()
		s.saysProblem(words)
		found := Look(t.Context(), s.w.cfg.Sockets)
		if len(found) != 1 || found[0].Err == nil {
			t.Errorf("%s: %+v", fault, found)
		}
	}
}

// A list that has no end, and one with more than there can be, are cut off.
func TestEndlessList(t *testing.T) {
	t.Parallel()
	s := watch(t, "wlan0")
	a := s.ap("wlan0")
	a.Break(hostapdtest.Circle)
	a.Associate(station(1))
	s.run()
	s.hears(a)
	s.tells("=wlan0 02:00:5e:10:00:01")

	a.Break(hostapdtest.None)
	var many []presence.MAC
	for n := range 2 * maxStations {
		many = append(many, station(n+10))
	}
	a.Forget(many)
	if found := Look(t.Context(), s.w.cfg.Sockets); len(found) != 1 || found[0].Stations != maxStations {
		t.Errorf("%+v", found)
	}
}

// Events that were lost show in the list.
func TestLostEvents(t *testing.T) {
	t.Parallel()
	s := watch(t, "wlan0")
	a := s.ap("wlan0")
	s.run()
	s.hears(a)
	a.Associate(station(1))
	s.tells("+wlan0 02:00:5e:10:00:01")
	a.Forget([]presence.MAC{station(2)}, station(1))
	a.Enable() // has the list asked for before its time
	s.tells("=wlan0 02:00:5e:10:00:02", "-wlan0 02:00:5e:10:00:01")
}

// Each kind of fault has its words and its remedy.
func TestExplain(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "hostapd", "wlan0")
	for name, test := range map[string]struct {
		path          string
		err           error
		words, remedy string
	}{
		"no permission":  {"/run/hostapd/wlan0", os.ErrPermission, "may not", "ctrl_interface_group"},
		"missing":        {missing, os.ErrNotExist, missing, "ctrl_interface=" + filepath.Dir(missing)},
		"no directory":   {"/run/hostapd", os.ErrNotExist, "/run/hostapd", "ctrl_interface=/run/hostapd"},
		"hangs":          {"/run/hostapd/wlan0", os.ErrDeadlineExceeded, "does not answer", "restart"},
		"no such socket": {"/run/hostapd/global", errNoBSS, "/run/hostapd/global", "directory"},
		"something else": {"/run/hostapd/wlan0", os.ErrInvalid, "invalid", "PORCHLIGHT_HOSTAPD_SOCKETS"},
	} {
		text, remedy := Explain(test.path, test.err)
		if !strings.Contains(text, test.words) || !strings.Contains(remedy, test.remedy) {
			t.Errorf("%s: %q, %q", name, text, remedy)
		}
	}
}

// Without a setting nothing runs, and nothing is wrong.
func TestOff(t *testing.T) {
	w := New(Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Run(ctx); err != nil || len(w.Problems()) > 0 {
		t.Errorf("%v, %q", err, w.Problems())
	}
}
