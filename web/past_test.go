package web

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"porchlight/history"
	"porchlight/presence"
)

// past is a history that has the given events.
func past(t *testing.T, events ...presence.Event) *history.Queries {
	t.Helper()
	return pastWith(t, func(*history.Store) {}, events...)
}

// pastWith is one in which more has happened.
func pastWith(t *testing.T, more func(*history.Store), events ...presence.Event) *history.Queries {
	t.Helper()
	s, err := history.Open(t.TempDir(), discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.Append(events)
	more(s)
	if err := s.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s.Queries()
}

// life is what happened to Anna's phone and the NAS of family.
func life(now time.Time) []presence.Event {
	at := func(ago time.Duration, t presence.EventType, mac presence.MAC, name, why string) presence.Event {
		return presence.Event{
			Type: t, Time: now.Add(-ago), ID: mac.ID(), MAC: mac, Name: name, Why: why, Addr: netip.MustParseAddr("192.168.1.23"),
		}
	}
	phone, nas := presence.MAC{2, 0x6f, 0x1e, 0x10, 0, 0x7c}, presence.MAC{0, 0x11, 0x32, 0xaa, 0xbb, 1}
	lost := at(30*time.Hour, presence.SensingLost, presence.MAC{}, "", "no carrier on eth0")
	back := at(29*time.Hour, presence.SensingBack, presence.MAC{}, "", "eth0 is up again")
	lost.ID, lost.Interface, back.ID, back.Interface = "", "eth0", "", "eth0"
	return []presence.Event{
		at(200*time.Hour, presence.NewDevice, nas, "nas", "ARP request"),
		at(200*time.Hour, presence.Arrived, nas, "nas", "ARP request"),
		at(50*time.Hour, presence.NewDevice, phone, "annas-phone", "DHCP REQUEST"),
		at(50*time.Hour, presence.Arrived, phone, "annas-phone", "DHCP REQUEST"),
		at(40*time.Hour, presence.Left, phone, "Anna's phone", "no answer to 6 probes"),
		lost, back,
		at(3*time.Hour, presence.Arrived, phone, "Anna's phone", "ARP probe <b>heard</b>"),
	}
}

func TestEventsPage(t *testing.T) {
	now := time.Now()
	page := handler(t, Config{Source: family(now), History: past(t, life(now)...)})
	for query, want := range map[string][]string{
		"":                                    {"arrived Anna's phone", "sensing back eth0", "sensing lost eth0", "left Anna's phone", "arrived annas-phone", "new device annas-phone", "arrived nas", "new device nas"},
		"?type=left":                          {"left Anna's phone"},
		"?device=Anna's+phone&type=arrived":   {"arrived Anna's phone", "arrived annas-phone"},
		"?device=02:6F:1E:10:00:7C&type=left": {"left Anna's phone"},
		"?device=nobody":                      nil,
		"?type=x'%20OR%201=1":                 nil,
		"?before=2":                           {"new device nas"},
		"?before=x":                           {"arrived Anna's phone", "sensing back eth0", "sensing lost eth0", "left Anna's phone", "arrived annas-phone", "new device annas-phone", "arrived nas", "new device nas"},
		"?day=1999-01-01":                     nil,
	} {
		w := ask(page, "/events"+query)
		if w.Code != http.StatusOK {
			t.Fatalf("%s: status %d: %s", query, w.Code, words(w))
		}
		var got []string
		for _, item := range strings.Split(w.Body.String(), "<li class=")[1:] {
			line, _, _ := strings.Cut(item, "<br>")
			_, line, _ = strings.Cut(line, "</time>")
			line, _, _ = strings.Cut(line, `<span class="soft">`)
			got = append(got, readable(line))
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s shows\n%q, want\n%q", query, got, want)
		}
		if strings.Contains(w.Body.String(), "<b>heard</b>") {
			t.Error("a reason is not escaped")
		}
	}
}

func TestEventsPager(t *testing.T) {
	now := time.Now()
	var many []presence.Event
	for i := range 2*eventsPerPage + 5 {
		m := presence.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}
		many = append(many, presence.Event{Type: presence.Arrived, Time: now, ID: m.ID(), MAC: m, Name: fmt.Sprint("d", i)})
	}
	page := handler(t, Config{Source: family(now), History: past(t, many...)})
	seen, to := 0, "/events?type=arrived"
	for range 5 {
		body := ask(page, to).Body.String()
		seen += strings.Count(body, `<li class="arrived"`)
		_, rest, more := strings.Cut(body, `<a href="?`)
		if !more {
			break
		}
		query, _, _ := strings.Cut(rest, `"`)
		to = "/events?" + strings.ReplaceAll(query, "&amp;", "&")
	}
	if seen != len(many) {
		t.Errorf("%d events on all pages, want %d", seen, len(many))
	}
}

func TestTimeline(t *testing.T) {
	local := time.Local
	time.Local = time.UTC // where each day has 24 hours
	t.Cleanup(func() { time.Local = local })
	now := time.Now()
	page := handler(t, Config{Source: family(now), History: past(t, life(now)...)})
	w := ask(page, "/timeline?span=week")
	body := w.Body.String()
	if w.Code != http.StatusOK || strings.Count(body, `class="lane"`) != 4 {
		t.Fatalf("status %d\n%s", w.Code, words(w))
	}
	// Seven days are 1000 wide: ten hours from 50 hours ago are 59.5 at 702.4.
	for _, want := range []string{`class="home" x="702.4" width="59.5"`, `class="home" x="982.1" width="17.9"`, `class="home" x="0" width="1000"`, `class="blind" x="821.4" width="6"`, "ARP probe &lt;b&gt;heard", "could not hear on eth0 (no carrier on eth0)"} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in\n%s", want, body)
		}
	}
	if day := ask(page, "/timeline").Body.String(); strings.Contains(day, "no answer to 6 probes") || !strings.Contains(day, `x="875" width="125"`) {
		t.Errorf("a day shows\n%s", day)
	}
	if one := ask(page, "/timeline?span=month&q=synology").Body.String(); strings.Count(one, `class="lane"`) != 1 || !strings.Contains(one, `href="?day=`) {
		t.Errorf("the NAS alone:\n%s", one)
	}
	for _, query := range []string{"?span=year", "?day=2999-01-01", "?day=0001-01-01", "?day=x&span=y", "?day=1971-01-01&span=month"} {
		if w := ask(page, "/timeline"+query); w.Code != http.StatusOK {
			t.Errorf("%s: status %d", query, w.Code)
		}
	}
}

// TestTimelineIsBounded draws a device that comes and goes all the time.
func TestTimelineIsBounded(t *testing.T) {
	now := time.Now()
	d := family(now).devices[0]
	var sessions []history.Session
	from := now.AddDate(0, 0, -30)
	for at := from; at.Before(now); at = at.Add(time.Minute) {
		sessions = append(sessions, history.Session{Device: d.ID, From: at, To: at.Add(30 * time.Second), WhyBegan: "x"})
	}
	bars := newPicture(from, now, now, nil).bars(&d, sessions)
	if len(bars) > barsWidth {
		t.Errorf("%d bars", len(bars))
	}
	var title markup
	if title.title(&bars[0]); len(title.b) > 200 {
		t.Errorf("a title has %d bytes", len(title.b))
	}
}

// TestTimelineBeforeTheFirst: where nothing was known yet, nobody is away.
func TestTimelineBeforeTheFirst(t *testing.T) {
	now := time.Now()
	from := now.Add(-100 * time.Hour)
	for _, c := range []struct {
		first time.Time
		want  string
	}{
		{time.Time{}, `x="0" width="1000"`},
		{from.Add(-time.Hour), `x="0" width="1000"`},
		{from.Add(3330 * time.Minute), `x="555" width="445"`},
		{now.Add(time.Hour), `x="1000" width="0"`},
	} {
		d := family(now).devices[0]
		d.FirstSeen = c.first
		var m markup
		m.bars(&d, newPicture(from, now, now, nil), nil)
		if !strings.Contains(string(m.html()), `<rect class="away" `+c.want) {
			t.Errorf("first seen %s: %s", c.first, m.html())
		}
	}
}

func TestDevicePage(t *testing.T) {
	now := time.Now()
	h := family(now)
	h.learned.Home = 14 * 24 * time.Hour
	h.learned.Usual = 40 * time.Second
	for up := time.Second; up < 2*time.Hour; up = up * 5 / 4 {
		b := presence.SilenceBin{UpTo: up}
		if up > 30*time.Second && up <= 15*time.Minute {
			b.Slept = 100
		}
		if up > time.Hour {
			b.Joined = 2
		}
		h.learned.Bins = append(h.learned.Bins, b)
	}
	h.devices[2].FromFile = []string{"name", "groups"}
	h.devices[2].AwayAfter = 17 * time.Minute
	page := handler(t, Config{Source: h, History: past(t, life(now)...)})
	w := ask(page, "/devices/026f1e10007c")
	got := words(w)
	for _, want := range []string{
		"Anna's phone home for 3 h 05 min", "IPv4 address 192.168.1.23", "MAC address 02:6f:1e:10:00:7c, private", "Host name annas-phone",
		"It sleeps for up to 13 min, and is usually heard within 40 s. It is away after 17 min.",
		"in the last 30 days (2)", "no answer to 6 probes", "left Anna's phone", "What is greyed out, the device file decides.",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	body := w.Body.String()
	for _, want := range []string{`name="name" value="Anna&#39;s phone" placeholder="annas-phone" maxlength="63" autocomplete="off" disabled`, `class="slept"`, `class="joined"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in the page", want)
		}
	}
	if strings.Contains(body, "Forget this device") {
		t.Error("a device of the file can be forgotten")
	}
	if w := ask(page, "/devices/ffffffffffff"); w.Code != http.StatusNotFound {
		t.Errorf("one that is not known: status %d", w.Code)
	}
	if got := words(ask(page, "/devices/a4307a010204")); !strings.Contains(got, "Forget this device") {
		t.Error("the television cannot be forgotten")
	}
}
