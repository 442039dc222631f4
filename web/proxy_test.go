package web

import (
	"bufio"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var links = regexp.MustCompile(`\b(href|src|action|formaction|data-live)="([^"]*)"`)

// crawl follows all that the pages below base refer to, three pages deep. get
// asks for a path below base. It returns the paths of the pages and what they
// send forms to.
func crawl(t *testing.T, base string, get func(path string) (status int, body string)) (pages, forms []string) {
	t.Helper()
	root, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	next := []string{""}
	for range 3 {
		now := next
		next = nil
		for _, path := range now {
			status, body := get(path)
			if status != http.StatusOK {
				t.Errorf("%q is not there: status %d", path, status)
			}
			if !strings.HasPrefix(body, "<!doctype html>") {
				continue
			}
			here, err := root.Parse(path)
			if err != nil {
				t.Fatal(err)
			}
			pages = append(pages, here.Path)
			for _, m := range links.FindAllStringSubmatch(body, -1) {
				to, err := here.Parse(html.UnescapeString(m[2]))
				if err != nil {
					t.Fatal(err)
				}
				to.Fragment = ""
				below, ok := strings.CutPrefix(to.String(), base)
				switch {
				case !ok:
					t.Errorf("%s on %q leads outside: %s", m[0], path, to)
				case strings.HasSuffix(m[1], "action"):
					forms = append(forms, to.Path)
				case m[1] == "data-live":
					if below != "live" {
						t.Errorf("the stream of %q is at %q", path, below)
					}
				case !seen[below]:
					seen[below] = true
					next = append(next, below)
				}
			}
		}
	}
	for _, list := range []*[]string{&pages, &forms} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return pages, forms
}

// TestBehindProxy has a proxy cut off a part of the path, as nginx and Home
// Assistant's ingress do: all is found, people stay logged in, forms lead back
// and the page is live.
func TestBehindProxy(t *testing.T) {
	const prefix = "/home/porchlight"
	h := family(time.Now())
	h.summary.BaselineAt = time.Now().Add(-30 * 24 * time.Hour)
	ending := make(stopper)
	cfg := Config{Source: h, Commands: h, History: past(t, life(time.Now())...), Connections: server(time.Now()), Traffic: metered(time.Now(), "docker0"), Password: "let me in", Log: discard}
	page, err := newHandler(cfg, newGuard(cfg), ending)
	if err != nil {
		t.Fatal(err)
	}
	inside := httptest.NewServer(page)
	defer inside.Close()
	to, err := url.Parse(inside.URL)
	if err != nil {
		t.Fatal(err)
	}
	outside := httptest.NewServer(http.StripPrefix(prefix, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host // proxy_set_header Host $host
		r.SetXForwarded()
	}}))
	defer outside.Close()
	defer close(ending)

	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	base := outside.URL + prefix + "/"
	do := func(method, path string, form url.Values) (at string, status int, body string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/html")
		if method == http.MethodPost {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", outside.URL)
			r.Header.Set("Referer", base+"devices/001132aabb01?q=%2F")
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimPrefix(resp.Request.URL.String(), base), resp.StatusCode, string(b)
	}

	if at, _, body := do("GET", "devices/001132aabb01?q=x", nil); at != "login?next=devices%2F001132aabb01%3Fq%3Dx" || !strings.Contains(body, "Password") {
		t.Fatalf("without a session at %s", at)
	}
	if at, status, _ := do("POST", "login", url.Values{"password": {"let me in"}, "next": {"./devices/001132aabb01?q=x"}}); at != "devices/001132aabb01?q=x" || status != http.StatusOK {
		t.Fatalf("after the login at %s: status %d", at, status)
	}
	for where, cookies := range map[string]int{base: 1, base + "devices/x": 1, outside.URL + "/": 0, outside.URL + "/home/": 0} {
		u, _ := url.Parse(where)
		if got := len(jar.Cookies(u)); got != cookies {
			t.Errorf("%d cookies for %s, want %d", got, where, cookies)
		}
	}

	pages, forms := crawl(t, base, func(path string) (int, string) {
		_, status, body := do("GET", path, nil)
		return status, body
	})
	var paths []string
	for _, p := range []string{"", "connections", "connections/changes", "devices/001132aabb01", "devices/026f1e10007c", "devices/3c22fb010203", "devices/a4307a010204", "events", "health", "timeline", "traffic"} {
		paths = append(paths, prefix+"/"+p)
	}
	if diff := cmp.Diff(paths, pages); diff != "" {
		t.Errorf("pages: %s", diff)
	}
	for _, form := range forms {
		path := strings.TrimPrefix(form, prefix+"/")
		if path == "logout" || strings.HasSuffix(path, "/forget") {
			continue
		}
		want, merges := strings.CutSuffix(path, "/merge")
		if !merges {
			want = "devices/001132aabb01?q=%2F" // where it was sent from
		}
		if at, status, _ := do("POST", path, url.Values{"name": {"x"}}); status != http.StatusOK || at != want {
			t.Errorf("the form of %s leads to %s: status %d", path, at, status)
		}
	}
	if at, _, _ := do("POST", "devices/001132aabb01/forget", nil); at != "" {
		t.Errorf("who forgets a device is at %s", at)
	}

	resp, err := client.Get(base + "live")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if kind := resp.Header.Get("Content-Type"); kind != "text/event-stream; charset=utf-8" {
		t.Fatalf("the stream is %q", kind)
	}
	h.change()
	for in := bufio.NewScanner(resp.Body); ; {
		if !in.Scan() {
			t.Fatal("the stream ends: ", in.Err())
		}
		if in.Text() == "data: changed" {
			break
		}
	}
	if at, _, _ := do("POST", "logout", nil); at != "login" {
		t.Errorf("who logs out is at %s", at)
	}
	if at, _, _ := do("GET", "", nil); at != "login?next=" {
		t.Errorf("and then at %s", at)
	}
}
