package web

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func mustAddrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

const attacker, resident = "192.168.1.66:4000", "192.168.1.7:4000"

// TestSlowLoris has one client open as many connections as it can, and say hardly
// anything on them: others are served at once, and it is rid of soon.
func TestSlowLoris(t *testing.T) {
	for name, test := range map[string]struct {
		says string
		for_ time.Duration // how long it can hold a connection
	}{
		"nothing":       {"", 5 * time.Second},
		"half a line":   {"GET / HT", 5 * time.Second},
		"half a header": {"GET / HTTP/1.1\r\nHost: 192.168.1.2\r\nX-A: b\r\n", 5 * time.Second},
		"half a body":   {"POST /login HTTP/1.1\r\nHost: 192.168.1.2\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\npassword=", 11 * time.Second},
		"no reading":    {"GET /metrics HTTP/1.1\r\nHost: 192.168.1.2\r\nAuthorization: Basic OmxldCBtZSBpbg==\r\n\r\n", 31 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := serve(t, Config{Source: family(time.Now()), Password: "let me in"})
				gone := make(chan struct{}, 4*maxPerClient)
				var slow []net.Conn
				for range 4 * maxPerClient {
					c := l.dial(attacker)
					slow = append(slow, c)
					go func() {
						defer func() { gone <- struct{}{} }()
						if _, err := c.Write([]byte(test.says)); err != nil || name == "no reading" {
							return
						}
						_, _ = io.Copy(io.Discard, c)
					}()
				}
				synctest.Wait()
				begin := time.Now()
				if status, _ := l.exchange(resident, "GET /login HTTP/1.1\r\nHost: 192.168.1.2\r\n\r\n"); status != http.StatusOK || time.Since(begin) > 0 {
					t.Errorf("somebody else: status %d after %v", status, time.Since(begin))
				}
				if name == "no reading" {
					time.Sleep(test.for_)
					for _, c := range slow {
						_ = c.SetReadDeadline(time.Now())
					}
				}
				time.Sleep(test.for_)
				synctest.Wait()
				if n := len(gone); n != len(slow) {
					t.Errorf("%d of %d are gone", n, len(slow))
				}
				if status, _ := l.exchange(attacker, "GET /login HTTP/1.1\r\nHost: 192.168.1.2\r\n\r\n"); status != http.StatusOK {
					t.Errorf("the same client later: status %d", status)
				}
				for _, c := range slow {
					c.Close()
				}
			})
		})
	}
}

// TestCrowd counts connections by client; this machine is not counted.
func TestCrowd(t *testing.T) {
	l := &pipes{make(chan net.Conn), make(chan struct{})}
	c := newCrowd(l, discard)
	taken := make(chan net.Conn, 10*maxPerClient)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := c.Accept()
			if err != nil {
				return
			}
			taken <- conn
		}
	}()
	for addr, want := range map[string]int{
		"192.168.1.66:1": maxPerClient, "[2001:db8::1]:1": maxPerClient, "127.0.0.1:1": 2 * maxPerClient, "[::1]:1": 2 * maxPerClient,
	} {
		for i := range 2 * maxPerClient {
			if strings.HasPrefix(addr, "[2001") { // who has a /64 has many addresses
				addr = fmt.Sprintf("[2001:db8::%x]:1", i)
			}
			defer l.dial(addr).Close()
		}
		defer l.dial("127.0.0.9:1").Close() // all before have been looked at then
		var open []net.Conn
		for conn := range taken {
			if strings.HasPrefix(conn.RemoteAddr().String(), "127.0.0.9") {
				break
			}
			open = append(open, conn)
		}
		if len(open) != want {
			t.Errorf("%s has %d connections, want %d", addr, len(open), want)
		}
		for _, conn := range open {
			conn.Close()
			conn.Close() // counts once
		}
	}
	if len(c.from) != 0 {
		t.Errorf("still counted: %v", c.from)
	}
	l.Close()
	<-done
}

// TestHugeBody sends a gigabyte to everything that takes a body, announced and
// not: it is refused after a little, and takes no memory.
func TestHugeBody(t *testing.T) {
	const giga = 1 << 30
	paths := changing()
	chunk := append([]byte("10000\r\n"), bytes.Repeat([]byte{'a'}, 0x10000)...)
	chunk = append(chunk, "\r\n"...)
	for _, how := range []string{fmt.Sprintf("Content-Length: %d", giga), "Transfer-Encoding: chunked"} {
		synctest.Test(t, func(t *testing.T) {
			h := family(time.Now())
			l := serve(t, Config{Source: h, Commands: h, Password: "let me in"})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for _, target := range paths {
				c := l.dial(attacker)
				var sent int
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, err := fmt.Fprintf(c, "%s HTTP/1.1\r\nHost: 192.168.1.2\r\nContent-Type: %s\r\nAuthorization: Basic OmxldCBtZSBpbg==\r\n%s\r\n\r\n", target, kindOf(target), how)
					for err == nil && sent < giga {
						var n int
						n, err = c.Write(chunk)
						sent += n
					}
				}()
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				if err != nil {
					t.Fatalf("%s: %v", target, err)
				}
				resp.Body.Close()
				c.Close()
				<-done
				if sent > 1<<20 {
					t.Errorf("%s, %s: %d bytes were taken", target, how, sent)
				}
				if strings.HasPrefix(how, "Content") && resp.StatusCode != http.StatusRequestEntityTooLarge {
					t.Errorf("%s, %s: status %d", target, how, resp.StatusCode)
				}
			}
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > 16<<20 {
				t.Errorf("%s: %d requests allocated %d bytes", how, len(paths), took)
			}
			if slices.ContainsFunc(h.done, func(s string) bool { return strings.HasPrefix(s, "set") }) {
				t.Errorf("%s: done %q", how, h.done)
			}
		})
	}
}

// changing is all that changes something, as method and path.
func changing() []string {
	all := []string{"POST /devices/001132aabb01", "POST /devices/001132aabb01/forget", "POST /devices/001132aabb01/merge", "POST /devices/001132aabb01/split", "POST /scan", "POST /health", "POST /login", "POST /logout"}
	for _, e := range (&pages{}).endpoints() {
		if !strings.HasPrefix(e.pattern, "GET") {
			all = append(all, strings.ReplaceAll(e.pattern, "{id}", "001132aabb01"))
		}
	}
	return all
}

func kindOf(target string) string {
	if strings.Contains(target, "/api/") {
		return "application/json"
	}
	return "application/x-www-form-urlencoded"
}

// TestOtherSites: no other web site can have a browser change anything, wherever
// its request comes from and whatever it carries.
func TestOtherSites(t *testing.T) {
	history := past(t)
	for site, allowed := range map[string]bool{"same-origin": true, "none": true, "cross-site": false, "same-site": false} {
		for _, target := range changing() {
			h := family(time.Now())
			page := handler(t, Config{Source: h, Commands: h, History: history})
			method, path, _ := strings.Cut(target, " ")
			body := `{"name":"x"}`
			if !strings.Contains(path, "/api/") {
				body = "name=x"
			}
			w := call(page, method, path, body, func(r *http.Request) {
				r.Header.Set("Content-Type", kindOf(target))
				r.Header.Set("Sec-Fetch-Site", site)
			})
			if refused := w.Code == http.StatusForbidden; refused == allowed {
				t.Errorf("%s from %s: status %d", target, site, w.Code)
			}
			if !allowed && len(h.done) > 0 {
				t.Errorf("%s from %s: done %q", target, site, h.done)
			}
		}
	}
	page := handler(t, Config{Source: family(time.Now()), History: history})
	for _, path := range []string{"/", "/api/v1/devices", "/metrics"} { // other sites may ask, but not read
		w := ask(page, path, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") })
		for name := range w.Header() {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: %s is set", path, name)
			}
		}
	}
}

// TestOddRequests sends what no browser does: none of it reaches anything.
func TestOddRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := family(time.Now())
		l := serve(t, Config{Source: h, Commands: h, History: past(t)})
		const host = "Host: localhost\r\n"
		get := func(target string) string { return "GET " + target + " HTTP/1.1\r\n" + host + "\r\n" }
		for raw, want := range map[string]int{
			get("/"): 200,
			// Paths.
			get("/../../../etc/passwd"):                         404,
			get("/%2e%2e/%2e%2e/etc/passwd"):                    404,
			get("/..%2f..%2fetc/passwd"):                        404,
			get("/static/../templates/now.html"):                404,
			get("/style.css/../app.js"):                         404,
			get("//evil.example/"):                              404,
			get("///"):                                          404,
			get("/\\evil.example"):                              404,
			get("/%5cevil.example"):                             404,
			get("/devices/%00"):                                 404,
			get("/devices/001132aabb01%00"):                     404,
			get("/devices/001132aabb01/"):                       404,
			get("/devices/"):                                    404,
			get("/devices/%2e"):                                 404,
			get("/devices/..;/health"):                          404,
			get("/devices/" + strings.Repeat("a", 10_000)):      404,
			get("/" + strings.Repeat("a/", 5000)):               404,
			get("/api/v1/devices/..%2f..%2f..%2fmetrics"):       404,
			get("/%zz"):                                         400,
			get("/\x00"):                                        400,
			get("/" + strings.Repeat("a", 2*maxHeader)):         431,
			get("evil"):                                         400,
			get("http://evil.example/"):                         421,
			get("*"):                                            400,
			"CONNECT localhost:22 HTTP/1.1\r\n" + host + "\r\n": 404,
			// Headers.
			"GET / HTTP/1.1\r\n\r\n":                                                                                       400,
			"GET / HTTP/1.1\r\n" + host + "Host: evil.example\r\n\r\n":                                                     400,
			"GET / HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: localhost\r\n\r\n":                                  421,
			"GET / HTTP/1.1\r\n" + host + "X: " + strings.Repeat("a", 2*maxHeader) + "\r\n\r\n":                            431,
			"GET / HTTP/1.1\r\n" + host + strings.Repeat("X: a\r\n", 2*maxHeader/6) + "\r\n":                               431,
			"GET / HTTP/1.1\r\n" + host + "Bad Name: x\r\n\r\n":                                                            400,
			"GET / HTTP/9.9\r\n" + host + "\r\n":                                                                           505,
			"GET / HTTP/1.1\r\n" + host + "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n": 200,
			"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                                                             421,
			// Two lengths: a proxy before this might see another request.
			"POST /scan HTTP/1.1\r\n" + host + "Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello":                                                                   400,
			"POST /scan HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n":                                                                                            400,
			"POST /scan HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n":                                                                 501,
			"POST /scan HTTP/1.1\r\n" + host + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n":                                                                          501,
			"POST /scan HTTP/1.1\r\n" + host + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n":                                                                          400,
			"POST /devices/001132aabb01 HTTP/1.1\r\n" + host + "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nname=x\r\n": 400,
		} {
			status, header := l.exchange(attacker, raw)
			if status != want {
				t.Errorf("%.80q: status %d, want %d", raw, status, want)
			}
			if header.Get("Location") != "" || header.Get("Upgrade") != "" {
				t.Errorf("%.80q leads elsewhere: %v", raw, header)
			}
		}
		if len(h.done) > 0 {
			t.Errorf("done %q", h.done)
		}
	})
}

// TestGuessing tries passwords from one address and from many, by form and with
// the request: few are looked at, and who has logged in notices nothing.
func TestGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := handler(t, Config{Source: family(time.Now()), Password: "let me in"})
		session := post(page, "/login", url.Values{"password": {"let me in"}}).Result().Cookies()[0]
		guess := func(i int, addr, password string) int {
			forged := func(r *http.Request) { r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.1.2.%d", i)) }
			if i%2 == 0 {
				return ask(page, "/api/v1/summary", from(addr), with(password), forged).Code
			}
			return post(page, "/login", url.Values{"password": {password}}, from(addr), forged).Code
		}
		looked := func(addr func(int) string) (n int) {
			for i := range 10 * maxOfAll {
				if got := guess(i, addr(i), "guess"); got == http.StatusUnauthorized {
					n++
				} else if got != http.StatusTooManyRequests {
					t.Fatalf("guess %d: status %d", i, got)
				}
			}
			return n
		}
		if n := looked(func(int) string { return attacker }); n != maxFailures {
			t.Errorf("%d guesses of one client were looked at, want %d", n, maxFailures)
		}
		if got := guess(0, resident, "let me in"); got != http.StatusOK {
			t.Errorf("another client with the password: status %d", got)
		}
		time.Sleep(failuresFor)
		if n := looked(func(i int) string { return fmt.Sprintf("10.2.%d.%d:4000", i>>8, i&0xff) }); n != maxOfAll {
			t.Errorf("%d guesses of many clients were looked at, want %d", n, maxOfAll)
		}
		if got := guess(0, "10.9.9.9:4000", "let me in"); got != http.StatusTooManyRequests {
			t.Errorf("the right guess among them: status %d", got)
		}
		if got := ask(page, "/api/v1/summary", from(attacker), carrying(session)).Code; got != http.StatusOK {
			t.Errorf("who has logged in: status %d", got)
		}
		time.Sleep(failuresFor)
		if got := guess(0, resident, "let me in"); got != http.StatusOK {
			t.Errorf("a minute later: status %d", got)
		}
	})
}

// TestReplay: a cookie that was logged out of is good for nothing, also for who
// has a copy; another session of the same second is.
func TestReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := handler(t, Config{Source: family(time.Now()), Password: "let me in"})
		login := func() *http.Cookie {
			return post(page, "/login", url.Values{"password": {"let me in"}}).Result().Cookies()[0]
		}
		one, other := login(), login()
		post(page, "/logout", nil, carrying(one))
		if w := ask(page, "/", carrying(one)); w.Code != http.StatusUnauthorized {
			t.Errorf("after the logout: status %d", w.Code)
		}
		if w := ask(page, "/", carrying(other)); w.Code != http.StatusOK {
			t.Errorf("another session: status %d", w.Code)
		}
	})
	s := newSessions(nil, [32]byte{})
	now := time.Now()
	for i := range 2 * maxEnded {
		s.forget(fmt.Sprint(i), now.Add(time.Hour), now)
	}
	if len(s.ended) != maxEnded {
		t.Errorf("%d are remembered", len(s.ended))
	}
	if s.forget("x", now.Add(2*time.Hour), now.Add(time.Hour)); len(s.ended) != 1 {
		t.Errorf("%d are remembered when all have run out", len(s.ended))
	}
}

// TestEveryAnswerIsGuarded: the headers that protect are with every status.
func TestEveryAnswerIsGuarded(t *testing.T) {
	h := family(time.Now())
	open := handler(t, Config{Source: h, Commands: h, History: past(t)})
	closed := handler(t, Config{Source: h, Commands: h, Password: "let me in"})
	ill := handler(t, Config{Source: &household{gone: io.EOF}, History: past(t)})
	for range maxFailures {
		ask(closed, "/", from(attacker), with("guess"))
	}
	for status, w := range map[int]*httptest.ResponseRecorder{
		200: ask(open, "/"), 204: call(open, "POST", "/api/v1/scan", ""), 303: post(open, "/scan", nil), 400: ask(open, "/api/v1/gaps?from=x"),
		401: ask(closed, "/"), 403: post(open, "/scan", nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }),
		404: ask(open, "/x"), 405: post(open, "/events", nil), 413: call(open, "PATCH", "/api/v1/devices/x", strings.Repeat("x", 2*maxBody)),
		415: call(open, "PATCH", "/api/v1/devices/x", "", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }),
		421: ask(open, "/", as("evil.example")), 422: call(open, "PATCH", "/api/v1/devices/001132aabb01", "x"),
		429: ask(closed, "/", from(attacker), with("guess")), 503: ask(ill, "/"),
	} {
		if w.Code != status {
			t.Errorf("status %d, want %d", w.Code, status)
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("status %d: %s is %q", status, name, got)
			}
		}
	}
}
