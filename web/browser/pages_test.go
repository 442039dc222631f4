package browser

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"porchlight/presence"
)

func TestFirstVisit(t *testing.T) {
	h := newHouse(t, "", nil)
	b := h.open("")
	b.shows("0 of 0 devices home")
	b.shows("Nobody has been heard yet.")
	b.picture("nobody")
	b.barriers()
}

// css chooses an element of a page.
func css(s string) chromedp.CSS { return chromedp.CSS(s) }

// TestLiveArrival shows who comes within a second, without a reload.
func TestLiveArrival(t *testing.T) {
	h := newHouse(t, "", []presence.Record{record(1, "nas")})
	b := h.open("")
	b.shows("1 of 1 device home")
	eval[bool](b, `window.same = true`)
	h.hear(2, "annas-phone")
	took := b.shows("2 of 2 devices home")
	b.shows("annas-phone")
	for n := 3; n <= 7 && took > time.Second; n++ { // others may have the machine for a while
		t.Logf("the arrival was on the page after %v", took.Round(time.Millisecond))
		h.hear(n, fmt.Sprint("phone-", n))
		took = b.shows(fmt.Sprintf("%d of %d devices home", n, n))
	}
	if !eval[bool](b, `window.same === true`) {
		t.Error("the page was loaded anew")
	}
	t.Logf("the arrival was on the page after %v", took.Round(time.Millisecond))
	if took > time.Second {
		t.Errorf("the arrival was on the page after %v, want 1 s", took)
	}
	b.picture("arrived")
}

func TestLogin(t *testing.T) {
	h := newHouse(t, "let me in", []presence.Record{record(1, "nas")})
	b := h.open("events?type=arrived")
	b.expect = []string{"401"}
	b.shows("Log in")
	if strings.Contains(b.text(), "nas") {
		t.Error("the login page tells of a device")
	}
	b.picture("asks")
	b.barriers()
	b.run(chromedp.SendKeys(css(`input[type=password]`), "let me out"+kb.Enter))
	b.shows("That is not the password.")
	b.picture("wrong")
	b.run(chromedp.SendKeys(css(`input[type=password]`), "let me in"+kb.Enter))
	b.shows("Events")
	if at := eval[string](b, `location.href`); at != h.url+"events?type=arrived" {
		t.Errorf("after the login one is at %s", at)
	}
	b.click(`form[action$="logout"] button`)
	b.shows("Log in")
	b.run(chromedp.Navigate(h.url))
	b.shows("Log in")
}

func TestNamingANewDevice(t *testing.T) {
	h := newHouse(t, "", []presence.Record{record(1, "nas")})
	b := h.open("")
	b.shows("1 of 1 device home")
	h.hear(2, "esp-12")
	b.shows("New here")
	b.picture("new")
	b.barriers()
	field := fmt.Sprintf("#name-%s", mac(2).ID())
	b.write(field, "Kett")
	h.hear(3, "other") // what one writes survives what happens meanwhile
	b.shows("3 of 3 devices home")
	b.write(field, "le")
	b.click(field + " ~ button, form:has(" + field + ") button")
	b.shows("Kettle")
	if d, err := h.bridge.Device(t.Context(), mac(2).ID()); err != nil || d == nil || d.Name != "Kettle" {
		t.Errorf("%v, %v", d, err)
	}
	other := string(mac(3).ID())
	b.click(`form[action="devices/` + other + `"] button[name=known]`)
	b.run(chromedp.WaitNotPresent(css(`#name-` + other)))
	if d, err := h.bridge.Device(t.Context(), mac(3).ID()); err != nil || d == nil || !d.Known {
		t.Errorf("%v, %v", d, err)
	}
	h.hear(4, "stranger")
	b.shows("stranger")
	b.click(`form[action="devices/` + string(mac(4).ID()) + `"] button[formaction]`)
	b.run(chromedp.WaitNotPresent(css(`#name-` + string(mac(4).ID()))))
	if d, err := h.bridge.Device(t.Context(), mac(4).ID()); err != nil || d != nil {
		t.Errorf("what was forgotten is still there: %v, %v", d, err)
	}
}

// TestSettings sets all that can be set on a device's page.
func TestSettings(t *testing.T) {
	h := newHouse(t, "", []presence.Record{record(1, "nas")})
	b := h.open("devices/" + string(mac(1).ID()))
	b.shows("What is known")
	b.run(
		chromedp.SetValue(css(`input[name=name]`), "Attic <b>NAS</b>"),
		chromedp.SetValue(css(`select[name=kind]`), "server"),
		chromedp.SetValue(css(`input[name=groups]`), "Machines, Attic"),
		chromedp.SetValue(css(`input[name=away_after]`), "20m"),
		chromedp.SetValue(css(`select[name=track]`), "no"),
		chromedp.SetValue(css(`textarea[name=notes]`), "in the attic"),
	)
	b.click(`input[name=important]`)
	b.click(`form.settings button`)
	b.shows("Attic <b>NAS</b>")
	b.picture("set")
	b.barriers()
	d, err := h.bridge.Device(t.Context(), mac(1).ID())
	if err != nil || d == nil {
		t.Fatal(err)
	}
	want := presence.Settings{Name: "Attic <b>NAS</b>", Kind: presence.Server, Groups: []string{"Machines", "Attic"}, AwayAfter: 20 * time.Minute, Track: new(bool), Important: true, Notes: "in the attic"}
	if !d.Settings.Equal(&want) {
		t.Errorf("%+v", d.Settings)
	}
	b.run(chromedp.SetValue(css(`input[name=away_after]`), "soon"))
	b.click(`form.settings button`)
	b.expect = []string{"422"}
	b.shows("Nothing was changed")
	b.shows("away_after: want seconds")
}

// month is the past of a home of so many devices.
func month(devices int) (records []presence.Record, past []presence.Event) {
	for n := range devices {
		r := record(n, fmt.Sprintf("phone-%02d", n))
		r.Settings.Name = fmt.Sprintf("Phone %02d", n)
		records = append(records, r)
	}
	for d := -30; d < 0; d++ {
		for n := range devices {
			for _, e := range []struct {
				t    presence.EventType
				hour int
				why  string
			}{{presence.Left, 7, "no answer to 6 probes in 74 s"}, {presence.Arrived, 16, "DHCP REQUEST heard"}} {
				at := day(d).Truncate(24 * time.Hour).Add(time.Duration(e.hour)*time.Hour + time.Duration(n)*time.Minute)
				past = append(past, presence.Event{Type: e.t, Time: at, ID: mac(n).ID(), MAC: mac(n), Addr: addr(n), Name: fmt.Sprintf("Phone %02d", n), Why: e.why})
			}
		}
	}
	return records, past
}

func TestTimelineOfAMonth(t *testing.T) {
	records, past := month(100)
	h := newHouse(t, "", records, past...)
	b := h.open("timeline?span=month")
	b.shows("Phone 99")
	if rows := eval[int](b, `document.querySelectorAll(".lane").length`); rows != 100 {
		t.Errorf("%d rows", rows)
	}
	if bars := eval[int](b, `document.querySelectorAll(".lane:first-of-type rect.home, .lane rect.home").length`); bars < 100*28 {
		t.Errorf("%d bars, want one for each day of each device", bars)
	}
	eval[bool](b, `document.querySelectorAll(".lane rect.home")[3].dispatchEvent(new MouseEvent("click", {bubbles: true}))`)
	b.shows("DHCP REQUEST heard. no answer to 6 probes in 74 s")
	b.picture("month")
	b.barriers()
	b.click(`a[href*="span=day"]`)
	b.shows("Phone 42")
	b.picture("day")
}

var everywhere = []string{"", "timeline?span=week", "events", "health", "devices/" + string(mac(1).ID()), "connections", "connections/changes", "traffic?span=month"}

func TestPhoneWidth(t *testing.T) {
	records, past := month(12)
	h := newHouse(t, "", records, past...)
	b := h.open("", chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateTouch))
	for i, path := range everywhere {
		b.run(chromedp.Navigate(h.url + path))
		if wide := eval[float64](b, `document.documentElement.scrollWidth`); wide > 360 {
			t.Errorf("/%s is %v wide", path, wide)
		}
		b.picture(fmt.Sprint(i))
		b.barriers()
	}
}

func TestDark(t *testing.T) {
	records, past := month(12)
	h := newHouse(t, "", records, past...)
	b := h.open("")
	light := eval[string](b, `getComputedStyle(document.body).backgroundColor`)
	b.run(command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}}))
	for i, path := range everywhere {
		b.run(chromedp.Navigate(h.url + path))
		if got := eval[string](b, `getComputedStyle(document.body).backgroundColor`); got == light {
			t.Errorf("/%s is as light in the dark", path)
		}
		b.picture(fmt.Sprint(i))
		b.barriers()
	}
}

// TestWithoutScript has everything there, and everything that can be done.
func TestWithoutScript(t *testing.T) {
	records, past := month(3)
	h := newHouse(t, "", records, past...)
	h.hear(40, "esp-12")
	b := h.open("", command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}))
	body := func() string {
		for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) { // one page may just follow another
			ctx, cancel := context.WithTimeout(b.ctx, patience)
			html, err := chromedp.Run(ctx, chromedp.OuterHTML(css("html")))
			cancel()
			if err == nil {
				return html
			}
			if time.Since(begin) > patience {
				t.Fatal(err)
			}
		}
	}
	for _, path := range everywhere {
		b.run(chromedp.Navigate(h.url + path))
		if !strings.Contains(body(), "Phone 01") && path != "health" {
			t.Errorf("/%s says nothing without script", path)
		}
	}
	b.run(chromedp.Navigate(h.url + "?q=phone-02"))
	if got := body(); strings.Contains(got, ">Phone 01<") || !strings.Contains(got, ">Phone 02<") {
		t.Error("the filter does nothing")
	}
	b.run(chromedp.Navigate(h.url), chromedp.SendKeys(css(fmt.Sprintf("#name-%s", mac(40).ID())), "Kettle"+kb.Enter))
	b.run(chromedp.WaitNotPresent(css(fmt.Sprintf("#name-%s", mac(40).ID()))))
	if d, err := h.bridge.Device(t.Context(), mac(40).ID()); err != nil || d == nil || d.Name != "Kettle" {
		t.Errorf("%v, %v", d, err)
	}
	b.picture("now")
}

// TestKeyboard comes to everything without a mouse.
func TestKeyboard(t *testing.T) {
	records, past := month(2)
	h := newHouse(t, "", records, past...)
	b := h.open("")
	b.shows("Phone 01")
	var seen []string
	for range 40 {
		b.run(chromedp.KeyEvent(kb.Tab))
		at := eval[string](b, `(document.activeElement.innerText || document.activeElement.name || document.activeElement.tagName).trim()`)
		seen = append(seen, at)
		if at == "Phone 01" {
			b.run(chromedp.KeyEvent(kb.Enter))
			b.shows("How it sleeps")
			return
		}
	}
	t.Errorf("no way to the device: %q", seen)
}

func TestTheDoctor(t *testing.T) {
	h := newHouse(t, "", nil)
	b := h.open("health")
	b.click(`#doctor button`)
	b.shows("It is far away.")
	b.shows("Fetch it.")
	b.picture("found")
	b.barriers()
}

// TestServerGone says so, and comes back by itself.
func TestServerGone(t *testing.T) {
	h := newHouse(t, "", []presence.Record{record(1, "nas")})
	b := h.open("")
	b.shows("1 of 1 device home")
	eval[bool](b, `window.fetch = () => Promise.reject(new Error("gone")); true`)
	h.hear(2, "annas-phone")
	b.run(chromedp.WaitVisible(css(`body.stale`)))
	b.picture("stale")
}

// TestMerge makes a phone with a new MAC the one that it was.
func TestMerge(t *testing.T) {
	phone := record(1, "annas-phone")
	phone.Settings.Name = "Anna's phone"
	h := newHouse(t, "", []presence.Record{phone})
	h.hear(2, "annas-phone")
	b := h.open("devices/" + string(mac(1).ID()))
	b.shows("One device")
	b.run(chromedp.SetValue(css(`form[action$="/merge"] select`), string(mac(2).ID())))
	eval[bool](b, `(window.confirm = () => true, true)`)
	b.click(`form[action$="/merge"]:not(.suggestion) button`)
	b.shows("It has several MACs.")
	b.picture("merged")
	b.barriers()
	if d, err := h.bridge.Device(t.Context(), mac(1).ID()); err != nil || d == nil || len(d.MACs) != 2 {
		t.Fatalf("%+v, %v", d, err)
	}
	eval[bool](b, `(window.confirm = () => true, true)`)
	b.click(`input[name=mac][value="` + mac(2).String() + `"] + button`)
	b.run(chromedp.WaitNotPresent(css(`form[action$="/split"]`)))
	devices, _, err := h.bridge.Snapshot(t.Context())
	if err != nil || len(devices) != 2 {
		t.Errorf("%d devices, %v", len(devices), err)
	}
}
