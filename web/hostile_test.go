package web

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"porchlight/connections"
	"porchlight/history"
	"porchlight/presence"
	"porchlight/traffic"
)

// hostile is what strangers may call themselves, and users their devices.
var hostile = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(1)>`,
	`' onmouseover='alert(1)`,
	`x onfocus=alert(1) autofocus`,
	`</bdi></li></ul><iframe src="//example.com">`,
	`</title></svg></textarea></option></select><script>alert(1)</script>`,
	`--><script>alert(1)</script><!--`,
	`]]><svg/onload=alert(1)>`,
	`{{.Version}}`,
	`javascript:alert(1)`,
	`&lt;script&gt;`,
	`%22%3E%3Cscript%3E`,
	"`${alert(1)}`",
	"a\r\nSet-Cookie: porchlight=x\r\n\r\n<script>",
	"\u202egnp.exe<b>",
	"\xff\xfe\x00<b",
	"\u2028\u2029<b>",
	strings.Repeat("W", 63),
	strings.Repeat("<b>", 300),
}

// attributes are the values of attributes, in quotes as all of ours are.
var attributes = regexp.MustCompile(`="[^"<>]*"`)

// shape is the tags of a page, without what attributes hold, and sorted: what
// devices are called decides where they stand in a list, and what is chosen.
func shape(page string) []string {
	plain := strings.ReplaceAll(attributes.ReplaceAllString(page, `=""`), " selected", "")
	return slices.Sorted(slices.Values(tags.FindAllString(plain, -1)))
}

// haunt is a house in which everything that anybody can choose is text, and a
// page on which the doctor says it, too.
func haunt(t *testing.T, text string) http.Handler {
	now := time.Now()
	h := family(now)
	d := &h.devices[2] // Anna's phone
	d.HostName, d.Vendor, d.VendorClass, d.ClientID, d.Fingerprint, d.Interface, d.Why = text, text, text, text, text, text, text
	d.HostNameSource = presence.NameSource(text)
	d.Name, d.Icon, d.Kind, d.Groups, d.Notes = text, text, presence.DeviceKind(text), []string{text}, text
	d.FromFile = []string{text}
	unnamed := &h.devices[0] // a newcomer: what it is called is what it calls itself
	unnamed.HostName, unnamed.Vendor, unnamed.FirstSeen = text, text, now.Add(-time.Hour)
	unnamed.Resembles, unnamed.MACs = d.ID, []presence.MAC{unnamed.MAC, {2, 1}}
	h.summary.BaselineAt = now.Add(-30 * 24 * time.Hour)
	h.summary.Problems = []string{text}
	h.summary.LastNew = &presence.NewFound{Found: presence.Found{Name: text}}
	h.summary.Sensing = []presence.Sensing{{Interface: text, Blind: true, Why: text}}
	h.stats.Broker, h.stats.Database = text, Database{Path: text}
	h.stats.Behind = map[string]int64{text: 3}
	h.stats.Messages = []Messages{{Service: text}, {Service: text, Fault: text}}
	h.stats.Interfaces = map[string]Interface{text: {Frames: 1}}
	h.learned.Bins = []presence.SilenceBin{{UpTo: time.Minute, Slept: 3}}
	events := life(now)
	for i := range events {
		e := &events[i]
		e.Name, e.HostName, e.Vendor, e.Why = text, text, text, text
		if e.Interface != "" {
			e.Interface = text
		}
	}
	scan := presence.Event{Type: presence.NetworkScan, Time: now.Add(-2 * time.Hour), ID: d.ID, Name: text, Why: text, Devices: []presence.Found{{Name: text}, {ID: d.ID, Name: text}}}
	return handler(t, Config{Source: h, Commands: h, Version: "1.2.3", Connections: hauntedMachine(text), Traffic: hauntedMeter(text), TrafficMode: "always", History: pastWith(t, func(s *history.Store) {
		s.SaveLease(d.ID, presence.Sighting{At: now, Addr: d.Addr, Kind: presence.DHCPRequest, DHCP: &presence.DHCP{HostName: text}})
	}, append(events, scan)...), Doctor: func(_ context.Context, report func(Finding)) {
		report(Finding{"ok", text, text, text})
	}})
}

// hauntedMachine is a machine on which everything that anybody can choose is text.
func hauntedMachine(text string) *machine {
	m := server(time.Now())
	for _, all := range [][]connections.Connection{m.now.Connections, m.stored[0].Connections} {
		for i := range all {
			c := &all[i]
			c.Interface, c.User, c.Device = text, text, text
			if c.Process != nil {
				c.Process = &connections.Process{PID: c.Process.PID, Name: text, Command: text, User: text, Container: text, Started: c.Process.Started}
			}
		}
	}
	m.now.Missing = []string{text}
	return m
}

// haunting is one time for all pages that are compared: what passed then is in as
// many parts of the pictures on each of them.
var haunting = time.Now().Truncate(time.Hour)

// hauntedMeter has seen what is called so.
func hauntedMeter(text string) *meter {
	return &meter{rounds: []traffic.Round{passed(haunting.Add(-20*time.Hour), text), passed(haunting.Add(-2*time.Hour), text)}}
}

// filtered is the first of the pages that show what they were asked for.
const filtered = 16

// everyPage is each page with a parameter for all that it can be asked for.
func everyPage(text string) []string {
	v := url.QueryEscape(text)
	return []string{
		"/", "/timeline", "/timeline?span=week", "/timeline?span=month", "/devices/026f1e10007c", "/devices/3c22fb010203", "/events", "/health",
		"/connections", "/connections?by=program", "/connections?by=remote", "/connections?snapshot=1", "/connections/changes?a=1",
		"/traffic", "/traffic?span=week", "/traffic?span=month&of=packets",
		"/?q=" + v + "&state=" + v + "&group=x&kind=" + v + "&vendor=" + v,
		"/timeline?span=" + v + "&day=" + v + "&page=" + v + "&q=" + v + "&group=x&kind=" + v,
		"/events?type=" + v + "&device=" + v + "&day=" + v + "&before=" + v,
		"/connections?q=" + v + "&program=" + v + "&remote=" + v + "&device=" + v + "&only=" + v + "&by=" + v,
		"/traffic?span=" + v + "&day=" + v + "&interface=" + v + "&of=" + v,
		"/connections?snapshot=" + v,
		"/connections/changes?a=" + v + "&b=" + v,
		"/connections/changes?a=1&q=" + v + "&program=" + v + "&remote=" + v + "&device=" + v + "&before=" + v,
		"/devices/" + url.PathEscape(strings.NewReplacer("/", "", "\x00", "").Replace(text)), // there is none
	}
}

// TestHostileTexts: whatever strangers and users choose, every page has the same
// tags as when that is harmless, and the API answers with JSON.
func TestHostileTexts(t *testing.T) {
	pages := func(text string) (all []string) {
		page := haunt(t, text)
		for _, path := range everyPage(text) {
			w := ask(page, path)
			if got := w.Header().Get("Content-Security-Policy"); got != policy {
				t.Errorf("%.60s: the policy is %q", path, got)
			}
			all = append(all, w.Body.String())
		}
		checkJSON(t, page, text)
		return append(all, post(page, "/health", nil).Body.String())
	}
	harmless := pages("x")
	for i, page := range harmless[:filtered] {
		if !strings.Contains(page, ">x<") {
			t.Errorf("page %d does not show what was chosen, so nothing is tested", i)
		}
	}
	for _, text := range hostile {
		for i, page := range pages(text) {
			got, want := shape(page), shape(harmless[i])
			if i >= filtered { // what is chosen is one more to choose from, or one fewer found
				got, want = slices.Compact(got), slices.Compact(want)
				got = slices.DeleteFunc(got, func(tag string) bool { return slices.Contains(want, tag) })
				want = nil
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%.40q changes page %d: %.1000s", text, i, diff)
			}
		}
	}
}

// checkJSON: answers of the API are JSON, never a page.
func checkJSON(t *testing.T, page http.Handler, text string) {
	for _, e := range (&pages{}).endpoints() {
		method, path, _ := strings.Cut(e.pattern, " ")
		if method != http.MethodGet {
			continue
		}
		path = placed(path) + "?q=" + url.QueryEscape(text) + "&device=" + url.QueryEscape(text)
		w := ask(page, path, browser)
		if kind, sniff := w.Header().Get("Content-Type"), w.Header().Get("X-Content-Type-Options"); kind != "application/json" || sniff != "nosniff" {
			t.Errorf("%.60s: %q, %q", path, kind, sniff)
		}
		if body := w.Body.Bytes(); !json.Valid(body) || bytes.ContainsAny(body, "<>") {
			t.Errorf("%.60s answers %.200s", path, body)
		}
	}
}

// TestHostileForms: what a form may set is shown as it was set.
func TestHostileForms(t *testing.T) {
	history := past(t)
	for _, text := range hostile {
		h := family(time.Now())
		page := handler(t, Config{Source: h, Commands: h, History: history})
		for _, field := range presence.ChangeFields() {
			w := post(page, "/devices/001132aabb01", url.Values{field: {text}})
			if w.Code != http.StatusSeeOther && w.Code != http.StatusUnprocessableEntity && w.Code != http.StatusBadRequest {
				t.Errorf("%s of %.40q: status %d", field, text, w.Code)
			}
			if strings.Contains(w.Body.String(), text) && strings.ContainsAny(text, `<>"'`) {
				t.Errorf("%s of %.40q comes back as it is", field, text)
			}
		}
		login := handler(t, Config{Source: h, Password: "let me in"})
		for _, next := range []string{text, "devices/" + text} {
			w := post(login, "/login", url.Values{"next": {next}, "password": {"no"}})
			if got, want := shape(w.Body.String()), shape(post(login, "/login", url.Values{"next": {"x"}, "password": {"no"}}).Body.String()); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("next=%.40q changes the page to %q", next, got)
			}
			w = ask(login, "/login?next="+url.QueryEscape(next), browser)
			if strings.Contains(w.Body.String(), "<script>alert") {
				t.Errorf("next=%.40q comes back as it is", next)
			}
		}
	}
}
