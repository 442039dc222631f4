package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porchlight/lab"
	"porchlight/presence"
	"porchlight/supervisor/supervisortest"
)

// The addresses of Home Assistant's network for apps: the machine, the
// Supervisor, and another app.
const (
	machine    = "172.30.32.1"
	supervisor = "172.30.32.2"
	otherApp   = "172.30.33.5"

	appToken    = "3f1b2c4d5e6f708192a3b4c5d6e7f809"
	ingressPort = 62341
)

// homeAssistant is a house where the observer's machine is one with Home
// Assistant: it has the addresses, the Supervisor answers there (serve), and
// those that are started by app know the names "supervisor" and "core-mosquitto".
type homeAssistant struct {
	*house
	hosts string // the file with the names
}

func newHomeAssistant(t *testing.T, options map[string]any) *homeAssistant {
	t.Helper()
	h := &homeAssistant{house: bareHouse(t), hosts: filepath.Join(t.TempDir(), "hosts")}
	h.env = map[string]string{"DATA_DIR": h.dir}
	for _, addr := range []string{machine + "/23", supervisor + "/32", otherApp + "/32"} {
		if out, err := h.obs.Command(t.Context(), "ip", "address", "add", addr, "dev", "lo").CombinedOutput(); err != nil {
			t.Fatalf("adding %s: %v: %s", addr, err, out)
		}
	}
	h.lab.Must(os.WriteFile(h.hosts, []byte("127.0.0.1 localhost\n"+supervisor+" supervisor\n127.0.0.1 core-mosquitto\n"), 0o600))

	all := map[string]any{
		"track": "all", "log_level": "debug", "interfaces": []string{"lan0"}, "sweep_rate": 1000,
		"away_after": realTimeout.String(), "probe_interval": (realTimeout / probesPerTimeout).String(),
	}
	for name, value := range options {
		all[name] = value
	}
	content, err := json.Marshal(all)
	h.lab.Must(err)
	h.lab.Must(os.WriteFile(filepath.Join(h.dir, "options.json"), content, 0o600))
	return h
}

// serve lets the Supervisor answer.
func (h *homeAssistant) serve(s *supervisortest.Supervisor) {
	h.t.Helper()
	s.Token, s.IngressPort = appToken, ingressPort
	var listener net.Listener
	h.lab.Must(h.obs.Do(func() (err error) {
		listener, err = net.Listen("tcp", supervisor+":80")
		return err
	}))
	server := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(listener) }()
	h.t.Cleanup(func() { _ = server.Close() })
}

// app starts Porchlight as the Supervisor does.
func (h *homeAssistant) app(args ...string) *process {
	h.t.Helper()
	p := h.command(args...)
	inner := h.obs.Command(context.Background(), "unshare", append([]string{
		"--mount", "sh", "-c", `mount --bind "$0" /etc/hosts && exec "$@"`, h.hosts,
	}, p.cmd.Args...)...)
	inner.Env = append(p.cmd.Env, "TZ=Europe/Berlin", "SUPERVISOR_TOKEN="+appToken, "HASSIO_TOKEN="+appToken)
	inner.Stdout, inner.Stderr = &p.stdout, &p.stderr
	p.cmd = inner
	p.start()
	h.t.Cleanup(func() {
		for _, secret := range []string{appToken, "s3cret"} {
			if strings.Contains(p.stdout.String()+p.stderr.String(), secret) {
				h.t.Errorf("it tells %q", secret)
			}
		}
	})
	return p
}

// get asks for a path from one of the machine's addresses.
func (h *homeAssistant) get(from string, port int, path string) (status int, body string, err error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))}
			err = h.obs.Do(func() error {
				conn, err = d.DialContext(ctx, network, address)
				return err
			})
			return conn, err
		},
	}}
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, fmt.Sprintf("http://%s:%d%s", machine, port, path), http.NoBody)
	h.lab.Must(err)
	req.Host = "homeassistant.local:8123" // what the user's browser asked for
	req.Header.Set("X-Ingress-Path", "/api/hassio_ingress/ml8UFm2r6Zu")
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(content), err
}

// mosquitto installs the broker, and returns what it tells the Supervisor.
func (h *homeAssistant) mosquitto() supervisortest.Service {
	h.t.Helper()
	passwords := filepath.Join(h.t.TempDir(), "passwords")
	h.lab.Must(os.WriteFile(passwords, []byte(mosquittoPassword), 0o600))
	h.withBroker("allow_anonymous false\npassword_file " + passwords + "\n")
	delete(h.env, "MQTT_URL") // is for the Supervisor to say
	h.sub.user = url.UserPassword("porchlight", "s3cret")
	return supervisortest.Service{
		App: "core_mosquitto", Host: "core-mosquitto", Port: int(netip.MustParseAddrPort(h.broker.Addr()).Port()),
		Username: "porchlight", Password: "s3cret", Protocol: "3.1.1",
	}
}

// answers returns nil when the Supervisor gets that status and a text with that
// part for a path.
func (h *homeAssistant) answers(path string, status int, part string) error {
	got, body, err := h.get(supervisor, ingressPort, path)
	if err == nil && (got != status || !strings.Contains(body, part)) {
		err = fmt.Errorf("the Supervisor gets status %d for %s:\n%s", got, path, body)
	}
	return err
}

// As an app of Home Assistant, Porchlight takes all from the Supervisor, and its
// page is for the ingress alone.
func TestApp(t *testing.T) {
	t.Parallel()
	h := newHomeAssistant(t, nil)
	mosquitto := h.mosquitto()
	h.sub.connect()
	h.serve(&supervisortest.Supervisor{MQTT: &mosquitto})

	p := h.app()
	if e, ok := h.sub.next(patience); !ok || e.Type != presence.Baseline {
		t.Fatalf("the first event is %+v, want the baseline", e)
	}
	h.sub.awaitTopic(topics.Status(), "online")
	phone := h.lab.Client("phone", lab.WithMAC(phone.mac))
	h.join(phone)
	h.sub.awaitTopic(topics.State(macOf(phone).ID()), "home")
	if got := h.sub.retained()[topics.State(macOf(phone).ID())]; got != "home" {
		t.Errorf("retained: %q", got)
	}

	for _, text := range []string{"2 of 2 devices home", "phone"} {
		h.lab.Must(h.answers("/", http.StatusOK, text))
	}
	for _, from := range []string{machine, otherApp} {
		if status, body, err := h.get(from, ingressPort, "/"); err == nil {
			t.Errorf("%s gets %d\n%s", from, status, body)
		}
	}
	const watchdog = 18580
	if status, _, err := h.get(supervisor, watchdog, "/livez"); err != nil || status != http.StatusOK {
		t.Errorf("the watchdog: %d, %v", status, err)
	}
	if out := h.app("devices"); out.wait() != 0 || !strings.Contains(out.stdout.String(), "phone") {
		t.Errorf("devices in the app:\n%s%s", out.stdout.String(), out.stderr.String())
	}

	h.broker.Kill() // is no reason to start Porchlight again
	eventually(t, "the broker to be missed", func() error {
		return h.answers("/healthz", http.StatusServiceUnavailable, "no broker")
	})
	if status, _, err := h.get(supervisor, watchdog, "/livez"); err != nil || status != http.StatusOK {
		t.Errorf("the watchdog, without the broker: %d, %v", status, err)
	}
	p.stop()
}

// Without a broker in Home Assistant, the log and the page say what to install,
// and a broker of its own runs meanwhile. The one that is installed then is
// found, and so is another password. A Supervisor that starts is waited for.
func TestAppWithoutBroker(t *testing.T) {
	t.Parallel()
	h := newHomeAssistant(t, nil)
	s := &supervisortest.Supervisor{Faults: func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n == 0 {
			w.WriteHeader(http.StatusBadGateway)
		}
		return n == 0
	}}
	h.serve(s)
	h.sub = newSubscriber(t, h.obs.Host, "127.0.0.1:18830")
	p := h.app()
	p.says(`porchlight: waiting for the Supervisor: `)
	p.says(`porchlight: Home Assistant has no MQTT broker (Service not enabled): install the app "Mosquitto broker"`)
	eventually(t, "the broker of its own", func() error { return h.sub.try() })
	h.sub.connect()
	h.sub.awaitTopic(topics.Status(), "online")
	const advice = "install the app &#34;Mosquitto broker&#34;"
	eventually(t, "the page to say it", func() error { return h.answers("/", http.StatusOK, advice) })

	mosquitto := h.mosquitto()
	mosquitto.Password = "outdated"
	s.Register(mosquitto)
	p.says("PORCHLIGHT_MQTT_PASSWORD")
	mosquitto.Password = "s3cret"
	s.Register(mosquitto)
	h.sub.connect()
	h.sub.awaitTopic(topics.Status(), "online")
	eventually(t, "all to be well", func() error { return h.answers("/healthz", http.StatusOK, "ok") })
	if h.answers("/", http.StatusOK, advice) == nil {
		t.Error("the page still wants a broker")
	}
	if _, err := h.obs.Dial(t.Context(), "tcp", "127.0.0.1:18830"); err == nil {
		t.Error("its own broker still runs")
	}
	p.stop()
}

// Who is stopped while the Supervisor is waited for has ended well.
func TestAppStopsWhileItWaits(t *testing.T) {
	t.Parallel()
	h := newHomeAssistant(t, nil)
	h.serve(&supervisortest.Supervisor{Faults: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	}})
	p := h.app()
	p.says("waiting for the Supervisor")
	p.stop()
}

// What is wrong with the Supervisor or with an option ends the start, a line each.
func TestAppThatCannotStart(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		faults  func(int, http.ResponseWriter, *http.Request) bool
		options map[string]any
		want    string
	}{
		"denied": {func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			http.Error(w, "403: Forbidden", http.StatusForbidden)
			return true
		}, nil, "porchlight: asking the Supervisor for the MQTT broker: the Supervisor denies the app /services/mqtt (status 403): reinstall the app\n"},
		"wrong option": {nil, map[string]any{"mqtt_url": "mqtt://broker.lan", "ha_zone": "home"}, `porchlight: PORCHLIGHT_HA_ZONE="home": want the entity of a zone, such as zone.home` + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHomeAssistant(t, test.options)
			h.serve(&supervisortest.Supervisor{Faults: test.faults})
			p := h.app("run")
			if status := p.wait(); status != 1 || p.stderr.String() != test.want {
				t.Errorf("exit status %d, and it says\n%s", status, p.stderr.String())
			}
		})
	}
}
