package supervisor

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"porchlight/config"
	"porchlight/supervisor/supervisortest"
)

const (
	token    = "d41d8cd98f00b204e9800998ecf8427e"
	password = "aeMie7iu9oHohph5"
)

// mosquitto is what the Mosquitto app tells the Supervisor.
var mosquitto = supervisortest.Service{
	App: "core_mosquitto", Host: "core-mosquitto", Port: 1883, Protocol: "3.1.1", Username: "addons", Password: password,
}

// answered is what an app gets to know.
type answered struct {
	settings map[string]string // without the prefix
	said     []string
	err      string
}

// start asks s as an app with these options does that has just been started.
// The environment is beside what each app has.
func start(t *testing.T, s *supervisortest.Supervisor, options string, environ ...string) (a answered) {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "options.json"), []byte(options), 0o600); err != nil {
		t.Fatal(err)
	}
	environ = append([]string{
		"TZ=Europe/Berlin", "SUPERVISOR_TOKEN=" + token, "HASSIO_TOKEN=" + token,
		"SUPERVISOR_API=" + server.URL, "PORCHLIGHT_DATA_DIR=" + dir,
	}, environ...)
	settings, err := Settings(t.Context(), environ, func(line string) { a.said = append(a.said, line) })
	if err != nil {
		a.err = err.Error()
	}
	for _, text := range append([]string{a.err}, a.said...) {
		if strings.Contains(text, token) || strings.Contains(text, password) || strings.Contains(text, "\n") {
			t.Errorf("it says %q", text)
		}
	}
	all := variables(settings)
	if len(settings) > 0 && all["TZ"] != "Europe/Berlin" {
		t.Error("the environment is gone")
	}
	for _, value := range all {
		if strings.Contains(value, token) {
			t.Error("the token is handed on")
		}
	}
	a.settings = map[string]string{}
	if all[prefix+"DEVICES_FILE"] == "/config/devices.yaml" { // in the app's folder, for everybody
		delete(all, prefix+"DEVICES_FILE")
	} else if len(settings) > 0 && !slices.Contains(environ, prefix+"DEVICES_FILE="+all[prefix+"DEVICES_FILE"]) {
		t.Errorf("the device file is %q", all[prefix+"DEVICES_FILE"])
	}
	for name, value := range all {
		if short, ours := strings.CutPrefix(name, prefix); ours && short != "DATA_DIR" {
			a.settings[short] = value
		}
	}
	return a
}

func fresh() *supervisortest.Supervisor {
	service := mosquitto
	return &supervisortest.Supervisor{Token: token, MQTT: &service, IngressPort: 62341}
}

const ports = "62341,18580"

func TestSettings(t *testing.T) {
	for _, test := range []struct {
		name    string
		change  func(*supervisortest.Supervisor)
		options string
		environ []string
		want    map[string]string
		asked   []string
		said    []string
	}{
		{
			name: "as installed", options: `{"track":"all","log_level":"info"}`,
			want: map[string]string{
				"MQTT_URL": "mqtt://core-mosquitto:1883", "MQTT_USERNAME": "addons", "MQTT_PASSWORD": password,
				"INGRESS_PORTS": ports, "TRACK": "all", "LOG_LEVEL": "info",
			},
			asked: []string{"/services/mqtt", "/addons/self/info"},
		},
		{
			name: "as documented, the port is a text", options: `{}`,
			change: func(s *supervisortest.Supervisor) {
				s.MQTT = &supervisortest.Service{App: "awesome_mqtt", Host: "172.0.0.17", Port: "8883", SSL: true, Username: "awesome_user", Password: password, Protocol: "3.1.1"}
			},
			want: map[string]string{
				"MQTT_URL": "mqtts://172.0.0.17:8883", "MQTT_USERNAME": "awesome_user", "MQTT_PASSWORD": password, "INGRESS_PORTS": ports,
			},
			asked: []string{"/services/mqtt", "/addons/self/info"},
		},
		{
			name: "a broker that asks for no user", options: `{}`,
			change: func(s *supervisortest.Supervisor) {
				s.MQTT = &supervisortest.Service{Host: "fd0c:ac1e:2100::5", Port: 1883}
			},
			want:  map[string]string{"MQTT_URL": "mqtt://[fd0c:ac1e:2100::5]:1883", "INGRESS_PORTS": ports},
			asked: []string{"/services/mqtt", "/addons/self/info"},
		},
		{
			name: "every kind of option", options: `{"interfaces":["eth0","wlan0"],"max_tracked":20,"false_aways":0.5,"ha_discovery":false,
				"away_after":"20m","mqtt_username":"","sweep_prefixes":[],"node":null}`,
			want: map[string]string{
				"MQTT_URL": "mqtt://core-mosquitto:1883", "MQTT_USERNAME": "addons", "MQTT_PASSWORD": password, "INGRESS_PORTS": ports,
				"INTERFACES": "eth0,wlan0", "MAX_TRACKED": "20", "FALSE_AWAYS": "0.5", "HA_DISCOVERY": "false", "AWAY_AFTER": "20m",
			},
			asked: []string{"/services/mqtt", "/addons/self/info"},
		},
		{
			name: "another broker", options: `{"mqtt_url":"mqtts://broker.lan","mqtt_username":"me","mqtt_password":"` + password + `"}`,
			want: map[string]string{
				"MQTT_URL": "mqtts://broker.lan", "MQTT_USERNAME": "me", "MQTT_PASSWORD": password, "INGRESS_PORTS": ports,
			},
			asked: []string{"/addons/self/info"},
		},
		{
			name: "a user of one's own at the same broker", options: `{"mqtt_username":"me","mqtt_password":"mine"}`,
			want: map[string]string{
				"MQTT_URL": "mqtt://core-mosquitto:1883", "MQTT_USERNAME": "me", "MQTT_PASSWORD": "mine", "INGRESS_PORTS": ports,
			},
			asked: []string{"/services/mqtt", "/addons/self/info"},
		},
		{
			name: "an environment that names the broker", options: `{}`, environ: []string{"PORCHLIGHT_MQTT_URL=mqtt://127.0.0.1:1884"},
			want:  map[string]string{"MQTT_URL": "mqtt://127.0.0.1:1884", "INGRESS_PORTS": ports},
			asked: []string{"/addons/self/info"},
		},
		{
			name: "no broker", options: `{}`,
			change: func(s *supervisortest.Supervisor) { s.MQTT = nil },
			want:   map[string]string{"BROKER_LISTEN": "127.0.0.1:18830", "INGRESS_PORTS": ports},
			asked:  []string{"/services/mqtt", "/addons/self/info"},
			said: []string{`Home Assistant has no MQTT broker (Service not enabled): install the app "Mosquitto broker", or set the option mqtt_url; ` +
				`until then Porchlight runs a broker of its own on 127.0.0.1:18830`},
		},
		{
			name: "no broker yet for a user of one's own", options: `{"mqtt_username":"me","mqtt_password":"mine","mqtt_ca_file":"/config/ca.pem","node":"attic"}`,
			change: func(s *supervisortest.Supervisor) { s.MQTT = nil },
			want:   map[string]string{"BROKER_LISTEN": "127.0.0.1:18830", "INGRESS_PORTS": ports, "NODE": "attic"},
			asked:  []string{"/services/mqtt", "/addons/self/info"},
			said: []string{`Home Assistant has no MQTT broker (Service not enabled): install the app "Mosquitto broker", or set the option mqtt_url; ` +
				`until then Porchlight runs a broker of its own on 127.0.0.1:18830`},
		},
		{
			name: "no ingress", options: `{"mqtt_url":"mqtt://broker.lan"}`,
			change: func(s *supervisortest.Supervisor) { s.IngressPort = nil },
			want:   map[string]string{"MQTT_URL": "mqtt://broker.lan", "INGRESS_PORTS": "18580"},
			asked:  []string{"/addons/self/info"},
			said:   []string{"Home Assistant will not show the page: the Supervisor's answer to /addons/self/info has no ingress_port: reinstall the app"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := fresh()
			if test.change != nil {
				test.change(s)
			}
			got := start(t, s, test.options, test.environ...)
			if got.err != "" {
				t.Fatal(got.err)
			}
			if diff := cmp.Diff(test.want, got.settings); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.asked, s.Asked()); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.said, got.said); diff != "" {
				t.Errorf("said (-want +got):\n%s", diff)
			}
		})
	}
}

// What Settings returns is what config.Load takes.
func TestSettingsAreValid(t *testing.T) {
	s := fresh()
	server := httptest.NewServer(s)
	defer server.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "options.json"), []byte(`{"away_after":"20m","mqtt_zone":"x"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := Settings(t.Context(), []string{"SUPERVISOR_TOKEN=" + token, "SUPERVISOR_API=" + server.URL + "/", "PORCHLIGHT_DATA_DIR=" + dir}, func(line string) { t.Error(line) })
	if err != nil {
		t.Fatal(err)
	}
	cfg, warnings, err := config.Load(settings)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.MQTTURL.String() != "mqtt://core-mosquitto:1883" || string(cfg.MQTTPassword) != password || cfg.DataDir != dir ||
		!slices.Equal(cfg.IngressPorts, []uint16{62341, WatchdogPort}) {
		t.Errorf("the settings are %+v", cfg)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "PORCHLIGHT_MQTT_ZONE is not a setting") {
		t.Errorf("an option that is no setting: %q", warnings)
	}
}

// faulty answers every request in the same wrong way.
func faulty(status int, body string) func(int, http.ResponseWriter, *http.Request) bool {
	return func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
		return true
	}
}

func TestFaultsOfTheSupervisor(t *testing.T) {
	const asking = "asking the Supervisor for the MQTT broker: "
	for _, test := range []struct {
		name   string
		faults func(int, http.ResponseWriter, *http.Request) bool
		want   string
	}{
		{"wrong token", faulty(401, "401: Unauthorized"), asking + "the Supervisor denies the app /services/mqtt (status 401): reinstall the app"},
		{"no permission", faulty(403, `{"result":"error","message":"No access to mqtt service!"}`), asking + "the Supervisor denies the app /services/mqtt (status 403): reinstall the app"},
		{"not JSON", faulty(200, "<html>It works!</html>"), asking + "the answer to /services/mqtt is not one of the Supervisor"},
		{"another JSON", faulty(200, `{"host":"x","port":1,"password":"`+password+`"}`), asking + "the answer to /services/mqtt is not one of the Supervisor"},
		{"a list", faulty(200, `[]`), asking + "the answer to /services/mqtt is not one of the Supervisor"},
		{"nothing", faulty(200, ""), asking + "the answer to /services/mqtt is not one of the Supervisor"},
		{"half", faulty(200, `{"result":"ok","data":{"host":"core-mosqui`), asking + "the answer to /services/mqtt is not one of the Supervisor"},
		{"more than the answer", faulty(200, `{"result":"ok","data":{}}{}`), asking + "the answer to /services/mqtt is not one of the Supervisor"},
		{"elsewhere", func(_ int, w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
			return true
		}, asking + "the answer to /services/mqtt has status 302, which the Supervisor does not give"},
		{"not found", faulty(404, "404: Not Found"), asking + "the answer to /services/mqtt has status 404, which the Supervisor does not give"},
		{"huge", faulty(200, `{"result":"ok","data":"`+strings.Repeat("x", maxAnswer)+`"}`), asking + "the answer to /services/mqtt has more than 1 MB"},
		{"no data", faulty(200, `{"result":"ok"}`), asking + "the Supervisor's answer to /services/mqtt is not of the documented form"},
		{"other data", faulty(200, `{"result":"ok","data":["`+password+`"]}`), asking + "the Supervisor's answer to /services/mqtt is not of the documented form"},
		{"port of another form", faulty(200, `{"result":"ok","data":{"host":"x","port":"`+password+`"}}`), asking + "the Supervisor's answer to /services/mqtt is not of the documented form"},
		{"fields missing", faulty(200, `{"result":"ok","data":{}}`), "the Supervisor's answer to /services/mqtt has no host or no port: restart the app that is the MQTT broker, or set the option mqtt_url"},
		{"no host", faulty(200, `{"result":"ok","data":{"host":"","port":1883}}`), "the Supervisor's answer to /services/mqtt has no host or no port: restart the app that is the MQTT broker, or set the option mqtt_url"},
		{"impossible port", faulty(200, `{"result":"ok","data":{"host":"x","port":70000}}`), "the Supervisor's answer to /services/mqtt has no host or no port: restart the app that is the MQTT broker, or set the option mqtt_url"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := fresh()
			s.Faults = test.faults
			got := start(t, s, `{}`)
			if got.err != test.want || got.said != nil || len(s.Asked()) != 1 {
				t.Errorf("after %d requests, it said %q and fails with\n%s\nwant\n%s", len(s.Asked()), got.said, got.err, test.want)
			}
			// Who has a broker of one's own needs the Supervisor only for the page.
			got = start(t, s, `{"mqtt_url":"mqtt://broker.lan"}`)
			if got.err != "" || got.settings["INGRESS_PORTS"] != "18580" || len(got.said) != 1 {
				t.Errorf("with a broker of one's own: %+v", got)
			}
		})
	}
}

// A refusal is shown in the Supervisor's words, as far as they are fit for it.
func TestRefusal(t *testing.T) {
	s := fresh()
	s.Faults = func(_ int, w http.ResponseWriter, r *http.Request) bool {
		supervisortest.Refuse(w, "no\n\x1b[31mbroker for "+r.Header.Get("Authorization")+strings.Repeat("!", 1000))
		return true
	}
	got := start(t, s, `{}`)
	if got.err != "" || len(got.said) != 2 || !strings.HasPrefix(got.said[0], "Home Assistant has no MQTT broker (no [31mbroker for Bearer …!!!") || len(got.said[0]) > 500 {
		t.Errorf("it says %q, %s", got.said, got.err)
	}
}

func TestOptionsThatCannotBeRead(t *testing.T) {
	const again = "save them again in Home Assistant, on the app's page under Configuration"
	for _, test := range []struct{ name, options, want string }{
		{"not JSON", "mqtt_password: " + password, "not a JSON object: " + again},
		{"empty", "", "not a JSON object: " + again},
		{"null", "null", "not a JSON object: " + again},
		{"a list", "[]", "not a JSON object: " + again},
		{"two", "{}{}", "not a JSON object: " + again},
		{"nested", `{"mqtt_password":{"value":"` + password + `"}}`, "the option mqtt_password is neither a text nor a number, yes or no, or a list of texts: " + again},
		{"list of numbers", `{"interfaces":[1]}`, "the option interfaces is neither a text nor a number, yes or no, or a list of texts: " + again},
		{"strange name", `{"A=B\n":"x"}`, `"A=B\n" is not the name of an option: ` + again},
		{"huge", `{"node":"` + strings.Repeat("x", maxOptions) + `"}`, "has more than 1 MB"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := fresh()
			got := start(t, s, test.options)
			if !strings.HasSuffix(got.err, test.want) || len(s.Asked()) != 0 {
				t.Errorf("it fails with\n%s\nwant\n%s", got.err, test.want)
			}
		})
	}
	_, err := Settings(t.Context(), []string{"SUPERVISOR_TOKEN=" + token, "PORCHLIGHT_DATA_DIR=/nowhere"}, func(line string) { t.Error(line) })
	if err == nil || !strings.Contains(err.Error(), "/nowhere/options.json: no such file") {
		t.Errorf("without options: %v", err)
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := newClient("http://supervisor.test", token, func(string) { cancel() }) // is cancelled while it waits
	c.http.Transport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	}}
	if _, err := c.broker(ctx); err == nil || ctx.Err() == nil || !strings.HasSuffix(err.Error(), "context canceled") {
		t.Errorf("cancelled: %v", err)
	}
}

func TestInside(t *testing.T) {
	for _, test := range []struct {
		environ []string
		want    bool
	}{
		{nil, false},
		{[]string{"PATH=/bin"}, false},
		{[]string{"SUPERVISOR_TOKEN="}, false},
		{[]string{"SUPERVISOR_TOKEN=x"}, true},
	} {
		if got := Inside(test.environ); got != test.want {
			t.Errorf("Inside(%q) = %t", test.environ, got)
		}
	}
}

func FuzzOptions(f *testing.F) {
	f.Add([]byte(`{"track":"all","interfaces":["eth0"],"max_tracked":1e9,"ha_discovery":true,"node":null}`))
	f.Add([]byte(`{"a":{}}`))
	f.Add([]byte(`{"` + strings.Repeat("x", 64) + `":["",""]}`))
	f.Add([]byte(`{"a":"b=c\u0000\n"}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		settings, err := parseOptions(content)
		if err != nil && settings != nil {
			t.Error("settings and an error")
		}
		for _, s := range settings {
			name, value, _ := strings.Cut(s, "=")
			name, ours := strings.CutPrefix(name, prefix)
			if !ours || !optionName.MatchString(strings.ToLower(name)) || value == "" {
				t.Errorf("the setting %q", s)
			}
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add(200, []byte(`{"result":"ok","data":{"host":"core-mosquitto","port":1883,"username":"addons","password":"x"}}`))
	f.Add(400, []byte(`{"result":"error","message":"Service not enabled"}`))
	f.Add(500, []byte("oops"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		c := newClient("", token, func(string) {})
		var data struct {
			Host string `json:"host"`
		}
		err := c.read("/services/mqtt", status, body, &data)
		if err != nil && (len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\n\r\x1b") || strings.Contains(err.Error(), token)) {
			t.Errorf("error %q", err)
		}
		if err == nil && status != 200 {
			t.Errorf("status %d is taken", status)
		}
	})
}
