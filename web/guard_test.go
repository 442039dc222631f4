package web

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var discard = slog.New(slog.DiscardHandler)

func as(host string) func(*http.Request)   { return func(r *http.Request) { r.Host = host } }
func from(addr string) func(*http.Request) { return func(r *http.Request) { r.RemoteAddr = addr } }
func with(password string) func(*http.Request) {
	return func(r *http.Request) { r.SetBasicAuth("anyone", password) }
}

func TestHosts(t *testing.T) {
	for _, test := range []struct {
		host, password string
		want           int
	}{
		{"localhost", "", http.StatusOK},
		{"localhost:8580", "", http.StatusOK},
		{"127.0.0.1:8580", "", http.StatusOK},
		{"127.0.0.2", "", http.StatusOK},
		{"[::1]:8580", "", http.StatusOK},
		{"[::1]", "", http.StatusOK},
		{"evil.example", "", http.StatusMisdirectedRequest},
		{"evil.example:8580", "", http.StatusMisdirectedRequest},
		{"localhost.evil.example:8580", "", http.StatusMisdirectedRequest},
		{"127.0.0.1.evil.example", "", http.StatusMisdirectedRequest},
		{"192.168.1.2", "", http.StatusMisdirectedRequest},
		{"", "", http.StatusMisdirectedRequest},
		{"192.168.1.2:8580", "secret", http.StatusOK}, // nobody can make an address point elsewhere
		{"[fd00::2]", "secret", http.StatusOK},
		{"porch.example:443", "secret", http.StatusOK},
		{"Porch.Example.", "secret", http.StatusOK},
		{"porch.example", "", http.StatusMisdirectedRequest},
		{"evil.example", "secret", http.StatusMisdirectedRequest},
		{"sub.porch.example", "secret", http.StatusMisdirectedRequest},
		{"", "secret", http.StatusMisdirectedRequest},
	} {
		cfg := Config{Source: family(time.Now()), Password: test.password, Hosts: []string{"porch.example"}}
		for _, path := range []string{"/", "/metrics", "/style.css", "/login"} {
			want := test.want
			if path == "/login" && test.password == "" && want == http.StatusOK {
				want = http.StatusSeeOther
			}
			if w := get(t, cfg, path, as(test.host), with(test.password)); w.Code != want {
				t.Errorf("%q as host of %s: status %d, want %d", test.host, path, w.Code, want)
			}
		}
		for _, path := range []string{"/healthz", "/livez"} { // asked from other containers by any name
			if w := get(t, cfg, path, as(test.host)); w.Code != http.StatusOK {
				t.Errorf("%q as host of %s: status %d", test.host, path, w.Code)
			}
		}
	}
}

func TestMethods(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodTrace, "NONSENSE"} {
		for _, path := range []string{"/", "/healthz", "/metrics", "/x"} {
			w := get(t, Config{Source: family(time.Now())}, path, func(r *http.Request) { r.Method = method })
			want, allow := http.StatusMethodNotAllowed, "GET, HEAD"
			if path == "/x" {
				want, allow = http.StatusNotFound, ""
			}
			if w.Code != want || w.Header().Get("Allow") != allow {
				t.Errorf("%s %s: status %d", method, path, w.Code)
			}
		}
	}
	if w := get(t, Config{Source: family(time.Now())}, "/", func(r *http.Request) { r.Method = http.MethodHead }); w.Code != http.StatusOK {
		t.Errorf("HEAD: status %d", w.Code)
	}
}

func TestHeaders(t *testing.T) {
	for _, path := range []string{"/", "/healthz", "/metrics", "/style.css", "/x"} {
		h := get(t, Config{Source: family(time.Now())}, path).Header()
		for name, want := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") || !strings.Contains(policy, "default-src 'none'") {
		t.Error("the policy is not strict: " + policy)
	}
}

func TestPassword(t *testing.T) {
	cfg := Config{Source: family(time.Now()), Password: "let me in"}
	for _, path := range []string{"/", "/live", "/metrics"} {
		w := get(t, cfg, path)
		if w.Code != http.StatusUnauthorized || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s without a password: status %d", path, w.Code)
		}
		if strings.Contains(w.Body.String(), "nas") || strings.Contains(w.Body.String(), cfg.Password) {
			t.Errorf("%s without a password says %q", path, w.Body)
		}
		for _, wrong := range []string{"", "let me i", "let me in ", "LET ME IN"} {
			if w := get(t, cfg, path, with(wrong)); w.Code != http.StatusUnauthorized {
				t.Errorf("%s with %q: status %d", path, wrong, w.Code)
			}
		}
		if path == "/live" {
			continue // it never ends
		}
		if w := get(t, cfg, path, with(cfg.Password)); w.Code != http.StatusOK {
			t.Errorf("%s with the password: status %d", path, w.Code)
		}
	}
}

func TestTooManyWrongPasswords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := newHandler(Config{Source: family(time.Now()), Log: discard}, newGuard(Config{Password: "let me in", Log: discard}), make(stopper))
		if err != nil {
			t.Fatal(err)
		}
		code := func(change ...func(*http.Request)) int { return ask(h, "/", change...).Code }
		attacker, resident := from("192.168.1.66:4000"), from("192.168.1.7:4000")
		for range maxFailures {
			if got := code(attacker, with("guess")); got != http.StatusUnauthorized {
				t.Fatalf("status %d", got)
			}
		}
		if got := code(from("192.168.1.66:4001"), with("let me in")); got != http.StatusTooManyRequests {
			t.Errorf("the right guess after too many: status %d", got)
		}
		if got := ask(h, "/healthz", attacker).Code; got != http.StatusOK {
			t.Errorf("the health check: status %d", got)
		}
		if got := code(resident, with("let me in")); got != http.StatusOK {
			t.Errorf("another client: status %d", got)
		}
		time.Sleep(failuresFor)
		if got := code(attacker, with("let me in")); got != http.StatusOK {
			t.Errorf("a minute later: status %d", got)
		}
		for range 5 * maxFailures { // a browser that knows the password never runs into the limit
			if got := code(resident, with("let me in")); got != http.StatusOK {
				t.Fatalf("status %d", got)
			}
		}
	})
}

func TestFailures(t *testing.T) {
	var f failures
	now := time.Unix(1e9, 0)
	client := func(i int) netip.Prefix {
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)
	}
	for i := range 3 * maxOfAll { // one guess from each of many addresses
		if _, blocked := f.attempt(client(i), now); blocked != (i >= maxOfAll) {
			t.Fatalf("guess %d: blocked %v", i, blocked)
		}
	}
	if len(f.from) != maxOfAll {
		t.Errorf("%d clients are remembered, want %d", len(f.from), maxOfAll)
	}
	if _, blocked := f.attempt(client(0), now.Add(failuresFor)); blocked || len(f.from) != 1 {
		t.Errorf("a minute later: blocked %v, %d are remembered", blocked, len(f.from))
	}
	for range 3 * maxOfAll { // who knows it is no attacker
		if _, blocked := f.attempt(client(1), now.Add(failuresFor)); blocked {
			t.Fatal("the right password is blocked")
		}
		f.forgive(client(1))
	}
	for addr, want := range map[string]string{
		"192.168.1.7:80": "192.168.1.7/32", "[::ffff:192.168.1.7]:80": "192.168.1.7/32",
		"[2001:db8::1:2:3:4]:80": "2001:db8::/64", "[fe80::1%eth0]:80": "fe80::/64", "nonsense": "invalid Prefix",
	} {
		if got := clientOf(&http.Request{RemoteAddr: addr}).String(); got != want {
			t.Errorf("%s counts as %s, want %s", addr, got, want)
		}
	}
}

func TestHealth(t *testing.T) {
	ill := errors.New("the database cannot be written")
	for _, test := range []struct {
		name, password string
		ill            error
		given          string
		code           int
		body           string
	}{
		{"well", "", nil, "", http.StatusOK, "ok\n"},
		{"ill", "", ill, "", http.StatusServiceUnavailable, "the database cannot be written\n"},
		{"well, password not given", "secret", nil, "", http.StatusOK, "ok\n"},
		{"ill, password not given", "secret", ill, "", http.StatusServiceUnavailable, "not well\n"},
		{"ill, password wrong", "secret", ill, "guess", http.StatusServiceUnavailable, "not well\n"},
		{"ill, password given", "secret", ill, "secret", http.StatusServiceUnavailable, "the database cannot be written\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			change := func(*http.Request) {}
			if test.given != "" {
				change = with(test.given)
			}
			w := get(t, Config{Source: &household{ill: test.ill}, Password: test.password}, "/healthz", change)
			if w.Code != test.code || w.Body.String() != test.body {
				t.Errorf("got %d, %q", w.Code, w.Body)
			}
		})
	}
}

func TestReady(t *testing.T) {
	deaf := family(time.Now())
	deaf.summary.Sensing = nil
	blind := family(time.Now())
	blind.summary.Sensing[0].Blind = true
	full := family(time.Now())
	full.stats.DatabaseFault = true
	alone := family(time.Now())
	alone.ill = errors.New("no broker")
	for name, test := range map[string]struct {
		source *household
		want   string // empty: it is ready
	}{
		"well":                         {family(time.Now()), ""},
		"no broker":                    {alone, ""},
		"an interface that is pulled":  {blind, ""},
		"an interface not yet open":    {deaf, "not all interfaces are open yet"},
		"a database that is not there": {full, "the database cannot be written"},
		"hangs":                        {&household{gone: errors.New("x")}, "the main loop does not answer"},
	} {
		w := get(t, Config{Source: test.source, Password: "secret"}, "/readyz", as("any.example"))
		want, code := test.want, http.StatusServiceUnavailable
		if want == "" {
			want, code = "ok", http.StatusOK
		}
		if w.Code != code || w.Body.String() != want+"\n" {
			t.Errorf("%s: %d, %q", name, w.Code, w.Body)
		}
	}
}
