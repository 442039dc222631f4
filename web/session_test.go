package web

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func handler(t *testing.T, cfg Config) http.Handler {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = discard
	}
	h, err := newHandler(cfg, newGuard(cfg), make(stopper))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// post sends a form as a browser does from a page of ours.
func post(h http.Handler, path string, form url.Values, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Host = "localhost:8580"
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func browser(r *http.Request) { r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8") }

func carrying(c *http.Cookie) func(*http.Request) {
	return func(r *http.Request) { r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value}) }
}

func TestLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := Config{Source: family(time.Now()), Password: "let me in", Secret: []byte("a secret of this house")}
		h := handler(t, cfg)
		w := ask(h, "/devices/001132aabb01?x=1", browser)
		if to := w.Header().Get("Location"); w.Code != http.StatusSeeOther || to != "../login?next=devices%2F001132aabb01%3Fx%3D1" {
			t.Fatalf("status %d, to %q", w.Code, to)
		}
		w = ask(h, "/login?next=devices%2F001132aabb01", browser)
		if got := words(w); w.Code != http.StatusOK || strings.Contains(got, "nas") || !strings.Contains(w.Body.String(), `value="./devices/001132aabb01"`) {
			t.Errorf("status %d\n%s", w.Code, w.Body)
		}
		w = post(h, "/login", url.Values{"password": {"let me i"}, "next": {"events"}}, browser)
		if w.Code != http.StatusUnauthorized || len(w.Result().Cookies()) != 0 || !strings.Contains(words(w), "not the password") {
			t.Errorf("a wrong password: status %d, cookies %v", w.Code, w.Result().Cookies())
		}
		w = post(h, "/login", url.Values{"password": {"let me in"}, "next": {"./devices/001132aabb01"}}, browser)
		cookies := w.Result().Cookies()
		if w.Code != http.StatusSeeOther || w.Header().Get("Location") != "././devices/001132aabb01" || len(cookies) != 1 {
			t.Fatalf("status %d, to %q, cookies %v", w.Code, w.Header().Get("Location"), cookies)
		}
		c := cookies[0]
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "" || c.Domain != "" || strings.Contains(c.Value, "let me in") {
			t.Errorf("cookie %v", c)
		}
		if w := ask(h, "/", browser, carrying(c)); w.Code != http.StatusOK {
			t.Errorf("with the cookie: status %d", w.Code)
		}
		if w := ask(handler(t, cfg), "/", browser, carrying(c)); w.Code != http.StatusOK {
			t.Errorf("after a restart: status %d", w.Code)
		}
		for name, other := range map[string]Config{
			"another password": {Source: cfg.Source, Password: "changed", Secret: cfg.Secret},
			"another house":    {Source: cfg.Source, Password: cfg.Password, Secret: []byte("other")},
			"no secret":        {Source: cfg.Source, Password: cfg.Password},
		} {
			if w := ask(handler(t, other), "/", carrying(c)); w.Code != http.StatusUnauthorized {
				t.Errorf("%s: status %d", name, w.Code)
			}
		}
		for i := range c.Value {
			forged := *c
			forged.Value = c.Value[:i] + string(rune('A'+(c.Value[i]+1)%26)) + c.Value[i+1:]
			if forged.Value == c.Value {
				continue
			}
			if w := ask(h, "/", carrying(&forged)); w.Code != http.StatusUnauthorized {
				t.Errorf("forged at %d: status %d", i, w.Code)
			}
		}
		out := post(h, "/logout", nil, browser, carrying(c))
		if got := out.Result().Cookies(); out.Code != http.StatusSeeOther || len(got) != 1 || got[0].MaxAge >= 0 {
			t.Errorf("logging out: status %d, cookies %v", out.Code, got)
		}
		time.Sleep(sessionFor)
		if w := ask(h, "/", carrying(c)); w.Code != http.StatusUnauthorized {
			t.Errorf("a session that has run out: status %d", w.Code)
		}
	})
}

func TestSecureCookie(t *testing.T) {
	h := handler(t, Config{Source: family(time.Now()), Password: "let me in"})
	w := post(h, "/login", url.Values{"password": {"let me in"}}, func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") })
	if c := w.Result().Cookies(); len(c) != 1 || !c[0].Secure {
		t.Errorf("behind a proxy with TLS: cookies %v", c)
	}
}

func TestLoginIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := handler(t, Config{Source: family(time.Now()), Password: "let me in"})
		try := func(password string) int { return post(h, "/login", url.Values{"password": {password}}).Code }
		for range maxFailures {
			if got := try("guess"); got != http.StatusUnauthorized {
				t.Fatalf("status %d", got)
			}
		}
		if got := try("let me in"); got != http.StatusTooManyRequests {
			t.Errorf("the right guess after too many: status %d", got)
		}
		time.Sleep(failuresFor)
		if got := try("let me in"); got != http.StatusSeeOther {
			t.Errorf("a minute later: status %d", got)
		}
	})
}

// TestNext has nobody make a login that leads elsewhere.
func TestNext(t *testing.T) {
	for next, want := range map[string]string{
		"":                        "./",
		"timeline?span=week":      "./timeline?span=week",
		"devices/001132aabb01":    "./devices/001132aabb01",
		"https://evil.example":    "./",
		"//evil.example":          "./",
		"/\\evil.example":         "./",
		"\\\\evil.example":        "./",
		"javascript:alert(1)":     "./",
		"/events":                 "./",
		"../../events":            "./",
		"a/%2e%2e/%2e%2e/b":       "./",
		"x\r\nSet-Cookie: y":      "./",
		strings.Repeat("x", 2000): "./",
	} {
		if got := localURL(next); got != want {
			t.Errorf("%q leads to %q, want %q", next, got, want)
		}
	}
}

func TestOtherSitesCannotChangeAnything(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"our own page":            {func(*http.Request) {}, http.StatusSeeOther},
		"another site":            {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, http.StatusForbidden},
		"another port":            {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, http.StatusForbidden},
		"an old browser, other":   {func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") }, http.StatusForbidden},
		"an old browser, ours":    {func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "http://localhost:8580") }, http.StatusSeeOther},
		"a program":               {func(r *http.Request) { r.Header.Del("Sec-Fetch-Site") }, http.StatusSeeOther},
		"a name that points here": {func(r *http.Request) { r.Host = "evil.example" }, http.StatusMisdirectedRequest},
	} {
		h := family(time.Now())
		page := handler(t, Config{Source: h, Commands: h})
		for _, path := range []string{"/devices/001132aabb01", "/devices/001132aabb01/forget", "/scan"} {
			h.done = nil
			w := post(page, path, url.Values{"name": {"x"}}, test.change)
			if w.Code != test.want || (len(h.done) > 0) != (test.want == http.StatusSeeOther) {
				t.Errorf("%s, %s: status %d, done %q", name, path, w.Code, h.done)
			}
		}
	}
}

func TestNothingChangesByGET(t *testing.T) {
	h := family(time.Now())
	page := handler(t, Config{Source: h, Commands: h, History: past(t)})
	for _, path := range []string{"/", "/devices/001132aabb01?name=x", "/devices/001132aabb01/forget", "/scan", "/logout", "/login?password=x"} {
		ask(page, path)
	}
	if len(h.done) > 0 {
		t.Errorf("done by GET: %q", h.done)
	}
}
