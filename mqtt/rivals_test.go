package mqtt

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
)

// on starts a session on a host, with the devices first to last.
func on(t *testing.T, b *pipeBroker, host string, first, last int) *running {
	r := start(t, Config{Announce: true, Dial: b.dial, Host: host}, newMemoryLog())
	var devices []presence.Device
	for n := first; n <= last; n++ {
		devices = append(devices, phone(n, presence.Home))
	}
	r.Update(devices)
	r.SetSummary(household(last - first + 1))
	settleDown()
	return r
}

// Two instances with one name: each says so once, neither takes the other's
// devices away, and it is over when one has gone.
func TestRivals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		nas, pi := on(t, b, "nas", 1, 2), on(t, b, "pi", 2, 3)
		time.Sleep(time.Hour)
		synctest.Wait()
		for _, c := range []struct {
			r     *running
			other string
		}{{nas, "pi"}, {pi, "nas"}} {
			want := []string{fmt.Sprintf(`another Porchlight (on %s) uses PORCHLIGHT_NODE "home" on this broker: they overwrite each other's devices; set PORCHLIGHT_NODE to another name on one of them`, c.other)}
			if diff := cmp.Diff(want, c.r.Problems()); diff != "" {
				t.Error(diff)
			}
			if n := strings.Count(c.r.log.String(), "another Porchlight"); n != 1 {
				t.Errorf("said %d times:\n%s", n, c.r.log)
			}
			if n := strings.Count(c.r.log.String(), "\n"); n > 2 {
				t.Errorf("%d lines:\n%s", n, c.r.log)
			}
			if got := c.r.orders.take(); len(got) > 0 {
				t.Error("orders:", got)
			}
		}
		if b.dials > 2 {
			t.Errorf("%d connections", b.dials)
		}
		held := b.retained()
		for _, id := range []presence.ID{id1, id2, id3} {
			if held[options.Config(id)] == "" || held[options.Topics.State(id)] != "home" {
				t.Errorf("%s was taken away", id)
			}
		}

		// What one forgets is not what a user deletes in the other's Home Assistant.
		pi.Remove([]presence.ID{id2})
		settleDown()
		if got := nas.orders.take(); len(got) > 0 {
			t.Error("orders:", got)
		}

		// One restarts: it has another run, but it is not said again.
		pi.stop()
		pi = on(t, b, "pi", 3, 3)
		if n := strings.Count(nas.log.String(), "another Porchlight"); n != 1 {
			t.Errorf("said %d times:\n%s", n, nas.log)
		}

		// And then goes: its offline is not ours, and all is ours again.
		pi.stop()
		settleDown()
		if got := b.retained()[options.Status()]; got != "online" {
			t.Errorf("status is %q while one is there", got)
		}
		watch := b.peer(t, "watch", options.Status())
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		wantWell(t, nas)
		wantNothing(t, b, id3)
		held = b.retained()
		for _, id := range []presence.ID{id1, id2} {
			if held[options.Config(id)] == "" {
				t.Errorf("%s is not announced again", id)
			}
		}
		for _, m := range watch.take() {
			if strings.HasSuffix(m, "offline") {
				t.Error("unavailable although it never went")
			}
		}
		if !strings.Contains(nas.log.String(), "has gone") || strings.Contains(nas.log.String(), "no connection") {
			t.Errorf("log:\n%s", nas.log)
		}
	})
}

// One that was killed and starts again is no other.
func TestNoRivalOfItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		r := on(t, b, "nas", 1, 3)
		for range 5 {
			b.cut() // as a kill looks to the broker
			settleDown()
		}
		r.stop()
		r = on(t, b, "nas", 1, 3)
		time.Sleep(10 * time.Minute)
		wantWell(t, r)
	})
}

// However many claims there are, the answers are few.
func TestClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		stranger := b.peer(t, "stranger")
		stranger.say(t, options.Instance(), true, `{"run":"retained","host":"nowhere","ask":true}`)
		r := on(t, b, "nas", 1, 3)
		watch := b.peer(t, "watch", options.Instance())
		for _, rubbish := range []string{"", "rubbish", "{}", `{"run":5}`, `{"run":"\u0000"}`, strings.Repeat("x", 1<<20), "\xff\xfe", `{"run":"` + strings.Repeat("x", maxClaim) + `"}`} {
			stranger.say(t, options.Instance(), false, rubbish)
		}
		settleDown()
		wantWell(t, r)
		watch.take()

		for range 100 {
			stranger.say(t, options.Instance(), false, `{"ask":true}`)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		answers := 0
		for _, m := range watch.take() {
			if strings.Contains(m, `"host":"nas"`) && !strings.Contains(m, `"ask"`) {
				answers++
			}
		}
		if answers < 1 || answers > 2 {
			t.Errorf("%d answers to 100 questions within a moment, want 1 or 2", answers)
		}
		wantWell(t, r) // who only asks is no instance

		stranger.say(t, "homeassistant/status", false, "online")
		time.Sleep(10 * time.Second)
		stranger.say(t, options.Instance(), false, `{"ask":true}`)
		time.Sleep(2 * time.Second)
		if got := strings.Join(watch.take(), ""); !strings.Contains(got, `"home_assistant":"2000-01-01T00:00:`) {
			t.Errorf("the answer is %s, want when Home Assistant was heard", got)
		}

		for n := range 1000 {
			stranger.say(t, options.Instance(), false, fmt.Sprintf(`{"run":"%d","host":"h%d\u001b[31m"}`, n, n))
		}
		synctest.Wait()
		if got := r.Problems(); len(got) != maxRivals || strings.ContainsRune(strings.Join(got, ""), '\x1b') {
			t.Errorf("%d problems: %q", len(got), got)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		wantWell(t, r)
	})
}

func FuzzParseClaim(f *testing.F) {
	f.Add([]byte(`{"run":"abc","host":"nas","since":"2026-05-01T12:00:00Z","ask":true}`))
	f.Add([]byte(`{"ask":true}`))
	f.Add([]byte("rubbish"))
	f.Add([]byte(`{"run":"\u200b","host":"\ud83d","since":"9999-12-31T23:59:59-23:59","home_assistant":null}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, ok := parseClaim(payload)
		if !ok {
			return
		}
		if len(c.Run) > 64 || len(c.Host) > presence.MaxName || c.Run == "" && !c.Ask {
			t.Errorf("%q gives %+v", payload, c)
		}
	})
}

// Somebody overwrites our online: it is put right, gently.
func TestOnlineIsPutRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		_ = three(t, b)
		watch := b.peer(t, "watch", options.Status())
		stranger := b.peer(t, "stranger")
		synctest.Wait()
		watch.take()
		stranger.say(t, options.Status(), true, "offline")
		time.Sleep(time.Second)
		if got := b.retained()[options.Status()]; got != "online" {
			t.Errorf("a second later it is %q", got)
		}
		watch.take()
		for range 600 { // a minute
			stranger.say(t, options.Status(), true, "offline")
			time.Sleep(100 * time.Millisecond)
		}
		settleDown()
		ours := 0
		for _, m := range watch.take() {
			if strings.HasSuffix(m, "online") {
				ours++
			}
		}
		if ours > 15 {
			t.Errorf("online was published %d times within a minute", ours)
		}
		if got := b.retained()[options.Status()]; got != "online" {
			t.Errorf("at last it is %q", got)
		}
	})
}
