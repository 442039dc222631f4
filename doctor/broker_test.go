package doctor

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/config"
	"porchlight/mqtt"
	"porchlight/presence"
)

const password = "correct horse"

// embedded starts a real broker that wants a user and a password.
func embedded(t *testing.T) string {
	t.Helper()
	b, err := mqtt.NewBroker(mqtt.BrokerConfig{Listen: "127.0.0.1:0", Username: "porch", Password: password, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b.Addr().String()
}

// peer accepts connections and does something with each.
func peer(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// answer reads the CONNECT and writes b.
func answer(b ...byte) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = c.Read(make([]byte, 512))
		_, _ = c.Write(b)
	}
}

// brokerSettings are the default ones but for what is given.
func brokerSettings(t *testing.T, u *url.URL, user, password, ca string) config.Config {
	t.Helper()
	cfg, _, err := config.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.MQTTURL, cfg.MQTTUsername, cfg.MQTTPassword, cfg.MQTTCAFile = u, user, config.Secret(password), ca
	return cfg
}

func TestCheckBroker(t *testing.T) {
	real := embedded(t)
	hold := make(chan struct{})
	defer close(hold)
	silent := peer(t, func(net.Conn) { <-hold })
	closed := peer(t, func(net.Conn) {})
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	strict := httptest.NewUnstartedServer(http.NotFoundHandler())
	strict.Config.ErrorLog = secure.Config.ErrorLog
	strict.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	strict.StartTLS()
	t.Cleanup(strict.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	noCA := filepath.Join(t.TempDir(), "no.pem")
	write(t, noCA, "nothing")
	webAt, secureAt := strings.TrimPrefix(web.URL, "http://"), strings.TrimPrefix(secure.URL, "https://")

	for _, test := range []struct {
		name, url, user, password string
		ca                        string
		level                     Level
		text, remedy              string
	}{
		{"accepts", "mqtt://" + real, "porch", password, "", OK, "accepts the connection", ""},
		{"wrong password", "mqtt://" + real, "porch", "battery staple", "", Fail, "the user name or the password is wrong", "PORCHLIGHT_MQTT_PASSWORD"},
		{"no password", "mqtt://" + real, "", "", "", Fail, "the user name or the password is wrong", "PORCHLIGHT_MQTT_USERNAME"},
		{"not authorised", "mqtt://" + peer(t, answer(0x20, 2, 0, 5)), "porch", password, "", Fail, "not authorised", "allow the user"},
		{"bad password", "mqtt://" + peer(t, answer(0x20, 2, 0, 4)), "porch", password, "", Fail, "the user name or the password is wrong.", "PORCHLIGHT_MQTT_PASSWORD"},
		{"unavailable", "mqtt://" + peer(t, answer(0x20, 2, 0, 3)), "", "", "", Fail, "not available", "log"},
		{"id refused", "mqtt://" + peer(t, answer(0x20, 2, 0, 2)), "", "", "", Fail, "client id", "begin with porchlight"},
		{"old broker", "mqtt://" + peer(t, answer(0x20, 2, 0, 1)), "", "", "", Fail, "3.1.1", "3.1.1"},
		{"a web server", "mqtt://" + webAt, "", "", "", Fail, "does not speak MQTT", "port"},
		{"nothing there", "mqtt://127.0.0.1:1", "", "", "", Fail, "nothing listens", "Start the broker"},
		{"closes", "mqtt://" + closed, "", "", "", Fail, "closed the connection", "mqtts://"},
		{"says nothing", "mqtt://" + silent, "", "", "", Fail, "does not answer", "firewall"},
		{"unknown authority", "mqtts://" + secureAt, "", "", "", Fail, "not known here", "PORCHLIGHT_MQTT_CA_FILE"},
		{"known authority, no MQTT", "mqtts://" + secureAt, "", "", ca, Fail, "does not speak MQTT", "8883"},
		{"wants a client certificate", strings.Replace(strict.URL, "https", "mqtts", 1), "", "", ca, Fail, "the broker ends the TLS handshake (tls: certificate required)", "PORCHLIGHT_MQTT_CERT_FILE"},
		{"bad authority file", "mqtts://" + secureAt, "", "", noCA, Fail, "PORCHLIGHT_MQTT_CA_FILE", "Correct the setting."},
		{"no TLS", "mqtts://" + peer(t, answer([]byte("HTTP/1.0 400 Bad Request\r\n\r\n")...)), "", "", "", Fail, "no TLS on this port", "mqtt://"},
		{"no WebSocket", "ws://" + webAt, "", "", "", Fail, "no MQTT over WebSocket", "path"},
	} {
		t.Run(test.name, func(t *testing.T) {
			u, err := url.Parse(test.url)
			if err != nil {
				t.Fatal(err)
			}
			patience := brokerTime
			if test.name == "says nothing" {
				patience = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			f := checkBroker(ctx, brokerSettings(t, u, test.user, test.password, test.ca), false)[0]
			if f.Level != test.level || !strings.Contains(f.Text, test.text) || !strings.Contains(f.Remedy, test.remedy) {
				t.Errorf("got %+v, want %s with %q and remedy %q", f, test.level, test.text, test.remedy)
			}
			if test.password != "" && strings.Contains(fmt.Sprint(f), test.password) {
				t.Errorf("the password is shown: %+v", f)
			}
		})
	}
}

// One that runs here is no other; all else that uses the node is.
func TestCheckOthers(t *testing.T) {
	since := time.Date(2026, 5, 1, 12, 0, 0, 0, time.Local)
	here, pi := mqtt.Instance{Host: "nas", Since: since}, mqtt.Instance{Host: "pi", Since: since}
	for _, test := range []struct {
		name  string
		there []mqtt.Instance
		held  bool
		want  []string // places
	}{
		{"nobody", nil, false, nil},
		{"we", []mqtt.Instance{here}, true, nil},
		{"somebody here, with another database", []mqtt.Instance{here}, false, []string{"this machine"}},
		{"two here", []mqtt.Instance{here, here}, true, []string{"this machine"}},
		{"we and another", []mqtt.Instance{pi, here}, true, []string{"pi"}},
		{"another, and we do not run", []mqtt.Instance{pi}, false, []string{"pi"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var want []Finding
			for _, where := range test.want {
				want = append(want, Finding{
					"broker", Warn, "Another Porchlight (on " + where + ", since 2026-05-01 12:00:00) uses PORCHLIGHT_NODE \"attic\" on this broker: they overwrite each other's devices.",
					"Set PORCHLIGHT_NODE to another name on one of them.",
				})
			}
			if diff := cmp.Diff(want, checkOthers(test.there, test.held, "nas", "attic")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A Porchlight that runs answers the question who is there.
func TestAnotherPorchlight(t *testing.T) {
	u := &url.URL{Scheme: "mqtt", Host: embedded(t)}
	cfg := brokerSettings(t, u, "porch", password, "")
	session := brokerConfig(cfg)
	session.Host, session.HAStatusTopic = "pi", "homeassistant/status"
	s, err := mqtt.New(session, noEvents{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() { cancel(); <-done }()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if connected, _ := s.Status(); connected {
			break
		}
	}
	found := checkBroker(t.Context(), cfg, false)
	if len(found) != 2 || found[0].Level != OK || !strings.Contains(found[1].Text, "Another Porchlight (on pi, since ") {
		t.Errorf("found %+v", found)
	}
	if p := s.Problems(); len(p) > 0 {
		t.Errorf("the doctor was taken for another Porchlight: %q", p)
	}
	own := cfg
	own.MQTTURL, own.BrokerListen, own.BrokerUsername, own.BrokerPassword = nil, u.Host, "porch", password
	if found := askEmbedded(t.Context(), own); len(found) != 1 || !strings.Contains(found[0].Text, "(on pi, ") {
		t.Errorf("at the embedded broker: %+v", found)
	}
	host, _ := os.Hostname()
	here := mqtt.Instance{Host: host, Since: time.Date(2026, 5, 1, 12, 0, 0, 0, time.Local)}
	if found := checkInstances([]mqtt.Instance{here}, true, cfg); len(found) != 1 || found[0].Level != OK || !strings.Contains(found[0].Text, "has said nothing on homeassistant/status since Porchlight started (2026-05-01 12:00:00)") {
		t.Errorf("found %+v", found)
	}
	here.HomeAssistant = here.Since.Add(time.Hour)
	if found := checkInstances([]mqtt.Instance{here}, true, cfg); len(found) != 1 || found[0].Text != "Home Assistant was heard on homeassistant/status (2026-05-01 13:00:00)." {
		t.Errorf("found %+v", found)
	}
	cfg.HADiscovery = false
	if found := checkInstances([]mqtt.Instance{here}, true, cfg); len(found) != 0 {
		t.Errorf("without discovery: %+v", found)
	}
	cfg.Node = "attic"
	if found := checkBroker(t.Context(), cfg, false); len(found) != 1 {
		t.Errorf("with another node: %+v", found)
	}
}

// noEvents is an event log in which nothing happens.
type noEvents struct{}

func (noEvents) After(context.Context, int64, int) ([]presence.Event, error) { return nil, nil }
func (noEvents) Changed() <-chan struct{}                                    { return nil }
func (noEvents) Cursor(context.Context, string) (int64, error)               { return 0, nil }
func (noEvents) SetCursor(string, int64)                                     {}

func TestCheckRunning(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		said   string
		want   []Finding
	}{
		{"well", 200, "ok\n", []Finding{{"running", OK, "The Porchlight that runs says that it is well.", ""}}},
		{
			"not well", 503, "the broker does not let Porchlight write x: y; allow it\n\x1b[31m",
			[]Finding{{"running", Warn, "The Porchlight that runs says: the broker does not let Porchlight write x: y; allow it [31m.", "Do what it says; its log and its page may say more."}},
		},
		{"something else listens there", 404, "not found", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var auth string
			page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, auth, _ = r.BasicAuth()
				w.WriteHeader(test.status)
				fmt.Fprint(w, test.said)
			}))
			defer page.Close()
			got := checkRunning(t.Context(), strings.TrimPrefix(page.URL, "http://"), password)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if auth != password {
				t.Errorf("password %q", auth)
			}
		})
	}
	if got := checkRunning(t.Context(), "127.0.0.1:1", ""); got != nil {
		t.Errorf("nobody listens: %+v", got)
	}
}
