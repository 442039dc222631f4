package scenario

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"porchlight/lab"
	"porchlight/lab/labtest"
	"porchlight/presence"
)

// What keeps Porchlight from starting is said in one clear line, with the remedy.
func TestFaultsAtTheStart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		args   []string
		env    map[string]string // further settings
		status int
		lines  [][]string // of standard error: words in each
	}{
		{
			name: "wrong settings", status: 1,
			env: map[string]string{"AWAY_AFTER": "soon", "MQTT_URL": "http://broker", "TRACK": "some", "MAX_TRACKED": "-1"},
			lines: [][]string{
				{"PORCHLIGHT_MQTT_URL", "http://broker", "mqtt://"},
				{"PORCHLIGHT_TRACK", "some", "all, named, none"},
				{"PORCHLIGHT_MAX_TRACKED", "-1"},
				{"PORCHLIGHT_AWAY_AFTER", "soon"},
			},
		},
		{
			name: "a password is not shown", status: 1,
			env:   map[string]string{"MQTT_PASSWORD": "s3cret", "MQTT_URL": "mqtt://broker"},
			lines: [][]string{{"PORCHLIGHT_MQTT_PASSWORD", "PORCHLIGHT_MQTT_USERNAME"}},
		},
		{
			name: "wrong messages", status: 1,
			env: map[string]string{
				"NOTIFY_URLS": "phone=ntfy://ntfy.example/topic matrix://:s3cret@matrix.example", "NOTIFY_ON": "knew",
				"NOTIFY_QUIET": "at night", "NOTIFY_TEMPLATES": "/etc/passwd",
			},
			lines: [][]string{
				{"PORCHLIGHT_NOTIFY_URLS", "number 2", "room"},
				{"PORCHLIGHT_NOTIFY_ON", "knew", "arrived"},
				{"PORCHLIGHT_NOTIFY_QUIET", "at night", "22:30-07:00"},
				{"PORCHLIGHT_NOTIFY_TEMPLATES", "/etc/passwd"},
			},
		},
		{
			name: "messages to nobody", status: 1,
			env:   map[string]string{"NOTIFY_URLS": "phone=ntfy://ntfy.example/s3cret", "NOTIFY_ON": "new>tablet"},
			lines: [][]string{{"PORCHLIGHT_NOTIFY_ON", "tablet", "phone"}},
		},
		{
			name: "an unknown command", args: []string{"rum"}, status: 2,
			lines: [][]string{{"rum", "--help"}},
		},
		{
			name: "an unknown flag", args: []string{"scan", "--fast"}, status: 2,
			lines: [][]string{{"--fast", "--help"}},
		},
		{
			name: "a wrong rate", args: []string{"scan", "--rate", "0"}, status: 2,
			lines: [][]string{{"--rate 0", "10000"}},
		},
		{
			name: "a wrong number of events", args: []string{"events", "--last=-1"}, status: 2,
			lines: [][]string{{"--last -1"}},
		},
		{
			name: "an observer that is no MAC", args: []string{"replay", "/etc/hosts", "--self", "me"}, status: 2,
			lines: [][]string{{"--self", `"me"`, "02:00:"}},
		},
		{
			name: "the health of nobody", args: []string{"health"}, status: 1,
			lines: [][]string{{"127.0.0.1:8580", "is Porchlight running?"}},
		},
		{
			name: "no such interface", status: 1, env: map[string]string{"INTERFACES": "eth7"},
			lines: [][]string{{`"eth7"`, "PORCHLIGHT_INTERFACES", "lan0"}},
		},
		{
			name: "no default route", status: 1, env: map[string]string{"INTERFACES": ""},
			lines: [][]string{{"no default route", "PORCHLIGHT_INTERFACES", "lan0"}},
		},
		{
			name: "a capture that is not there", args: []string{"replay", "/no/such.pcap"}, status: 1,
			lines: [][]string{{"/no/such.pcap", "no such file"}},
		},
		{
			name: "a capture that is none", args: []string{"replay", "/etc/passwd"}, status: 1,
			lines: [][]string{{"/etc/passwd"}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := bareHouse(t)
			for k, v := range c.env {
				h.env[k] = v
			}
			p, status := h.run(c.args...)
			h.refused(p, status, c.status, c.lines...)
		})
	}
}

// refused checks the exit status, and that standard error has these lines, in
// any order, and no others.
func (h *house) refused(p *process, status, want int, lines ...[]string) {
	h.t.Helper()
	said := strings.Split(strings.TrimSpace(p.stderr.String()), "\n")
	if status != want || len(said) != len(lines) {
		h.t.Errorf("exit status %d, want %d; it says:\n%s", status, want, p.stderr.String())
	}
	if strings.Contains(p.stderr.String(), "s3cret") {
		h.t.Error("it tells the secret")
	}
	for _, words := range lines {
		found := false
		for _, line := range said {
			found = found || containsAll(line, words) && strings.HasPrefix(line, "porchlight: ")
		}
		if !found {
			h.t.Errorf("no line with %q:\n%s", words, p.stderr.String())
		}
	}
}

func containsAll(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

// A user without CAP_NET_RAW is told what to do.
func TestNoCapability(t *testing.T) {
	t.Parallel()
	h := bareHouse(t)
	h.dir = sharedDir(t)
	h.env["DATA_DIR"] = h.dir
	for _, args := range [][]string{{}, {"scan"}} {
		p := h.command(args...)
		p.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 65534}
		p.start()
		status := p.wait()
		said := strings.Split(strings.TrimSpace(p.stderr.String()), "\n")
		last := said[len(said)-1]
		if status != 1 || !containsAll(last, []string{"porchlight: ", "CAP_NET_RAW", "setcap"}) {
			t.Errorf("porchlight %v: exit status %d, and says:\n%s", args, status, p.stderr.String())
		}
		if n := strings.Count(p.stderr.String(), "CAP_NET_RAW"); n != 1 {
			t.Errorf("porchlight %v: told %d times:\n%s", args, n, p.stderr.String())
		}
	}
}

// sharedDir is a directory that every user can write.
func sharedDir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for path, mode := range map[string]os.FileMode{dir: 0o777, filepath.Dir(dir): 0o755} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A second instance on the same database ends; the first one goes on.
func TestSecondInstance(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.begin()
	h.env["WEB_LISTEN"] = "127.0.0.1:8581"
	p, status := h.run()
	h.refused(p, status, 1, []string{h.dir, "another Porchlight", "PORCHLIGHT_DATA_DIR"})
	phone := h.lab.Client("phone")
	h.join(phone)
	h.sub.awaitEvent(presence.Arrived, macOf(phone))
}

// The embedded broker's port may be taken.
func TestBrokerPortTaken(t *testing.T) {
	t.Parallel()
	h := bareHouse(t)
	var l net.Listener
	h.lab.Must(h.obs.Do(func() (err error) { l, err = net.Listen("tcp", "127.0.0.1:1883"); return err }))
	t.Cleanup(func() { _ = l.Close() })
	p, status := h.run()
	h.refused(p, status, 1, []string{"127.0.0.1:1883", "taken", "PORCHLIGHT_MQTT_URL", "PORCHLIGHT_BROKER_LISTEN"})
}

// A first start needs no configuration but root.
func TestNoConfiguration(t *testing.T) {
	t.Parallel()
	h := bareHouse(t)
	h.route()
	for k := range h.env {
		delete(h.env, k)
	}
	h.env["DATA_DIR"] = h.dir // the default is this machine's
	p := h.start()
	p.says("listening")
	h.sub = newSubscriber(t, h.obs.Host, "127.0.0.1:1883")
	phone := h.lab.Client("phone")
	h.sub.connect()
	h.sub.awaitTopic(topics.Status(), "online")
	h.join(phone)
	h.sub.awaitTopic(topics.State(macOf(phone).ID()), "home")
	if out := h.must("health"); out != "" && !strings.Contains(out, "ok") {
		t.Errorf("health: %q", out)
	}
	p.stop()
	if _, status := h.run("health"); status != 1 {
		t.Errorf("the health of one that was stopped: exit status %d", status)
	}
}

// A broker that refuses the password is told of; the rest goes on, and all is
// delivered once the password is right.
func TestBrokerRefuses(t *testing.T) {
	t.Parallel()
	h := bareHouse(t)
	dir := t.TempDir()
	passwords := filepath.Join(dir, "passwords")
	// Only somebody else's is known at first, who hears all from the start.
	other := strings.Replace(mosquittoPassword, "porchlight", "other", 1)
	h.lab.Must(os.WriteFile(passwords, []byte(other), 0o600))
	h.withBroker("allow_anonymous false\npassword_file " + passwords + "\n")
	h.sub.user = url.UserPassword("other", "s3cret")
	h.sub.connect()
	secret := filepath.Join(dir, "secret")
	h.lab.Must(os.WriteFile(secret, []byte("s3cret\n"), 0o600))
	h.env["MQTT_USERNAME"], h.env["MQTT_PASSWORD_FILE"] = "porchlight", secret
	h.route()

	p := h.start()
	p.says("PORCHLIGHT_MQTT_PASSWORD")
	p.says("baseline")
	phone := h.lab.Client("phone")
	h.join(phone)
	eventually(t, "the event in the log", func() error {
		if out := h.must("events", "--json"); !strings.Contains(out, "arrived") {
			return fmt.Errorf("events: %s", out)
		}
		return nil
	})
	if _, found := h.doctor(); found["broker"].Level != "fail" || !strings.Contains(found["broker"].Remedy, "PORCHLIGHT_MQTT_PASSWORD") {
		t.Errorf("doctor: %+v", found["broker"])
	}

	h.lab.Must(os.WriteFile(passwords, []byte(other+mosquittoPassword), 0o600))
	h.lab.Must(syscall.Kill(h.broker.PID(), syscall.SIGHUP)) // mosquitto reads it again
	h.sub.awaitTopic(topics.Status(), "online")
	h.sub.awaitTopic(topics.State(macOf(phone).ID()), "home")
	h.sub.awaitEvent(presence.Arrived, macOf(phone))
	if strings.Contains(p.stderr.String(), "s3cret") {
		t.Error("it tells the password")
	}
	if n := strings.Count(p.stderr.String(), "PORCHLIGHT_MQTT_PASSWORD"); n > 3 {
		t.Errorf("told %d times of the password", n)
	}
}

// mosquittoPassword is what mosquitto_passwd writes for porchlight and s3cret.
const mosquittoPassword = "porchlight:$7$101$6U0y+SJfDqk/n70e$c8QAEwdZ5OqwPZeKMWabyHrxAE+lOib9D+Q4FWaMvUSKrT+Qo1gj57gWPiScEkLaxz5x5tAAwCKLGtVmzeb85g==\n"

// While the broker hangs, a stop takes no longer, and after it is back its
// last word is "offline".
func TestStopWhileTheBrokerHangs(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.begin()
	h.lab.Must(syscall.Kill(h.broker.PID(), syscall.SIGSTOP))
	p.stop()
	h.lab.Must(syscall.Kill(h.broker.PID(), syscall.SIGCONT))
	h.sub.awaitTopic(topics.Status(), "offline")
	if got := h.sub.retained()[topics.Status()]; got != "offline" {
		t.Errorf("retained status %q", got)
	}
}

// RELEASE is asked about at once, whatever the plan was.
func TestReleaseIsAskedAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.env["AWAY_AFTER"], h.env["PROBE_INTERVAL"] = "10m", "10m"
	pop := h.lab.Population(1, lab.Behaviour{})
	h.begin()
	d := pop.Devices()[0]
	h.sub.awaitTopic(topics.State(presence.MAC(d.MAC).ID()), "home")
	asked := d.Requests()
	frame, err := releaseOf(d, h.lab).Frame()
	h.lab.Must(err)
	_, err = pop.Say(frame)
	h.lab.Must(err)
	eventually(t, "a probe", func() error {
		if d.Requests() == asked {
			return fmt.Errorf("none")
		}
		return nil
	})
	if e, ok := h.sub.next(time.Second); ok {
		t.Errorf("it answers, and yet: %+v", e)
	}
}

func releaseOf(d *lab.Device, l *labtest.Lab) lab.DHCP {
	return lab.DHCP{
		Type: dhcpv4.MessageTypeRelease, MAC: presence.MAC(d.MAC), From: d.Addr, To: l.Gateway().Addr(),
		ClientAddr: d.Addr, Server: l.Gateway().Addr(),
	}
}
