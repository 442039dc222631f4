package mqtt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAddress(t *testing.T) {
	for raw, want := range map[string]address{
		"mqtt://broker":                    {scheme: "mqtt", host: "broker", port: "1883"},
		"mqtt://10.0.0.1:1884":             {scheme: "mqtt", host: "10.0.0.1", port: "1884"},
		"MQTTS://broker/":                  {scheme: "mqtts", host: "broker", port: "8883", path: "/"},
		"mqtts://[fe80::1]":                {scheme: "mqtts", host: "fe80::1", port: "8883"},
		"ws://broker":                      {scheme: "ws", host: "broker", port: "80", path: "/mqtt"},
		"wss://broker/a/b":                 {scheme: "wss", host: "broker", port: "443", path: "/a/b"},
		"mqtt://anna:hunter2@broker":       {scheme: "mqtt", host: "broker", port: "1883", username: "anna", password: "hunter2"},
		"mqtt://anna:a%2Fb%40@broker:1883": {scheme: "mqtt", host: "broker", port: "1883", username: "anna", password: "a/b@"},
	} {
		got, err := parseAddress(&Config{URL: raw})
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(address{})); diff != "" {
			t.Errorf("%s: %s", raw, diff)
		}
		if strings.Contains(got.String(), "hunter2") || strings.Contains(got.String(), "anna") {
			t.Error("a secret in", got.String())
		}
	}
}

func TestConfigFaults(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "garbage.pem")
	if err := os.WriteFile(garbage, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cfg  Config
		want string
	}{
		"no URL":          {Config{}, "MQTT_URL"},
		"http":            {Config{URL: "http://anna:hunter2@broker"}, `scheme "http"`},
		"no host":         {Config{URL: "mqtt://"}, "no host"},
		"only a host":     {Config{URL: "broker:1883"}, "MQTT_URL"},
		"unescaped":       {Config{URL: "mqtt://anna:hunter2%zz@broker"}, "MQTT_URL is not a URL"},
		"bad port":        {Config{URL: "mqtt://anna:hunter2@broker:port"}, "MQTT_URL is not a URL"},
		"path":            {Config{URL: "mqtt://anna:hunter2@broker/x"}, "has a path"},
		"no user":         {Config{URL: "mqtt://broker", Password: "hunter2"}, "MQTT_USERNAME"},
		"CA without TLS":  {Config{URL: "mqtt://anna:hunter2@broker", CAFile: garbage}, "not encrypted"},
		"no CA file":      {Config{URL: "mqtts://broker", CAFile: "/nonexistent"}, "/nonexistent"},
		"bad CA file":     {Config{URL: "mqtts://broker", CAFile: garbage}, "BEGIN CERTIFICATE"},
		"cert, no key":    {Config{URL: "mqtts://broker", CertFile: garbage}, "needs both"},
		"bad certificate": {Config{URL: "wss://broker", CertFile: garbage, KeyFile: garbage}, "MQTT_CERT_FILE"},
		"wildcard status": {Config{URL: "mqtt://broker", Announce: true, HAStatusTopic: "homeassistant/#"}, "status topic"},
	} {
		c.cfg.Discovery = options
		_, err := New(c.cfg, newMemoryLog(), new(orders))
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if msg := err.Error(); !strings.Contains(msg, c.want) || strings.Contains(msg, "hunter2") || strings.Contains(msg, "\n") {
			t.Errorf("%s: %q, want one line with %q", name, msg, c.want)
		}
	}
}

// Each run has a client id of its own, which every broker accepts.
func TestClientID(t *testing.T) {
	seen := map[string]bool{}
	for range 3 {
		id := newRivals(nil, &options.Topics, "nas").clientID()
		if len(id) > 23 || seen[id] || !strings.HasPrefix(id, "porchlight") || strings.ContainsFunc(id, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9')
		}) {
			t.Errorf("%q", id)
		}
		seen[id] = true
	}
}

func TestUnreachable(t *testing.T) {
	port := freePort(t)
	for url, want := range map[string]string{
		"mqtt://127.0.0.1:" + port:               "nothing listens",
		"ws://127.0.0.1:" + port:                 "nothing listens",
		"mqtts://anna:hunter2@127.0.0.1:" + port: "nothing listens",
	} {
		r := start(t, Config{URL: url}, newMemoryLog())
		eventually(t, want, func() bool { return strings.Contains(r.log.String(), want) })
		if connected, why := r.Status(); connected || !strings.Contains(why, want) {
			t.Error(connected, why)
		}
		r.stop()
		if strings.Contains(r.log.String(), "hunter2") {
			t.Error(r.log)
		}
	}
}

func TestBackoff(t *testing.T) {
	var sum time.Duration
	for try := range 4 {
		d := defaultBackoff.delay(try)
		sum += d
	}
	if sum > 4*time.Second {
		t.Error("four tries take", sum, "although a broker restarts in 2 s")
	}
	for _, try := range []int{10, 100, 1 << 40} {
		if d := defaultBackoff.delay(try); d < 10*time.Second || d > 20*time.Second {
			t.Errorf("try %d waits %v", try, d)
		}
	}
}

func TestThrottle(t *testing.T) {
	var th throttle
	now := time.Now()
	if !th.allow("a", now) || th.allow("a", now.Add(59*time.Second)) || !th.allow("a", now.Add(2*time.Minute)) {
		t.Error("not once a minute")
	}
	for i := range 10_000 {
		th.allow(strings.Repeat("x", i), now)
	}
	if len(th.last) > throttleKeys {
		t.Error(len(th.last), "keys kept")
	}
}
