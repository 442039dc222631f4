package nodered

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"porchlight/discovery"
	"porchlight/lab"
	"porchlight/lab/labtest"
	"porchlight/presence"
)

const (
	// patience is how long to wait for what comes at once on an idle machine.
	patience = 2 * time.Minute
	// awayAfter is how long a device is silent before it is away.
	awayAfter = 5 * time.Second
	// taken is by when what the broker kept has been taken in: the flow waits
	// 10 s for it.
	taken = 15 * time.Second
	// soon is by when news has passed through the flows.
	soon = time.Second
)

var topics = discovery.Topics{Prefix: "porchlight", Node: "home", HAPrefix: "homeassistant"}

// house is a virtual LAN where Porchlight, a broker and Node-RED share a machine.
type house struct {
	t      *testing.T
	lab    *labtest.Lab
	obs    *lab.Observer
	broker *lab.Broker // nil: Porchlight's own
	addr   string      // of the broker

	program, dir string
	kept         string   // mosquitto's file
	cmd          *lab.Cmd // Porchlight
	said         bytes.Buffer
	red          *nodeRED
	ann, ben     *lab.Client
	step         string // under way
}

// embedded is where Porchlight's own broker listens.
const embedded = "127.0.0.1:1883"

// newHouse raises a house in which Ann and Ben are home and nothing runs yet
// but mosquitto, if there is one.
func newHouse(t *testing.T, mosquitto bool) *house {
	t.Helper()
	redJS(t)
	h := &house{t: t, lab: labtest.StartWith(t, lab.Options{Prefix: netip.MustParsePrefix("10.77.0.0/26")}), addr: embedded}
	h.obs = h.lab.Observer("lan0", lab.WithAddr(h.lab.Static(30)))
	if mosquitto {
		dir := t.TempDir()
		h.kept = filepath.Join(dir, "mosquitto.db")
		h.broker = labtest.Mosquitto(t, lab.MosquittoOptions{
			Host: h.obs.Host, Config: "persistence true\npersistence_location " + dir + "/\n",
		})
		h.addr = h.broker.Addr()
	}
	h.program, h.dir = labtest.Porchlight(t), t.TempDir()
	h.ann, h.ben = h.lab.Client("Anns-Phone"), h.lab.Client("Bens-Phone")
	h.join(h.ann)
	h.join(h.ben)
	host, port, err := net.SplitHostPort(h.addr)
	h.lab.Must(err)
	h.red = newNodeRED(t, h.obs.Host, asUser(t, host, port, string(id(h.ann)), string(id(h.ben))))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("Porchlight said:\n%s\nNode-RED said:\n%s", h.said.String(), h.red.said())
		}
	})
	t.Cleanup(h.end)
	return h
}

// end ends what runs, before the lab ends.
func (h *house) end() {
	for _, cmd := range []*lab.Cmd{h.cmd, h.red.cmd} {
		if cmd != nil {
			cmd.Kill()
		}
	}
	h.red.reading.Wait()
}

func id(c *lab.Client) presence.ID { return presence.MAC(c.MAC()).ID() }

// begin starts Porchlight and returns at once.
func (h *house) begin() {
	h.t.Helper()
	h.cmd = h.obs.Command(context.Background(), h.program)
	h.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir,
		"PORCHLIGHT_DATA_DIR=" + h.dir, "PORCHLIGHT_INTERFACES=lan0", "PORCHLIGHT_SWEEP_RATE=1000/s",
		"PORCHLIGHT_AWAY_AFTER=" + awayAfter.String(), "PORCHLIGHT_PROBE_INTERVAL=1s",
	}
	if h.broker != nil {
		h.cmd.Env = append(h.cmd.Env, "PORCHLIGHT_MQTT_URL="+h.broker.URL())
	}
	h.cmd.Stdout, h.cmd.Stderr = &h.said, &h.said
	h.lab.Must(h.cmd.Start())
}

// start starts Porchlight and waits until it is online.
func (h *house) start() {
	h.t.Helper()
	h.begin()
	h.await(topics.Status(), "online")
}

func (h *house) stop() {
	h.t.Helper()
	h.lab.Must(h.cmd.Stop(patience))
}

func (h *house) join(c *lab.Client) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	h.lab.Must(c.Join(ctx))
}

// leave lets a device go, and waits until Porchlight knows.
func (h *house) leave(c *lab.Client) {
	h.t.Helper()
	h.lab.Must(c.Leave())
	h.await(topics.State(id(c)), "not_home")
}

// await waits for a retained topic to be want.
func (h *house) await(topic, want string) {
	h.t.Helper()
	host, port, err := net.SplitHostPort(h.addr)
	h.lab.Must(err)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	got := ""
	for deadline := time.Now().Add(patience); got != want; <-tick.C {
		if time.Now().After(deadline) {
			h.fatalf("waited %s for %s to be %s: it is %q", patience, topic, want, got)
		}
		out, _ := h.obs.Command(h.t.Context(), "mosquitto_sub", "-h", host, "-p", port, "-t", topic, "-C", "1", "-W", "1").Output()
		got = strings.TrimSpace(string(out))
	}
}

// tells expects that these come to the debug nodes next, in any order.
func (h *house) tells(want ...string) {
	h.t.Helper()
	rest := map[string]int{}
	for _, w := range want {
		rest[w]++
	}
	for range want {
		got := h.next()
		if rest[got]--; rest[got] < 0 {
			h.fatalf("the flows told %q, want %q", got, want)
		}
	}
}

// next is what comes to a debug node next.
func (h *house) next() string {
	h.t.Helper()
	select {
	case got := <-h.red.told:
		return got
	case <-time.After(patience):
		h.fatalf("the flows told nothing more in %s", patience)
		return ""
	}
}

// restartBroker starts mosquitto again; what it kept is what it saved last.
func (h *house) restartBroker() {
	h.t.Helper()
	for len(h.red.connected) > 0 { // forget the connections so far
		<-h.red.connected
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	h.lab.Must(h.broker.Start(ctx))
}

// saveKept has mosquitto save what it keeps, as it does every half hour.
func (h *house) saveKept() {
	h.t.Helper()
	h.loseKept()
	h.lab.Must(syscall.Kill(h.broker.PID(), syscall.SIGUSR1))
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if _, err := os.Stat(h.kept); err == nil {
			return
		}
	}
	h.fatalf("mosquitto saves nothing in %s", patience)
}

// loseKept takes from a stopped broker what it kept.
func (h *house) loseKept() {
	h.t.Helper()
	if err := os.Remove(h.kept); err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.fatalf("%v", err)
	}
}

// publish publishes as anybody at the broker can.
func (h *house) publish(topic, payload string, more ...string) {
	h.t.Helper()
	host, port, err := net.SplitHostPort(h.addr)
	h.lab.Must(err)
	args := append([]string{"-h", host, "-p", port, "-q", "1", "-t", topic, "-m", payload}, more...)
	if out, err := h.obs.Command(h.t.Context(), "mosquitto_pub", args...).CombinedOutput(); err != nil {
		h.fatalf("publishing on %s: %v: %s", topic, err, out)
	}
}

func (h *house) fatalf(format string, args ...any) {
	h.t.Helper()
	h.t.Fatalf("%s: %s", cmp.Or(h.step, "at home"), fmt.Sprintf(format, args...))
}

// silent expects that nothing comes to the debug nodes for this long.
func (h *house) silent(d time.Duration) {
	h.t.Helper()
	select {
	case got := <-h.red.told:
		h.fatalf("the flows told %q, want nothing", got)
	case <-time.After(d):
	}
}
