package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"porchlight/synced"
)

// screen is a desktop without a monitor: an X server, a bus and a real
// notification service, all of their own.
type screen struct {
	bus     *dbus.Conn
	env     []string // what a program needs to use it
	display string
}

const busConfig = `<busconfig><type>session</type><listen>unix:path=%s</listen>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`

// startBus starts a session bus that nothing else is on, and that starts no
// services.
func startBus(t *testing.T) *screen {
	t.Helper()
	dir := t.TempDir()
	socket, config := filepath.Join(dir, "bus"), filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, socket), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &screen{env: []string{"DBUS_SESSION_BUS_ADDRESS=unix:path=" + socket}}
	s.start(t, "dbus-daemon", "--nofork", "--config-file="+config)
	eventually(t, "the bus", func() (ok bool) {
		var err error
		s.bus, err = dbus.Connect("unix:path=" + socket)
		return err == nil
	})
	t.Cleanup(func() { _ = s.bus.Close() })
	return s
}

// start runs a program of the desktop until the test ends.
func (s *screen) start(t *testing.T, name string, args ...string) {
	t.Helper()
	home := t.TempDir()
	cmd := exec.Command(name, args...)
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + home, "XDG_CONFIG_HOME=" + home, "XDG_CACHE_HOME=" + home,
		"XDG_DATA_HOME=" + home, "XDG_RUNTIME_DIR=" + home,
	}, s.env...)
	out := new(synced.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: install it with scripts/deps", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", name, out)
		}
	})
}

// startScreen adds an X server on a display that is free, and dunst.
func startScreen(t *testing.T) *screen {
	t.Helper()
	s := startBus(t)
	number := filepath.Join(t.TempDir(), "display")
	f, err := os.Create(number)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	cmd := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "800x400x24", "-nolisten", "tcp")
	cmd.ExtraFiles = []*os.File{f}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: install it with scripts/deps", err)
	}
	t.Cleanup(func() { // killed, it would leave its lock behind
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	eventually(t, "the X server", func() bool {
		n, _ := os.ReadFile(number)
		s.display = ":" + strings.TrimSpace(string(n))
		return strings.HasSuffix(string(n), "\n")
	})
	s.env = append(s.env, "DISPLAY="+s.display)
	config := filepath.Join(t.TempDir(), "dunstrc") // empty: the built-in one, which takes markup in bodies
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(t, "dunst", "-conf", config)
	eventually(t, "the notification service", func() bool {
		var owned bool
		err := s.bus.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, "org.freedesktop.Notifications").Store(&owned)
		return err == nil && owned
	})
	return s
}

// shown closes what is on the screen and returns all that was, the newest
// first, in the words of dunst: what was sent, and what it made of it.
func (s *screen) shown(t *testing.T) (all []map[string]string) {
	t.Helper()
	dunst := s.bus.Object("org.freedesktop.Notifications", "/org/freedesktop/Notifications")
	if err := dunst.Call("org.dunstproject.cmd0.NotificationCloseAll", 0).Err; err != nil {
		t.Fatal(err)
	}
	var history []map[string]dbus.Variant
	if err := dunst.Call("org.dunstproject.cmd0.NotificationListHistory", 0).Store(&history); err != nil {
		t.Fatal(err)
	}
	for _, n := range history {
		one := make(map[string]string)
		for _, key := range []string{"appname", "summary", "body", "message"} {
			one[key], _ = n[key].Value().(string)
		}
		all = append(all, one)
	}
	return all
}

const hostileName = `<b>x</b><img src=\"http://127.0.0.1/x.png\">\"; $(reboot) 😀`

// A real notification service shows what is told, and nothing that a stranger
// says is markup to it.
func TestDesktop(t *testing.T) {
	s, h := startScreen(t), startHouse(t)
	p := startProgram(t, append(s.env, "PORCHLIGHT_MQTT_USERNAME="+brokerUser, "PORCHLIGHT_MQTT_PASSWORD="+brokerPassword),
		"listen", "--desktop", h.address)
	h.say(t, "porchlight/home/summary", true, `{"home":2,"known":9}`)
	eventually(t, "a connection", func() bool { return strings.Contains(p.stderr.String(), "at home now") })

	event := func(seq int, kind, name, vendor string) {
		h.say(t, "porchlight/home/event", false, fmt.Sprintf(`{"event_type":%q,"seq":%d,"time":"2026-05-01T10:00:00Z",`+
			`"id":"3c5ab4010203","mac":"3c:5a:b4:01:02:03","ip":"10.0.0.7","name":"%s","vendor":"%s","private_mac":false,"why":"w"}`,
			kind, seq, name, vendor))
	}
	event(1, "new_device", "Pixel-7", "Google")
	event(2, "arrived", "Pixel-7", "Google")
	event(3, "new_device", hostileName, "<i>&amp;</i>")
	event(3, "new_device", hostileName, "<i>&amp;</i>") // again
	var got []map[string]string
	eventually(t, "two notifications", func() bool { got = s.shown(t); return len(got) >= 2 })
	want := []map[string]string{
		{
			"appname": "Porchlight",
			"summary": `New device: ‹b›x‹/b›‹img src="http://127.0.0.1/x.png"›"; §(reboot) 😀`,
			"body":    "10.0.0.7, ‹i›+amp;‹/i›, 3c:5a:b4:01:02:03",
			"message": `<b>New device: ‹b›x‹/b›‹img src=&quot;http://127.0.0.1/x.png&quot;›&quot;; §(reboot) 😀</b>` + "\n10.0.0.7, ‹i›+amp;‹/i›, 3c:5a:b4:01:02:03",
		},
		{
			"appname": "Porchlight", "summary": "New device: Pixel-7", "body": "10.0.0.7, Google, 3c:5a:b4:01:02:03",
			"message": "<b>New device: Pixel-7</b>\n10.0.0.7, Google, 3c:5a:b4:01:02:03",
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	p.interrupt(t) // and all that it printed is read
	if n := strings.Count(p.stdout.String(), "\n"); n != 3 {
		t.Error(n, "of 3 events printed")
	}
	if strings.Contains(p.stderr.String(), "notification") {
		t.Error(p.stderr.String())
	}
}

// Without anyone to show notifications, events are printed all the same, and
// that is said once.
func TestNoDesktop(t *testing.T) {
	bus := startBus(t)
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"no session":              {nil, "there is no desktop session"},
		"nobody on the bus":       {bus.env, "org.freedesktop.Notifications"},
		"a bus that is not there": {[]string{"DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent"}, "/nonexistent"},
	} {
		t.Run(name, func(t *testing.T) {
			h := startHouse(t)
			h.say(t, "porchlight/home/summary", true, `{"home":2,"known":9}`)
			p := startProgram(t, append(c.env, "PORCHLIGHT_MQTT_USERNAME="+brokerUser, "PORCHLIGHT_MQTT_PASSWORD="+brokerPassword),
				"listen", "--desktop", "--type", "left", h.address)
			eventually(t, "a connection", func() bool { return strings.Contains(p.stderr.String(), "at home now") })
			if at := strings.Contains(p.stderr.String(), "no notification can be shown"); at != (c.env == nil) {
				t.Errorf("said before anything happened: %t", at)
			}
			for seq := range 3 {
				h.say(t, "porchlight/home/event", false, fmt.Sprintf(`{"event_type":"left","seq":%d,"time":"2026-05-01T10:00:00Z","name":"x"}`, seq+1))
			}
			eventually(t, "the events and the warning", func() bool {
				return strings.Count(p.stdout.String(), "\n") == 3 && strings.Contains(p.stderr.String(), c.want)
			})
			p.interrupt(t)
			if n := strings.Count(p.stderr.String(), "no notification can be shown"); n != 1 {
				t.Errorf("said %d times", n)
			}
		})
	}
}
