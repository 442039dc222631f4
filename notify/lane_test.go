package notify

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
)

func (r *rig) want(when string, titles ...string) {
	r.t.Helper()
	if diff := cmp.Diff(titles, r.titles()); diff != "" {
		r.t.Errorf("%s: %s", when, diff)
	}
}

func TestEachEventOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "new, left")
		r.start()
		r.book.happen(presence.Baseline, 0)
		r.want("the first list", "The first list of devices")
		r.book.happen(presence.NewDevice, 1)
		r.book.happen(presence.Arrived, 1)
		r.book.happen(presence.Left, 1)
		r.want("at once", "New device: device 1", "device 1 left")
		r.stop()
		r.start()
		time.Sleep(time.Hour)
		r.want("after a restart")
		r.stop()
		r.book.happen(presence.NewDevice, 2)
		r.start()
		r.want("what happened meanwhile", "New device: device 2")
		r.stop()
	})
}

func TestNewServiceBeginsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "new")
		for n := range 20 {
			r.book.happen(presence.NewDevice, n)
		}
		r.cfg.Begin = 20
		r.start()
		r.want("what was long ago")
		r.book.happen(presence.NewDevice, 21)
		r.want("what is new", "New device: device 21")
		r.stop()
	})
}

// TestAwayForADay has a service that is down get what it missed.
func TestAwayForADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "new, arrived")
		r.is(errRefused, 0)
		r.start()
		r.book.happen(presence.NewDevice, 1)
		for range 24 {
			time.Sleep(time.Hour)
			r.book.happen(presence.Arrived, 2)
		}
		r.stop() // in the middle of it
		r.start()
		time.Sleep(time.Hour)
		r.is(nil, 0)
		time.Sleep(lastPause)
		r.want("once it is back", "1 new device, 24 arrived")
		r.book.happen(presence.Arrived, 3)
		r.want("then", "device 3 is home")
		r.stop()
	})
}

func TestHandfulIsSaidOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "arrived")
		r.is(errRefused, 0)
		r.start()
		var want []string
		for n := range handful {
			r.book.happen(presence.Arrived, n)
			want = append(want, fmt.Sprintf("device %d is home", n))
		}
		r.is(nil, 0)
		time.Sleep(lastPause)
		r.want("a handful", want...)
		r.stop()
	})
}

func TestQuietHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // it is midnight in UTC
		r := newRig(t, "arrived, sensing!", func(c *Config) { c.Quiet = "22:00-07:00" })
		now := time.Now()
		time.Sleep(time.Date(now.Year(), now.Month(), now.Day()+1, 23, 0, 0, 0, time.Local).Sub(now))
		r.start()
		r.book.happen(presence.Arrived, 1)
		r.book.happen(presence.Arrived, 2)
		r.book.happen(presence.SensingLost, 0)
		r.want("at night", "Porchlight cannot hear on")
		time.Sleep(8*time.Hour - time.Second)
		r.want("before seven")
		time.Sleep(time.Second)
		r.want("at seven", "device 1 is home", "device 2 is home")
		r.stop()
	})
}

func TestHourlyLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "arrived", func(c *Config) { c.PerHour = 3 })
		r.start()
		count := 0
		for n := range 120 { // two hours
			r.book.happen(presence.Arrived, n)
			count += len(r.titles())
			if n == 60 { // the count survives a restart
				r.stop()
				r.start()
			}
			time.Sleep(time.Minute)
		}
		if count > 7 {
			t.Errorf("%d messages in two hours, want at most 3 in each", count)
		}
		time.Sleep(time.Hour)
		last := r.titles()
		if len(last) != 1 || !strings.HasPrefix(last[0], "50 arrived, and ") {
			t.Errorf("the rest came as %q, want one digest", last)
		}
		r.stop()
	})
}

func TestGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "gone:45m, gone:2h/Kids")
		r.book.devices[idOf(1)] = &presence.Device{Settings: presence.Settings{Important: true}}
		r.book.devices[idOf(2)] = &presence.Device{}
		r.book.devices[idOf(3)] = &presence.Device{Settings: presence.Settings{Groups: []string{"kids!"}}}
		r.start()
		for n := range 4 {
			r.book.happen(presence.Left, n)
		}
		time.Sleep(44 * time.Minute)
		r.want("before its time")
		r.stop()
		r.start() // the waiting survives
		time.Sleep(time.Minute)
		r.want("an important one", "device 1 is still gone")
		r.stop()
		r.start()
		time.Sleep(75 * time.Minute)
		r.want("one of the group", "device 3 is still gone")
		time.Sleep(24 * time.Hour)
		r.want("and never again")

		r.book.happen(presence.Left, 1)
		time.Sleep(30 * time.Minute)
		r.book.happen(presence.Arrived, 1)
		time.Sleep(24 * time.Hour)
		r.want("one that came back")
		r.stop()
	})
}

// TestBackBeforeItCouldBeSaid says nothing of an absence that is over.
func TestBackBeforeItCouldBeSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "gone:45m", func(c *Config) { c.Quiet = "00:00-23:00" })
		r.book.devices[idOf(1)] = &presence.Device{Settings: presence.Settings{Important: true}}
		r.start()
		r.book.happen(presence.Left, 1)
		time.Sleep(2 * time.Hour)
		r.book.happen(presence.Arrived, 1)
		time.Sleep(24 * time.Hour)
		r.want("it is home by then")
		r.stop()
	})
}

// TestKills has the process killed before and after each message is noted, with
// every rule.
func TestKills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, strings.Replace(strings.Join(Words(), ","), gone, gone+":10m", 1))
		types := []presence.EventType{
			presence.NewDevice, presence.Left, presence.AddressConflict, presence.SensingLost, presence.Arrived, presence.MergeSuggested,
		}
		const rounds = 60
		for n := range rounds {
			r.book.devices[idOf(n)] = &presence.Device{Settings: presence.Settings{Important: true}}
		}
		r.is(nil, time.Second)
		var want []string
		var told strings.Builder
		note := func() { told.WriteString(strings.Join(r.texts(), "\n") + "\n") }
		for n := range rounds {
			r.start()
			e := presence.Event{Type: types[n%len(types)], ID: idOf(n), Name: fmt.Sprintf("device %02d", n), Interface: fmt.Sprintf("lan%02d", n), Why: "because"}
			r.book.log(e)
			want = append(want, headline(&e))
			if e.Type == presence.Left {
				e.Type = goneType
				want = append(want, headline(&e))
			}
			time.Sleep(time.Duration(n) * 43 * time.Millisecond) // before, while and after it is sent
			r.stop()
			time.Sleep(2 * time.Second) // what was under way arrives
			note()
			r.book.kill()
			time.Sleep(time.Minute)
		}
		r.start()
		time.Sleep(time.Hour)
		note()
		r.stop()
		r.start()
		time.Sleep(time.Hour)
		if again := r.titles(); len(again) > 0 {
			t.Errorf("said again: %q", again)
		}
		r.stop()
		for _, what := range want {
			if n := strings.Count(told.String(), what); n < 1 || n > 2 {
				t.Errorf("%q was said %d times, want one or two", what, n)
			}
		}
	})
}

// TestSlowService takes an answer that comes after the deadline for what it is.
func TestSlowService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "new")
		r.is(nil, 2*tryFor)
		r.start()
		r.book.happen(presence.NewDevice, 1)
		r.book.happen(presence.NewDevice, 2)
		time.Sleep(tryFor + time.Second)
		r.want("after the deadline")
		time.Sleep(10 * time.Minute)
		r.want("in the end each once", "New device: device 1", "New device: device 2")
		r.stop()
		time.Sleep(time.Hour)
	})
}

// TestLogAway waits for a database that cannot be read.
func TestLogAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "new")
		r.start()
		r.book.mu.Lock()
		r.book.away = errRefused
		r.book.mu.Unlock()
		r.book.happen(presence.NewDevice, 1)
		time.Sleep(time.Minute)
		r.want("meanwhile")
		r.book.mu.Lock()
		r.book.away = nil
		r.book.mu.Unlock()
		time.Sleep(time.Minute)
		r.want("then", "New device: device 1")
		r.stop()
	})
}

func TestStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "new, left!")
		r.is(errRefused, 0)
		n, err := New(r.cfg)
		if err != nil {
			t.Fatal(err)
		}
		_ = n
		if got := n.States(); len(got) != 1 || got[0].Service != "generic" || got[0].Fault != "" {
			t.Errorf("%+v", got)
		}
		n.lanes[1].failed(errRefused)
		if got := n.Problems(); len(got) != 1 || !strings.Contains(got[0], "generic do not arrive: it answered 500") {
			t.Errorf("%q", got)
		}
	})
}

// TestRename keeps the place of a service that gets another name, and not of one
// that gets another address.
func TestRename(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "new", func(c *Config) { c.URLs = "phone=generic://hook.example/x" })
		r.start()
		r.book.happen(presence.NewDevice, 1)
		r.want("at first", "New device: device 1")
		r.stop()
		r.book.happen(presence.NewDevice, 2)
		r.cfg.URLs = "tablet=generic://hook.example/x"
		r.start()
		r.want("by another name", "New device: device 2")
		r.stop()
		r.cfg.URLs, r.cfg.Begin = "tablet=generic://hook.example/y", 2
		r.start()
		r.want("at another address")
		r.stop()
	})
}
