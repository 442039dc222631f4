package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"porchlight/lab"
	"porchlight/lab/labtest"
)

// homeAssistant is a machine that has the addresses of Home Assistant's network
// for apps, with the page on it.
type homeAssistant struct {
	t    *testing.T
	host *lab.Observer
	page *Server
}

const ingressPort = 62341

func newHomeAssistant(t *testing.T, source Source) *homeAssistant {
	t.Helper()
	l := labtest.Start(t)
	h := &homeAssistant{t: t, host: l.Observer("lan0")}
	for _, addr := range []string{"172.30.32.1/23", "172.30.32.2/32", "172.30.33.5/32"} {
		if out, err := h.host.Command(t.Context(), "ip", "address", "add", addr, "dev", "lo").CombinedOutput(); err != nil {
			t.Fatalf("adding %s: %v: %s", addr, err, out)
		}
	}
	l.Must(h.host.Do(func() (err error) {
		h.page, err = NewIngress(Config{Source: source, History: past(t), Connections: server(time.Now()), Traffic: metered(time.Now(), "docker0"), Version: "1.2.3", Listen: "0.0.0.0:0", Password: "not asked for"}, ingressPort)
		return err
	}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.page.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return h
}

// dial connects from an address of the machine.
func (h *homeAssistant) dial(from string) (conn net.Conn, err error) {
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0)), Timeout: time.Minute}
	err = h.host.Do(func() error {
		conn, err = d.DialContext(h.t.Context(), "tcp", fmt.Sprintf("172.30.32.1:%d", ingressPort))
		return err
	})
	if err == nil {
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
	}
	return conn, err
}

type reply struct {
	status         int
	location, body string
}

// get asks as the Supervisor does, which hands over the browser's headers.
func (h *homeAssistant) get(from, path string) (reply, error) {
	conn, err := h.dial(from)
	if err != nil {
		return reply{}, err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: homeassistant.local:8123\r\nX-Ingress-Path: /api/hassio_ingress/ml8UFm2r6Zu\r\n"+
		"X-Forwarded-For: 192.168.1.20, 172.30.32.1\r\nX-Remote-User-Name: anna\r\nConnection: close\r\n\r\n"); err != nil {
		return reply{}, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header.Get("Location"), string(body)}, err
}

func TestIngress(t *testing.T) {
	h := newHomeAssistant(t, family(time.Now()))
	for path, want := range map[string]string{
		"/": "2 of 4 devices home", "/style.css": "font", "/icon.svg": "<svg", "/healthz": "ok", "/livez": "ok", "/metrics": "porchlight_",
	} {
		a, err := h.get("172.30.32.2", path)
		if err != nil || a.status != http.StatusOK || !strings.Contains(a.body, want) {
			t.Errorf("the Supervisor asks for %s and gets %+v, %v", path, a, err)
		}
	}
	for _, path := range []string{"//", "/./", "/style.css/", "/x"} { // nothing redirects: the path is not the browser's
		if a, err := h.get("172.30.32.2", path); err != nil || a.status != http.StatusNotFound || a.location != "" {
			t.Errorf("%s: %+v, %v", path, a, err)
		}
	}
	for _, from := range []string{"172.30.32.1", "172.30.33.5", "127.0.0.1"} {
		if a, err := h.get(from, "/"); err == nil {
			t.Errorf("%s gets %+v", from, a)
		}
	}
	if _, err := h.host.Dial(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", ingressPort)); err == nil {
		t.Error("it listens on other addresses too")
	}
}

// TestIngressIsNotHeldUp lets others connect without a word.
func TestIngressIsNotHeldUp(t *testing.T) {
	h := newHomeAssistant(t, family(time.Now()))
	for range 2 * maxConnections {
		conn, err := h.dial("172.30.33.5")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	if a, err := h.get("172.30.32.2", "/"); err != nil || a.status != http.StatusOK {
		t.Errorf("the Supervisor gets %+v, %v", a, err)
	}
}

// TestLinksAreRelative follows what the pages refer to below the path of an ingress.
func TestLinksAreRelative(t *testing.T) {
	h := newHomeAssistant(t, family(time.Now()))
	pages, forms := crawl(t, "https://homeassistant.local/api/hassio_ingress/ml8UFm2r6Zu/", func(path string) (int, string) {
		a, err := h.get("172.30.32.2", "/"+path)
		if err != nil {
			t.Fatal(err)
		}
		return a.status, a.body
	})
	if len(pages) != 11 || len(forms) < 8 {
		t.Errorf("there are the pages %q, and forms to %q", pages, forms)
	}
}

func TestIngressElsewhere(t *testing.T) {
	if _, err := NewIngress(Config{Source: &household{}}, ingressPort); err == nil || !strings.HasPrefix(err.Error(), "the page for Home Assistant: ") {
		t.Errorf("on a machine without Home Assistant: %v", err)
	}
}

func TestAlive(t *testing.T) {
	for _, test := range []struct {
		name   string
		source *household
		code   int
		body   string
	}{
		{"well", &household{}, http.StatusOK, "ok\n"},
		{"no broker", &household{ill: errors.New("no broker")}, http.StatusOK, "ok\n"},
		{"hangs", &household{gone: errors.New("the bridge does not answer")}, http.StatusServiceUnavailable, "the main loop does not answer\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := get(t, Config{Source: test.source, Password: "secret"}, "/livez")
			if w.Code != test.code || w.Body.String() != test.body {
				t.Errorf("got %d, %q", w.Code, w.Body)
			}
		})
	}
}
