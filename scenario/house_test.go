package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"porchlight/discovery"
	"porchlight/lab"
	"porchlight/lab/labtest"
	"porchlight/presence"
	"porchlight/synced"
)

// lan is the prefix of every house.
var lan = netip.MustParsePrefix("10.77.0.0/26")

// topics are those of a house.
var topics = discovery.Topics{Prefix: "porchlight", Node: "home", HAPrefix: "homeassistant"}

// house is a virtual LAN with an observer, where porchlight and a broker run.
type house struct {
	t   testing.TB
	lab *labtest.Lab
	obs *lab.Observer
	dir string // the data directory
	env map[string]string

	broker *lab.Broker // nil: none
	sub    *subscriber
	listed []presence.ID // in the first run's list
}

const (
	realTimeout      = 6 * time.Second
	probesPerTimeout = 5

	// endsIn is how soon porchlight ends when it is told to: within 3 s, on a
	// machine that has the time.
	endsIn = 20 * time.Second
)

// newHouse raises a house with a broker.
func newHouse(t testing.TB) *house {
	h := bareHouse(t)
	h.withBroker("")
	return h
}

// bareHouse raises a house without a broker.
func bareHouse(t testing.TB) *house { return houseOn(t, lab.Options{Prefix: lan}) }

func houseOn(t testing.TB, o lab.Options) *house {
	t.Helper()
	l := labtest.StartWith(t, o)
	h := &house{t: t, lab: l, obs: l.Observer("lan0", lab.WithAddr(l.Static(30))), dir: dataDir(t)}
	h.env = map[string]string{
		"DATA_DIR": h.dir, "INTERFACES": "lan0",
		"AWAY_AFTER": realTimeout.String(), "PROBE_INTERVAL": (realTimeout / probesPerTimeout).String(),
		"SWEEP_RATE": "1000/s", "LOG_LEVEL": "debug",
	}
	return h
}

// dataDir is a directory for a database, in memory where there is room: that a
// disk is busy with the work of others is a fault, which Porchlight tells.
func dataDir(t testing.TB) string {
	t.Helper()
	const shm, enough = "/dev/shm", 1 << 30
	var fs unix.Statfs_t
	if unix.Statfs(shm, &fs) != nil || fs.Bavail*uint64(fs.Bsize) < enough {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(shm, "porchlight-scenario-") //nolint:usetesting // its directories are on the disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// route gives the observer a default route, as most machines have.
func (h *house) route() {
	h.t.Helper()
	gw := h.lab.Gateway().Addr().String()
	if out, err := h.obs.Command(context.Background(), "ip", "route", "add", "default", "via", gw).CombinedOutput(); err != nil {
		h.t.Fatalf("setting the default route: %v: %s", err, out)
	}
}

// withBroker starts mosquitto beside the observer, where anybody can join in.
func (h *house) withBroker(config string) {
	h.broker = labtest.Mosquitto(h.t, lab.MosquittoOptions{Host: h.obs.Host, Config: config})
	h.env["MQTT_URL"] = h.broker.URL()
	h.sub = newSubscriber(h.t, h.obs.Host, h.broker.Addr())
}

// process is a running porchlight.
type process struct {
	t      testing.TB
	cmd    *lab.Cmd
	stdout synced.Buffer
	stderr synced.Buffer
}

// command makes a porchlight with the house's settings.
func (h *house) command(args ...string) *process {
	h.t.Helper()
	path, err := program()
	if err != nil {
		h.t.Fatal(err)
	}
	p := &process{t: h.t, cmd: h.obs.Command(context.Background(), path, args...)}
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir, "GORACE=atexit_sleep_ms=0"}
	for k, v := range h.env {
		p.cmd.Env = append(p.cmd.Env, "PORCHLIGHT_"+k+"="+v)
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	return p
}

// start starts porchlight, which is stopped with the test if it still runs.
func (h *house) start(args ...string) *process {
	h.t.Helper()
	p := h.command(args...)
	p.start()
	return p
}

func (p *process) start() {
	p.t.Helper()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		select {
		case <-p.cmd.Done():
		default:
			p.stop()
		}
		if said := p.stderr.String(); strings.Contains(said, "DATA RACE") || strings.Contains(said, "\npanic: ") {
			p.t.Error("porchlight broke")
		}
		if p.t.Failed() && len(p.cmd.Args) == 1 { // the main job; of commands the tests themselves tell
			p.t.Logf("porchlight said:\n%s%s", p.stdout.String(), p.stderr.String())
		}
	})
}

// stop sends SIGTERM, and fails the test unless porchlight ends well in time.
func (p *process) stop() {
	p.t.Helper()
	if err := p.cmd.Signal(syscall.SIGTERM); err != nil {
		p.t.Errorf("SIGTERM: %v", err)
	}
	sent := time.Now()
	if status := p.wait(); status != 0 {
		p.t.Errorf("exit status %d after SIGTERM: %s", status, p.stderr.String())
	}
	if took := time.Since(sent); took > endsIn {
		p.t.Errorf("it took %s to end", took)
	}
}

// wait waits for the end, and returns the exit status.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.cmd.Done():
	case <-time.After(patience):
		_ = p.cmd.Signal(syscall.SIGQUIT) // says where it hangs
		p.cmd.Kill()
		p.t.Fatalf("porchlight %v does not end:\n%s", p.cmd.Args[1:], p.stderr.String())
	}
	err := p.cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		p.t.Fatalf("porchlight %v: %v", p.cmd.Args[1:], err)
	}
	return 0
}

// run runs a command to its end and returns its exit status.
func (h *house) run(args ...string) (p *process, status int) {
	h.t.Helper()
	p = h.start(args...)
	return p, p.wait()
}

// must runs a command that works, and returns its standard output.
func (h *house) must(args ...string) string {
	h.t.Helper()
	p, status := h.run(args...)
	if status != 0 {
		h.t.Fatalf("porchlight %v: exit status %d: %s", args, status, p.stderr.String())
	}
	return p.stdout.String()
}

// begin starts porchlight and waits until it has made its first run's list.
func (h *house) begin() *process {
	h.t.Helper()
	h.sub.connect()
	p := h.start()
	h.list()
	h.sub.awaitTopic(topics.Status(), "online")
	return p
}

// again stops porchlight and starts it again; others hear that it was offline.
func (h *house) again(p *process) *process {
	h.t.Helper()
	p.stop()
	h.sub.awaitTopic(topics.Status(), "offline")
	p = h.start()
	h.sub.awaitTopic(topics.Status(), "online")
	return p
}

// list waits for the first run's list.
func (h *house) list() {
	h.t.Helper()
	e, ok := h.sub.next(patience)
	if !ok || e.Type != presence.Baseline {
		h.t.Fatalf("the next event is %+v, want the baseline", e)
	}
	for _, f := range e.Devices {
		h.listed = append(h.listed, f.ID)
	}
}

// finds waits until all of these are known. Who had no time to answer, on a busy
// machine, is not in the first run's list, but comes after it.
func (h *house) finds(devices ...presence.ID) {
	h.t.Helper()
	missing := slices.DeleteFunc(devices, func(id presence.ID) bool { return slices.Contains(h.listed, id) })
	for len(missing) > 0 {
		e, ok := h.sub.next(patience)
		if !ok || e.Type != presence.NewDevice && e.Type != presence.Arrived {
			h.t.Fatalf("told of %+v, want %v", e, missing)
		}
		missing = slices.DeleteFunc(missing, func(id presence.ID) bool { return id == e.ID && e.Type == presence.Arrived })
	}
}

func (h *house) join(c *lab.Client) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	h.lab.Must(c.Join(ctx))
}

func macOf(c interface{ MAC() lab.MAC }) presence.MAC { return presence.MAC(c.MAC()) }

// jsonLines reads JSON Lines.
func jsonLines[T any](t testing.TB, text string) (all []T) {
	t.Helper()
	for line := range strings.Lines(text) {
		var v T
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		all = append(all, v)
	}
	return all
}

// eventually polls what belongs to another process.
func eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s: %v", patience, what, err)
		}
	}
}

// says waits for a text on standard error.
func (p *process) says(text string) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("porchlight to say %q", text), func() error {
		if strings.Contains(p.stderr.String(), text) {
			return nil
		}
		return errors.New("it says:\n" + p.stderr.String())
	})
}
