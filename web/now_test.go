package web

import (
	"errors"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porchlight/presence"
)

// get asks the handler of cfg as a browser on this machine does.
func get(t *testing.T, cfg Config, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = discard
	}
	h, err := newHandler(cfg, newGuard(cfg), make(stopper))
	if err != nil {
		t.Fatal(err)
	}
	return ask(h, path, change...)
}

func ask(h http.Handler, path string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "localhost:8580"
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

var tags = regexp.MustCompile(`<[^>]*>`)

var deviceLinks = regexp.MustCompile(`<p class="name"><a href="devices/[0-9a-f]+"><bdi>([^<]*)</bdi>`)

// readable is what a person reads of some HTML.
func readable(s string) string {
	return html.UnescapeString(strings.Join(strings.Fields(tags.ReplaceAllString(s, " ")), " "))
}

// words is what a person reads on the page.
func words(w *httptest.ResponseRecorder) string { return readable(w.Body.String()) }

func TestPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // time stands still
		w := get(t, Config{Source: family(time.Now()), Version: "1.2.3"}, "/")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("status %d, %s", w.Code, w.Header().Get("Content-Type"))
		}
		const want = "2 of 4 devices home · Porchlight Skip to the content Porchlight Now Timeline Events Connections Traffic Health 2 of 4 devices home Newest: Apple, Inc. 02:03, 2 days ago eth0 hears" +
			" Search State any away home Group any Kind any Vendor any Apple, Inc. Synology Incorporated Show" +
			" Home Anna's phone 3 h 05 min 192.168.1.23 02:6f:1e:10:00:7c private MAC ARP reply heard after 3 h 05 min of silence" +
			" nas 8 days 192.168.1.10 00:11:32:aa:bb:01 Synology Incorporated ARP reply heard after 3 h 05 min of silence" +
			" Away Apple, Inc. 02:03 20 min 192.168.1.31 3c:22:fb:01:02:03 Apple, Inc." +
			" no answer to 6 probes in 74 s, nothing heard for 4 min; it is usually heard within 40 s, and had 3 min" +
			" living-room-tv 9 h 00 min 192.168.1.40 a4:30:7a:01:02:04 ARP reply heard after 3 h 05 min of silence" +
			" Porchlight 1.2.3"
		if got := words(w); got != want {
			t.Errorf("the page reads\n%s\nwant\n%s", got, want)
		}
	})
}

func TestPageWithTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		h := family(now)
		h.summary.Problems = []string{"the disk is full: free some space"}
		h.summary.Sensing = []presence.Sensing{{At: now.Add(-90 * time.Second), Interface: "wlan0", Blind: true, Why: "no carrier on wlan0"}}
		got := words(get(t, Config{Source: h}, "/"))
		for _, want := range []string{"What needs attention the disk is full: free some space", "wlan0 hears nothing: no carrier on wlan0, for 90 s"} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not in\n%s", want, got)
			}
		}
	})
	w := get(t, Config{Source: &household{gone: errors.New("the bridge has stopped")}}, "/")
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(words(w), "held up: the bridge has stopped") {
		t.Errorf("without a source: status %d\n%s", w.Code, words(w))
	}
	if got := words(get(t, Config{Source: &household{}}, "/")); !strings.Contains(got, "0 of 0 devices home") || !strings.Contains(got, "Nobody has been heard yet.") {
		t.Errorf("before the first device:\n%s", got)
	}
	one := person("02:00:00:00:00:01", "x", "192.168.1.2", presence.NotHome, time.Time{})
	if got := words(get(t, Config{Source: &household{devices: []presence.Device{one}, summary: presence.Summary{Known: 1}}}, "/")); !strings.Contains(got, "0 of 1 device home") || !strings.Contains(got, "x not heard yet") {
		t.Errorf("with a device that was only named:\n%s", got)
	}
}

func TestLongLists(t *testing.T) {
	h := &household{}
	for i := range 3*maxRows + 7 {
		state := presence.NotHome
		if i < maxRows+2 {
			state = presence.Home
		}
		h.devices = append(h.devices, person(fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8, i&0xff), "", "10.0.0.1", state, time.Unix(int64(i), 0)))
	}
	w := get(t, Config{Source: h}, "/")
	if got := strings.Count(w.Body.String(), `class="name"`); got != 2*maxRows {
		t.Errorf("%d rows", got)
	}
	if got := words(w); !strings.Contains(got, "and 2 more Away") || !strings.Contains(got, fmt.Sprintf("and %d more", maxRows+5)) {
		t.Error("the page does not say how many it leaves out")
	}
}

func TestRelativeURLsOnly(t *testing.T) {
	cfg := Config{Source: family(time.Now()), History: past(t)}
	body := get(t, cfg, "/").Body.String()
	for _, m := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(body, -1) {
		if strings.HasPrefix(m[1], "#") {
			continue
		}
		if strings.HasPrefix(m[1], "/") || strings.Contains(m[1], ":") {
			t.Errorf("%s is not relative", m[0])
		}
		if w := get(t, cfg, path.Join("/", m[1])); w.Code != http.StatusOK {
			t.Errorf("%s: status %d", m[1], w.Code)
		}
	}
	for _, banned := range []string{"<script>", "<style", " onclick=", " style=", "javascript:"} {
		if strings.Contains(body, banned) {
			t.Errorf("the page has %q, which its policy forbids", banned)
		}
	}
}

func TestAssets(t *testing.T) {
	for path, kind := range map[string]string{"/style.css": "text/css; charset=utf-8", "/app.js": "text/javascript; charset=utf-8", "/icon.svg": "image/svg+xml"} {
		w := get(t, Config{Source: &household{}}, path)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != kind {
			t.Errorf("%s: status %d, %s", path, w.Code, w.Header().Get("Content-Type"))
		}
		again := get(t, Config{Source: &household{}}, path, func(r *http.Request) { r.Header.Set("If-None-Match", w.Header().Get("ETag")) })
		if again.Code != http.StatusNotModified {
			t.Errorf("%s asked for again: status %d", path, again.Code)
		}
	}
	for _, path := range []string{"/static/style.css", "/page.html", "/..%2fweb.go", "/x", "//x", "/./", "/style.css/", "//"} {
		if w := get(t, Config{Source: &household{}}, path); w.Code != http.StatusNotFound {
			t.Errorf("%s: status %d", path, w.Code)
		}
	}
}
