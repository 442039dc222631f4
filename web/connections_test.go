package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/connections"
)

var tableRow = regexp.MustCompile(`(?s)<tr[^>]*>\s*<th scope="row">(.*?)</tr>`)

// tableRows are the rows of the first table, as a person reads them.
func tableRows(body string) (all []string) {
	table, _, _ := strings.Cut(body, "</table>")
	for _, m := range tableRow.FindAllStringSubmatch(table, -1) {
		all = append(all, strings.TrimSuffix(readable(m[1]), " filter"))
	}
	return all
}

func firstWords(rows []string) (all []string) {
	for _, r := range rows {
		word, _, _ := strings.Cut(r, " ")
		all = append(all, word)
	}
	return all
}

func TestConnectionsPage(t *testing.T) {
	now := time.Now()
	page := handler(t, Config{Source: family(now), Connections: server(now), History: past(t)})
	for query, want := range map[string][]string{
		"":                               {"nginx", "not", "dnsmasq", "nginx", "smbd", "python3", "python3"},
		"?q=NGINX":                       {"nginx", "nginx"},
		"?q=:443":                        {"nginx", "nginx", "python3"},
		"?q=4711":                        {"python3", "python3"},
		"?q=docker":                      {"python3"},
		"?q=close-wait":                  {"nginx"},
		"?q=hunter2":                     nil,
		"?program=smbd":                  {"smbd"},
		"?program=smb":                   nil,
		"?remote=192.168.1.0/24":         {"nginx", "smbd"},
		"?remote=2001:db8::99":           {"python3"},
		"?remote=anna":                   {"nginx"},
		"?device=nas":                    {"smbd"},
		"?device=na":                     nil,
		"?listening=yes":                 {"nginx", "not", "dnsmasq", "python3"},
		"?listening=yes&program=python3": {"python3"},
		"?only=tcp,192.168.1.2:39122,192.168.1.10:445": {"smbd"},
		"?only=tcp,0.0.0.0:443,":                       {"nginx"},
		"?only=x":                                      nil,
		"?snapshot=3":                                  {"nginx", "sshd", "dnsmasq", "nginx", "smbd", "curl"},
		"?snapshot=3&program=curl":                     {"curl"},
	} {
		w := ask(page, "/connections"+query)
		if w.Code != http.StatusOK {
			t.Fatalf("%s: status %d: %s", query, w.Code, words(w))
		}
		if diff := cmp.Diff(want, firstWords(tableRows(w.Body.String()))); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
		if strings.Contains(w.Body.String(), "hunter2") && query != "?q=hunter2" {
			t.Errorf("%s shows a command line", query)
		}
	}
	w := ask(page, "/connections")
	for _, want := range []string{
		"3 connections and 4 listeners", "run this as root to see them", "PORCHLIGHT_CONNECTIONS_INTERVAL=30s",
		"192.168.1.23 :50122 Anna's phone", "1.2 MB sent 89.0 kB received 12.3 ms", "812 · www-data", "docker:4f5e0123456789ab…", "any :8080 any",
	} {
		if !strings.Contains(words(w), want) {
			t.Errorf("%q is not in\n%s", want, words(w))
		}
	}
	for _, want := range []string{`<a href="devices/026f1e10007c"><bdi>Anna&#39;s phone</bdi></a>`, ` data-beat="3"`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s is not in the page", want)
		}
	}
	stored := ask(page, "/connections?snapshot=3")
	if strings.Contains(stored.Body.String(), "data-beat") || !strings.Contains(words(stored), "snapshot 3.") {
		t.Errorf("a stored one: %s", words(stored))
	}
	for query, status := range map[string]int{"?snapshot=99": 404, "?snapshot=soon": 400, "?snapshot=yesterday": 200, "?snapshot=1h": 200, "?snapshot=2026-03-01": 200, "?page=99": 200, "?page=-1": 200, "?by=x": 200} {
		if w := ask(page, "/connections"+query); w.Code != status {
			t.Errorf("%s: status %d, want %d", query, w.Code, status)
		}
	}
}

func TestConnectionsGrouped(t *testing.T) {
	now := time.Now()
	page := handler(t, Config{Source: family(now), Connections: server(now), History: past(t)})
	for query, want := range map[string][]string{
		"?by=program": {
			"nginx www-data 1 1 tcp 443 1.2 MB 89.0 kB", "python3 www-data 1 1 tcp 8080 1.2 MB 89.0 kB",
			"not known root 0 0 tcp 22", "dnsmasq www-data 0 0 udp 53", "smbd www-data 1 1 1.2 MB 89.0 kB",
		},
		"?by=remote": {
			"192.168.1.10 nas 1 smbd 1.2 MB 89.0 kB", "192.168.1.23 Anna's phone 1 nginx 1.2 MB 89.0 kB", "2001:db8::99 1 python3 1.2 MB 89.0 kB",
		},
		"?by=remote&q=nas": {"192.168.1.10 nas 1 smbd 1.2 MB 89.0 kB"},
	} {
		if diff := cmp.Diff(want, tableRows(ask(page, "/connections"+query).Body.String())); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}

func TestChangesPage(t *testing.T) {
	now := time.Now()
	m := server(now)
	page := handler(t, Config{Source: family(now), Connections: m, History: past(t), RecordEvery: 10 * time.Minute})
	w := ask(page, "/connections/changes")
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, words(w))
	}
	want := []string{
		"opened – python3 4711 · www-data tcp LISTEN any :8080",
		"closed curl 1300 · www-data tcp ESTABLISHED 192.168.1.2 :39444 ↔ 203.0.113.7 :443 –",
		"changed nginx 812 · www-data tcp ESTABLISHED 192.168.1.2 :443 ↔ 192.168.1.23 :50122 Anna's phone nginx 812 · www-data tcp CLOSE-WAIT 192.168.1.2 :443 ↔ 192.168.1.23 :50122 Anna's phone state: ESTABLISHED → CLOSE-WAIT",
	}
	got := strings.Join(tableRows(w.Body.String()), "\n")
	for _, row := range want {
		if !strings.Contains(got, row) {
			t.Errorf("%q is not in\n%s", row, got)
		}
	}
	for _, text := range []string{
		"From snapshot 25, ", " to now.", "now: connections that are shown without their process: 1", "They are recorded every 10 min.",
		"New listeners", "New programs python3", "New remote ends 2001:db8::99",
	} {
		if !strings.Contains(words(w), text) {
			t.Errorf("%q is not in\n%s", text, words(w))
		}
	}
	for query, text := range map[string]string{
		"?a=10&b=20":    "0 opened, 0 closed, 0 changed",
		"?a=2&b=3":      "the machine was started again between them",
		"?a=20&b=10":    "the first of them is the later one",
		"?a=24h":        "From snapshot 1, ",
		"?program=curl": "0 opened, 1 closed, 0 changed",
		"?q=nothing":    "Nothing like that has changed.",
		"?before=11":    "the first after a restart of the machine",
		"?a=now&b=now":  "0 opened, 0 closed, 0 changed",
		"?a=" + m.stored[9].Time.Add(time.Minute).Format(fieldTime) + "&b=": "From snapshot 10, ",
		"?a=10&b=20&q=nothing": "there is no such connection",
	} {
		if w := ask(page, "/connections/changes"+query); w.Code != http.StatusOK || !strings.Contains(words(w), text) {
			t.Errorf("%s: status %d, %q is not in\n%s", query, w.Code, text, words(w))
		}
	}
	for query, status := range map[string]int{"?a=99": 404, "?b=tomorrow": 400} {
		if w := ask(page, "/connections/changes"+query); w.Code != status {
			t.Errorf("%s: status %d, want %d", query, w.Code, status)
		}
	}
	if !strings.Contains(w.Body.String(), `<li><a href="?program=python3"><bdi>python3</bdi></a></li>`) {
		t.Error("a new program leads nowhere")
	}
	unknown := socket("tcp", "192.168.1.2:1000", "203.0.113.7:80", "", 1)
	unknown.Process = nil
	m.now.Connections = append(slices.Clone(m.now.Connections), unknown)
	last := tableRows(ask(handler(t, Config{Source: family(now), Connections: m, History: past(t)}), "/connections/changes").Body.String())
	if n := len(last); n == 0 || !strings.HasPrefix(last[n-1], "opened – not known") {
		t.Errorf("of whom nothing is known is not the last of\n%s", strings.Join(last, "\n"))
	}
	m.stored = nil
	if w := ask(page, "/connections/changes?n=1"); w.Code != http.StatusOK || !strings.Contains(words(w), "No snapshot is stored yet") {
		t.Errorf("nothing is stored: status %d: %s", w.Code, words(w))
	}
}

// TestConnectionsOff: the pages say so in a line.
func TestConnectionsOff(t *testing.T) {
	page := handler(t, Config{Source: family(time.Now()), History: past(t)})
	for _, path := range []string{"/connections", "/connections/changes"} {
		if w := ask(page, path); w.Code != http.StatusOK || !strings.Contains(words(w), errNoConnections.Error()) {
			t.Errorf("%s: status %d: %s", path, w.Code, words(w))
		}
	}
	for _, path := range []string{"/api/v1/connections", "/api/v1/connections/snapshots", "/api/v1/connections/diff", "/api/v1/connections/filter?program=x"} {
		if w := ask(page, path); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), errNoConnections.Error()) {
			t.Errorf("%s: status %d: %s", path, w.Code, w.Body)
		}
	}
	m := server(time.Now())
	m.gone = errors.New("the netlink socket is gone")
	broken := handler(t, Config{Source: family(time.Now()), Connections: m, History: past(t)})
	for _, path := range []string{"/connections", "/connections/changes", "/api/v1/connections"} {
		if w := ask(broken, path); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "the netlink socket is gone") {
			t.Errorf("%s: status %d: %s", path, w.Code, words(w))
		}
	}
}

// TestStoredOnce: a page that compares two snapshots again and again reads them now
// and then only.
func TestStoredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &machine{stored: []connections.Snapshot{{Number: 1}, {Number: 2}, {Number: 3, Connections: make([]connections.Connection, keptConnections+1)}}}
		l := &looks{source: m}
		read := func(want int32, numbers ...int64) {
			t.Helper()
			before := m.read.Load()
			for _, n := range numbers {
				if s, err := l.load(t.Context(), n); err != nil || s.Number != n {
					t.Errorf("%d: %+v, %v", n, s, err)
				}
			}
			if got := m.read.Load() - before; got != want {
				t.Errorf("read %d times, want %d", got, want)
			}
		}
		read(2, 1, 2, 1, 2, 2, 1)
		read(2, 3, 3) // too large to be kept
		time.Sleep(storedKept)
		read(2, 1, 2, 1, 2)
		m.gone = errors.New("the file is damaged")
		time.Sleep(storedKept)
		if _, err := l.load(t.Context(), 1); err == nil {
			t.Error("what cannot be read is shown")
		}
	})
}

// TestLooks: many who look cost one look in two seconds.
func TestLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := server(time.Now())
		l := &looks{source: m}
		who := newPeople(family(time.Now()).devices)
		for range 100 {
			if _, err := l.now(who); err != nil {
				t.Fatal(err)
			}
		}
		if n := m.looked.Load(); n != 1 {
			t.Errorf("%d looks", n)
		}
		time.Sleep(lookEvery)
		_, _ = l.now(who)
		if n := m.looked.Load(); n != 2 {
			t.Errorf("%d looks after %v", n, lookEvery)
		}
		l.took = time.Minute // a look that takes so long is rare
		time.Sleep(lookShare*time.Minute - time.Second)
		_, _ = l.now(who)
		if n := m.looked.Load(); n != 2 {
			t.Errorf("%d looks", n)
		}
	})
}

// filtersOn are the filters that a page shows.
func filtersOn(body string) (f connections.Filter) {
	field := func(id string) string {
		_, rest, _ := strings.Cut(body, `<textarea id="`+id+`"`)
		_, rest, _ = strings.Cut(rest, ">")
		text, _, _ := strings.Cut(rest, "<")
		return html.UnescapeString(text)
	}
	return connections.Filter{Tcpdump: field("tcpdump"), Wireshark: field("wireshark")}
}

// TestConnectionFilters: the page and the API give the same filter for what is
// chosen, and it is the one that the package makes.
func TestConnectionFilters(t *testing.T) {
	now := time.Now()
	m := server(now)
	page := handler(t, Config{Source: family(now), Connections: m, History: past(t)})
	all := m.now.Connections
	of := func(chosen ...connections.Connection) string {
		f, err := connections.FilterFor(chosen)
		if err != nil {
			t.Fatal(err)
		}
		return f.Tcpdump
	}
	changed := "/connections/changes?"
	for query, want := range map[string]string{
		"/connections?program=nginx":                               of(all[0], all[3]),
		"/connections?only=tcp,192.168.1.2:39122,192.168.1.10:445": of(all[4]),
		"/connections?device=nas":                                  "host 192.168.1.10",
		"/connections?remote=203.0.113.7":                          "host 203.0.113.7",
		"/connections?device=nas&program=smbd":                     of(all[4]),
		"/connections?snapshot=3&program=curl":                     of(m.stored[0].Connections[5]),
		changed + "a=3&b=now":                                      of(all[1], all[3], all[5], all[6], m.stored[0].Connections[5]),
		changed + "a=3&b=now&program=python3":                      of(all[5], all[6]),
	} {
		got := filtersOn(ask(page, query).Body.String())
		if got.Tcpdump != want || got.Wireshark == "" {
			t.Errorf("%s: %q, want %q", query, got.Tcpdump, want)
		}
		_, q, _ := strings.Cut(query, "?")
		var answer connections.Filter
		if w := ask(page, "/api/v1/connections/filter?"+q); json.Unmarshal(w.Body.Bytes(), &answer) != nil || answer != got {
			t.Errorf("the API, %s: %s", q, w.Body)
		}
	}
	for range 60 {
		m.now.Connections = append(m.now.Connections, socket("tcp", fmt.Sprintf("10.0.0.1:%d", 2000+len(m.now.Connections)), "10.0.0.2:1", "many", 5))
	}
	page = handler(t, Config{Source: family(now), Connections: m, History: past(t)})
	w := ask(page, "/connections?program=many")
	if f, got := filtersOn(w.Body.String()), words(w); f.Tcpdump == "" || !strings.Contains(got, "More than that: it chooses all packets of the same services") {
		t.Errorf("60 connections: %q: %s", f.Tcpdump, got)
	}
	if w := ask(page, "/api/v1/connections/filter?program=nobody"); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("the filter for nothing: status %d: %s", w.Code, w.Body)
	}
}

func TestConnectionsAPI(t *testing.T) {
	now := time.Now()
	page := handler(t, Config{Source: family(now), Connections: server(now), History: past(t)})
	get := func(path string, to any) {
		t.Helper()
		w := ask(page, path)
		if err := json.Unmarshal(w.Body.Bytes(), to); w.Code != http.StatusOK || err != nil {
			t.Fatalf("%s: status %d, %v: %s", path, w.Code, err, w.Body)
		}
		if strings.Contains(w.Body.String(), "hunter2") {
			t.Errorf("%s answers with a command line", path)
		}
	}
	var s Snapshot
	get("/api/v1/connections?program=nginx&limit=1&offset=1", &s)
	if s.Total != 2 || len(s.Connections) != 1 || s.Connections[0].Device != "Anna's phone" || s.Connections[0].RTT != 12.3 || len(s.Missing) != 1 {
		t.Errorf("%+v", s)
	}
	get("/api/v1/connections?offset=1000", &s)
	if s.Total != 7 || len(s.Connections) != 0 {
		t.Errorf("%+v", s)
	}
	s = Snapshot{}
	get("/api/v1/connections/snapshots/3?program=curl", &s)
	if s.Number != 3 || s.Total != 1 {
		t.Errorf("%+v", s)
	}
	var all []connections.Entry
	get("/api/v1/connections/snapshots?before=10&limit=2", &all)
	if len(all) != 2 || all[0].Number != 9 || all[1].Number != 8 {
		t.Errorf("%+v", all)
	}
	var c Changes
	get("/api/v1/connections/diff?a=3&b=now&program=curl", &c)
	if c.From != 3 || c.To != 0 || c.Total != 1 || c.Changes[0].Change != "closed" || c.Changes[0].Remote.String() != "203.0.113.7" {
		t.Errorf("%+v", c)
	}
	for path, status := range map[string]int{
		"/api/v1/connections?limit=0": 400, "/api/v1/connections?limit=100000": 400, "/api/v1/connections?offset=-1": 400,
		"/api/v1/connections/snapshots/99": 404, "/api/v1/connections/snapshots/x": 400, "/api/v1/connections/diff?a=99": 404,
	} {
		if w := ask(page, path); w.Code != status {
			t.Errorf("%s: status %d, want %d", path, w.Code, status)
		}
	}
}

// TestManyConnections: a page of 100,000 connections is as long as one of 200,
// and all of them are on one of its pages.
func TestManyConnections(t *testing.T) {
	many := 100_000
	if raceEnabled {
		many = 10_000
	}
	last := many/rowsPerPage - 1
	page := handler(t, Config{Source: family(time.Now()), Connections: crowdedMachine(many), History: past(t)})
	for _, query := range []string{"", "?by=program", "?by=remote", "?q=10.0.", fmt.Sprint("?page=", last)} {
		w := ask(page, "/connections"+query)
		if n := len(tableRows(w.Body.String())); n == 0 || n > rowsPerPage || w.Body.Len() > 400_000 {
			t.Errorf("%s: %d rows, %d bytes", query, n, w.Body.Len())
		}
		if want := fmt.Sprintf("%d to %d of %d connections", many-rowsPerPage+1, many, many); strings.HasPrefix(query, "?page") && !strings.Contains(words(w), want) {
			t.Errorf("the last page: %.500s, want %q", words(w), want)
		}
	}
}
