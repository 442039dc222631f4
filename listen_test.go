package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"porchlight/mqtt"
	"porchlight/synced"
)

// TestMain makes this test's binary the program when it is asked to be.
func TestMain(m *testing.M) {
	if os.Getenv("PORCHLIGHT_TEST_MAIN") != "" {
		_ = os.Unsetenv("PORCHLIGHT_TEST_MAIN")
		main()
	}
	os.Exit(m.Run())
}

// house is a broker with a user and a password, and someone who publishes.
type house struct {
	address string
	paho.Client
}

const brokerUser, brokerPassword = "anna", "hunter2"

func startHouse(t *testing.T) *house {
	t.Helper()
	b, err := mqtt.NewBroker(mqtt.BrokerConfig{
		Listen: "127.0.0.1:0", Username: brokerUser, Password: brokerPassword, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	h := &house{address: b.Addr().String()}
	h.Client = paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + h.address).SetClientID("house").
		SetUsername(brokerUser).SetPassword(brokerPassword).SetConnectTimeout(10 * time.Second))
	if token := h.Connect(); !token.WaitTimeout(time.Minute) || token.Error() != nil {
		t.Fatal("no connection to the broker:", token.Error())
	}
	t.Cleanup(func() {
		h.Disconnect(0)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *house) say(t *testing.T, topic string, retained bool, payload string) {
	t.Helper()
	if token := h.Publish(topic, 1, retained, payload); !token.WaitTimeout(time.Minute) || token.Error() != nil {
		t.Fatal(token.Error())
	}
}

// program is a porchlight that runs in a process of its own.
type program struct {
	cmd            *exec.Cmd
	stdout, stderr synced.Buffer
}

// startProgram runs porchlight with args and nothing in its environment but env.
func startProgram(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	p := &program{cmd: exec.Command(os.Args[0], args...)}
	p.cmd.Env = append([]string{"PORCHLIGHT_TEST_MAIN=1", "GORACE=atexit_sleep_ms=0", "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}, env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("stdout:\n%s\nstderr:\n%s", &p.stdout, &p.stderr)
		}
	})
	return p
}

// interrupt ends p as Ctrl-C does, at once if the machine has the time.
func (p *program) interrupt(t *testing.T) {
	t.Helper()
	began := time.Now()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil || time.Since(began) > 5*time.Second {
		t.Errorf("%s after Ctrl-C: %v", time.Since(began), err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within a minute:", what)
		}
	}
}

func TestListen(t *testing.T) {
	h := startHouse(t)
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte(brokerPassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	credentials := []string{"PORCHLIGHT_MQTT_USERNAME=" + brokerUser, "PORCHLIGHT_MQTT_PASSWORD_FILE=" + password}
	h.say(t, "porchlight/home/summary", true, `{"home":2,"known":9}`)
	table := startProgram(t, credentials, "listen", h.address)
	lines := startProgram(t, append(credentials, "PORCHLIGHT_LOG_FORMAT=json", "PORCHLIGHT_MQTT_URL=mqtt://"+h.address), "listen", "--json", "-t", "new_device", "-t", "left", "--node", "home")
	for _, p := range []*program{table, lines} {
		eventually(t, "the greeting", func() bool { return strings.Contains(p.stderr.String(), "at home now") })
	}
	const newDevice = `{"event_type":"new_device","seq":7,"time":"2026-05-01T10:00:00Z","id":"3c5ab4010203","mac":"3c:5a:b4:01:02:03","ip":"10.0.0.7","name":"Pixel-7","private_mac":false,"why":"ARP request heard"}`
	h.say(t, "porchlight/home/event", false, newDevice)
	h.say(t, "porchlight/home/event", false, strings.NewReplacer("new_device", "arrived", `"seq":7`, `"seq":8`).Replace(newDevice))
	h.say(t, "porchlight/home/event", false, newDevice)
	h.say(t, "porchlight/garage/event", false, newDevice)
	h.say(t, "porchlight/home/event", false, strings.NewReplacer("new_device", "left", `"seq":7`, `"seq":9`).Replace(newDevice))
	eventually(t, "the events", func() bool {
		return strings.Contains(table.stdout.String(), "left") && strings.Contains(lines.stdout.String(), "left")
	})
	var got []string
	for line := range strings.Lines(table.stdout.String()) {
		f := strings.Fields(line)
		got = append(got, strings.Join(append(f[:2:2], f[4:]...), " ")) // without the local time
	}
	want := "home 7 new_device Pixel-7 ARP request heard, home 8 arrived Pixel-7 ARP request heard, " +
		"garage 7 new_device Pixel-7 ARP request heard, home 9 left Pixel-7 ARP request heard"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
	want = strings.TrimSuffix(newDevice, "}") + `,"node":"home"}` + "\n"
	want += strings.NewReplacer("new_device", "left", `"seq":7`, `"seq":9`).Replace(want)
	if lines.stdout.String() != want {
		t.Errorf("got  %s\nwant %s", &lines.stdout, want)
	}
	table.interrupt(t)
	lines.interrupt(t)
}

// The broker of the Porchlight on this machine is the one that is followed
// when none is set.
func TestListenHere(t *testing.T) {
	h := startHouse(t)
	_, port, _ := strings.Cut(h.address, ":")
	for _, listen := range []string{"0.0.0.0:" + port, ":" + port, h.address} {
		p := startProgram(t, []string{
			"PORCHLIGHT_BROKER_LISTEN=" + listen,
			"PORCHLIGHT_BROKER_USERNAME=" + brokerUser, "PORCHLIGHT_BROKER_PASSWORD=" + brokerPassword,
		}, "listen")
		eventually(t, "a connection", func() bool { return strings.Contains(p.stderr.String(), "connected to the broker") })
		p.interrupt(t)
	}
}

func TestListenWithoutBroker(t *testing.T) {
	p := startProgram(t, []string{"PORCHLIGHT_MQTT_USERNAME=anna", "PORCHLIGHT_MQTT_PASSWORD=hunter2"}, "listen", "127.0.0.1:1")
	eventually(t, "why", func() bool { return strings.Contains(p.stderr.String(), "nothing listens there") })
	p.interrupt(t)
	if strings.Contains(p.stderr.String(), "hunter2") || strings.Count(p.stderr.String(), "\n") != 1 {
		t.Error(p.stderr.String())
	}
}

func TestListenFaults(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"listen mqtt://anna:hunter2@127.0.0.1", exitUsage, "PORCHLIGHT_MQTT_PASSWORD_FILE"},
		{"listen anna:hunter2@127.0.0.1", exitUsage, "PORCHLIGHT_MQTT_PASSWORD_FILE"},
		{"listen --type departed", exitUsage, "new_device"},
		{"listen http://127.0.0.1", exitFailed, "mqtt://"},
		{"listen --node a/b 127.0.0.1", exitFailed, "PORCHLIGHT_NODE"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(&app{t.Context(), &stdout, &stderr, []string{"HOME=/tmp"}}, strings.Fields(c.args))
		if code != c.code || !strings.Contains(stderr.String(), c.want) || strings.Contains(stderr.String(), "hunter2") || stdout.Len() > 0 {
			t.Errorf("%s: status %d\n%s%s", c.args, code, &stdout, &stderr)
		}
	}
}
