package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"porchlight/history"
	"porchlight/presence"
)

// TestGone: who was merged leads to whom it is part of, and of who was forgotten
// the past is shown.
func TestGone(t *testing.T) {
	now := time.Now()
	h := family(now)
	phone, tv := h.devices[2], h.devices[1]
	events := life(now)
	former := presence.MAC{2, 0, 0, 0, 0, 9}
	events = append(events, presence.Event{Type: presence.Arrived, Time: now.Add(-time.Hour), ID: former.ID(), MAC: former, Name: "old-phone", Why: "ARP request"})
	page := handler(t, Config{Source: h, Commands: h, History: pastWith(t, func(s *history.Store) {
		s.SaveDevices([]presence.Record{{Device: presence.Device{ID: former.ID(), State: presence.NotHome}, MergedInto: phone.ID}})
	}, events...)})
	if w := ask(page, "/devices/"+string(former.ID())); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "../devices/"+string(phone.ID) {
		t.Errorf("who was merged: status %d, to %q", w.Code, w.Header().Get("Location"))
	}
	if w := post(page, "/devices/"+string(former.ID())+"/forget", nil); w.Code != http.StatusNotFound || len(h.done) > 0 {
		t.Errorf("who was merged is forgotten: status %d, %q", w.Code, h.done)
	}
	h.devices = []presence.Device{tv}
	w := ask(page, "/devices/"+string(phone.ID))
	got := words(w)
	for _, want := range []string{"It was forgotten. This is what is left of it.", "annas-phone", "no answer to 6 probes", "All its events"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if w.Code != http.StatusNotFound || strings.Contains(got, "Forget this device") {
		t.Errorf("status %d\n%s", w.Code, got)
	}
	if got := words(ask(page, "/devices/ffffffffffff")); !strings.Contains(got, "It is not known, or was forgotten.") || strings.Contains(got, "Its last events") {
		t.Errorf("one that never was:\n%s", got)
	}
}

// inBerlin has the test run where clocks are put forward and back.
func inBerlin(t *testing.T) *time.Location {
	t.Helper()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	local := time.Local
	time.Local = berlin
	t.Cleanup(func() { time.Local = local })
	return berlin
}

// TestTicks: a day of 23 or 25 hours is divided evenly, and each day of a week
// has its own name.
func TestTicks(t *testing.T) {
	berlin := inBerlin(t)
	for _, test := range []struct {
		day  string
		span int
		want string
	}{
		{"2026-03-29", 0, "00:00 03:52 06:45 09:37 12:30 15:22 18:15 21:07"}, // the clocks go forward
		{"2026-10-25", 0, "00:00 02:07 05:15 08:22 11:30 14:37 17:45 20:52"},
		{"2026-06-01", 0, "00:00 03:00 06:00 09:00 12:00 15:00 18:00 21:00"},
		{"2026-04-01", 1, "Thu 26 Fri 27 Sat 28 Sun 29 Mon 30 Tue 31 Wed 1"},
		{"2026-10-28", 1, "Thu 22 Fri 23 Sat 24 Sun 25 Mon 26 Tue 27 Wed 28"},
		{"2026-04-10", 2, "12 Mar 15 Mar 18 Mar 21 Mar 24 Mar 27 Mar 30 Mar 2 Apr 5 Apr 8 Apr"},
	} {
		from, to := stretch(test.day, spans[test.span].Days, time.Date(2027, 1, 1, 0, 0, 0, 0, berlin))
		if got := strings.Join(spans[test.span].ticks(from, to), " "); got != test.want {
			t.Errorf("%s, a %s: %q, want %q", test.day, spans[test.span].Name, got, test.want)
		}
	}
}

// TestTimelineInParts shows more devices than fit on a page.
func TestTimelineInParts(t *testing.T) {
	h, cfg := crowded(t)
	page := handler(t, cfg)
	seen := map[string]bool{}
	query := "?span=week"
	for n := 0; query != ""; n++ {
		body := ask(page, "/timeline"+strings.ReplaceAll(query, "&amp;", "&")).Body.String()
		lanes := 0
		for _, d := range h.devices {
			if strings.Contains(body, `<a href="devices/`+string(d.ID)+`"`) {
				seen[string(d.ID)] = true
				lanes++
			}
		}
		if lanes == 0 || lanes > lanesPerPage || n > len(h.devices)/lanesPerPage {
			t.Fatalf("part %d has %d lanes", n, lanes)
		}
		before, _, more := strings.Cut(body, `">devices after`)
		query = ""
		if more {
			query = before[strings.LastIndex(before, `"`)+1:]
		}
	}
	if len(seen) != len(h.devices) {
		t.Errorf("%d of %d devices are shown", len(seen), len(h.devices))
	}
	for _, part := range []string{"-1", "99", "x", "9223372036854775807"} {
		if w := ask(page, "/timeline?page="+part); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `class="lane"`) {
			t.Errorf("part %s: status %d", part, w.Code)
		}
	}
}
