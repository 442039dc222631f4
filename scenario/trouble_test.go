package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"porchlight/discovery"
	"porchlight/lab"
	"porchlight/presence"
)

// However an interface goes away and comes back, nobody leaves because of it.
func TestInterfaceGoesAway(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		away func(*lab.Observer) error
		back func(*lab.Observer, context.Context) error
	}{
		{name: "taken down", away: (*lab.Observer).Down, back: (*lab.Observer).Up},
		{name: "deleted and made anew", away: (*lab.Observer).Delete, back: (*lab.Observer).Recreate},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, devices, _ := played(t, 5, nil)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			h.lab.Must(c.away(h.obs))
			if e, ok := h.sub.next(patience); !ok || e.Type != presence.SensingLost || e.Interface != "lan0" || e.Why == "" {
				t.Fatalf("told of %+v", e)
			}
			h.sub.await("the summary to say so", func() bool { return strings.Contains(h.sub.latest[topics.Summary()], `"ok":false`) })
			if e, ok := h.sub.next(realTimeout * 3 / 2); ok {
				t.Fatalf("told of %+v", e)
			}
			devices[0].Sleep()
			h.lab.Must(c.back(h.obs, ctx))
			if e, ok := h.sub.next(patience); !ok || e.Type != presence.SensingBack {
				t.Fatalf("told of %+v", e)
			}
			if e, ok := h.sub.next(patience); !ok || e.Type != presence.Left || e.ID != idOf(devices[0]) {
				t.Fatalf("told of %+v", e)
			}
			phone := h.lab.Client("phone")
			h.join(phone)
			h.sub.awaitEvent(presence.Arrived, macOf(phone))
		})
	}
}

// A machine that was suspended, or a process that was stopped, was blind.
func TestSuspended(t *testing.T) {
	t.Parallel()
	h, devices, p := played(t, 3, map[string]string{"AWAY_AFTER": "7s"})
	h.lab.Must(p.cmd.Signal(syscall.SIGSTOP))
	if e, ok := h.sub.next(8 * time.Second); ok {
		t.Fatalf("told of %+v by one who is stopped", e)
	}
	devices[1].Sleep()
	h.lab.Must(p.cmd.Signal(syscall.SIGCONT))
	if e, ok := h.sub.next(patience); !ok || e.Type != presence.SensingBack || !strings.Contains(e.Why, "held up") {
		t.Errorf("told of %+v", e)
	}
	if e, ok := h.sub.next(5 * time.Second); ok {
		t.Errorf("told of %+v before a whole timeout", e)
	}
	if e, ok := h.sub.next(patience); !ok || e.Type != presence.Left || e.ID != idOf(devices[1]) {
		t.Errorf("told of %+v", e)
	}
}

// Porchlight may be first: before the cable, before the broker, before it has
// an address.
func TestStartsBeforeTheRest(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ids := []presence.ID{macOf(h.lab.Gateway()).ID()}
	for _, d := range h.lab.Population(4, lab.Behaviour{}).Devices() {
		ids = append(ids, idOf(d))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	h.broker.Kill()
	h.lab.Must(h.obs.Unplug())
	ip := func(args ...string) {
		if out, err := h.obs.Command(ctx, "ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	addr := h.obs.Addr().String() + "/26"
	ip("addr", "del", addr, "dev", "lan0")
	p := h.start()
	p.says("no carrier")
	p.says("no connection to the broker")
	h.lab.Must(h.broker.Start(ctx))
	h.sub.connect()
	h.sub.awaitTopic(topics.Status(), "online")
	if e, ok := h.sub.next(patience); !ok || e.Type != presence.SensingLost {
		t.Errorf("told of %+v", e)
	}
	if e, ok := h.sub.next(time.Second); ok {
		t.Errorf("told of %+v, and cannot hear", e)
	}
	ip("addr", "add", addr, "dev", "lan0")
	h.lab.Must(h.obs.Plug(ctx))
	if e, ok := h.sub.next(patience); !ok || e.Type != presence.SensingBack {
		t.Errorf("told of %+v", e)
	}
	h.list()
	h.finds(ids...)
}

// An observer without an address hears and asks all the same (RFC 5227).
func TestObserverWithoutAddress(t *testing.T) {
	t.Parallel()
	h := bareHouse(t)
	h.obs = h.lab.Observer("lan1")
	h.env["INTERFACES"], h.env["SWEEP_PREFIXES"] = "lan1", lan.String()
	h.withBroker("")
	phone := h.lab.Client("phone")
	h.begin()
	h.join(phone)
	h.sub.awaitEvent(presence.Arrived, macOf(phone))
	if e, ok := h.sub.next(realTimeout * 3 / 2); ok {
		t.Errorf("told of %+v", e)
	}
	h.lab.Must(phone.Leave())
	h.sub.awaitEvent(presence.Left, macOf(phone))
}

// A user with CAP_NET_RAW and nothing else is enough.
func TestUnprivileged(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.dir = sharedDir(t)
	h.env["DATA_DIR"] = h.dir
	phone := h.lab.Client("phone")
	h.sub.connect()
	p := h.command()
	p.through("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--no-new-privs",
		"--inh-caps", "-all,+net_raw", "--ambient-caps", "-all,+net_raw", "--bounding-set", "-all,+net_raw")
	p.start()
	p.says("baseline")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	h.lab.Must(err)
	if !strings.Contains(string(status), "CapEff:\t0000000000002000\n") { // bit 13 is CAP_NET_RAW
		t.Fatalf("it has other capabilities:\n%s", status)
	}
	h.join(phone)
	h.sub.awaitEvent(presence.Arrived, macOf(phone))
	h.lab.Must(phone.Leave())
	h.sub.awaitEvent(presence.Left, macOf(phone))
}

// Two instances that share a broker need names of their own, and are told so.
func TestSameNode(t *testing.T) {
	t.Parallel()
	h, _, first := played(t, 1, nil)
	h.env["DATA_DIR"], h.env["WEB_LISTEN"] = dataDir(t), "127.0.0.1:8581"
	second := h.start()
	eventually(t, "one of them to say so", func() error {
		if !strings.Contains(first.stderr.String()+second.stderr.String(), "PORCHLIGHT_NODE") {
			return fmt.Errorf("the second says:\n%s", second.stderr.String())
		}
		return nil
	})
	second.stop()
	h.env["NODE"] = "attic"
	h.start()
	h.sub.awaitTopic("porchlight/attic/status", "online")
	h.sub.awaitTopic(topics.Status(), "online")
}

// What a stranger calls itself is shown cleaned.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pop := h.lab.Population(0, lab.Behaviour{})
	d, err := pop.Add(lab.Identity{
		Addr: h.lab.Static(1), MAC: lab.MAC{2, 0, 0, 0, 0, 66},
		HostName:    "\x1b[31mEve\r\n porchlight/#\u202e<script>alert(1)</script>" + strings.Repeat("x", 150),
		VendorClass: "\x00\x07",
	}, lab.Behaviour{Asleep: true})
	h.lab.Must(err)
	p := h.begin()
	d.Wake()
	_, err = d.Request()
	h.lab.Must(err)
	e := h.sub.awaitEvent(presence.Arrived, presence.MAC(d.MAC))
	if !strings.Contains(e.HostName, "Eve porchlight/#") || len(e.HostName) > presence.MaxName {
		t.Errorf("host name %q", e.HostName)
	}
	h.announced(d, "device_tracker")
	said := h.must("devices") + h.must("events") + p.stderr.String()
	for topic, payload := range h.sub.retained() {
		said += topic + payload
		if strings.Contains(topic, "Eve") {
			t.Errorf("topic %q", topic)
		}
	}
	if strings.ContainsAny(said, "\x1b\r\x00\a\u202e") || strings.Contains(said, `\u202e`) || strings.Contains(said, `\x1b`) {
		t.Errorf("it is not cleaned:\n%q", said)
	}
}

// The embedded broker serves the house when it has a password.
func TestEmbeddedBrokerForOthers(t *testing.T) {
	t.Parallel()
	h := bareHouse(t)
	secret := filepath.Join(t.TempDir(), "secret")
	h.lab.Must(os.WriteFile(secret, []byte("s3cret\n"), 0o600))
	h.env["BROKER_LISTEN"], h.env["BROKER_USERNAME"], h.env["BROKER_PASSWORD_FILE"] = ":1883", "ha", secret
	p := h.start()
	p.says("baseline")
	ha := h.lab.Client("homeassistant", lab.WithAddr(h.lab.Static(4)))
	h.join(ha)
	h.sub = newSubscriber(t, ha.Host, h.obs.Addr().String()+":1883")
	if err := h.sub.try(); err == nil {
		t.Error("the broker lets anybody in")
	}
	h.sub.user = url.UserPassword("ha", "s3cret")
	h.sub.connect()
	h.sub.awaitTopic(topics.Status(), "online")
	h.sub.awaitTopic(topics.State(macOf(ha).ID()), "home")
	if strings.Contains(p.stderr.String(), "s3cret") {
		t.Error("it tells the password")
	}
}

// After an ordinary restart no event is sent again, and seq goes on.
func TestEventsAreNotRepeated(t *testing.T) {
	t.Parallel()
	h, devices, p := played(t, 2, nil)
	phone := h.lab.Client("phone")
	h.join(phone)
	h.sub.awaitEvent(presence.Arrived, macOf(phone))
	sent := func() int { return h.sub.count(func(m heardMessage) bool { return m.topic == topics.Event() }) }
	p.stop()
	h.sub.awaitTopic(topics.Status(), "offline")
	was := sent()
	p = h.start()
	h.sub.awaitTopic(topics.Status(), "online")
	devices[0].Sleep()
	e := h.sub.awaitEvent(presence.Left, presence.MAC(devices[0].MAC))
	if sent() != was+1 || e.Seq != int64(was+1) {
		t.Errorf("%d messages of events, then %d; seq %d", was, sent(), e.Seq)
	}
	for i, e := range h.sub.told() {
		if e.Seq != int64(i+1) {
			t.Errorf("event %d has seq %d", i+1, e.Seq)
		}
	}
	_ = p
}

// What Home Assistant is told follows the settings.
func TestHomeAssistantSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		env  map[string]string
		want func(h *house, d *lab.Device, a discovery.Attributes) error
	}{
		{
			"no discovery",
			map[string]string{"HA_DISCOVERY": "false"},
			func(h *house, d *lab.Device, _ discovery.Attributes) error {
				for topic := range h.sub.retained() {
					if strings.HasPrefix(topic, "homeassistant/") {
						return fmt.Errorf("%s is there", topic)
					}
				}
				return nil
			},
		},
		{
			"other names",
			map[string]string{"TOPIC_PREFIX": "porchlight", "HA_ZONE": "zone.cabin", "HA_EXPOSE_ADDRESSES": "false", "HA_DISCOVERY_PREFIX": "ha"},
			func(h *house, d *lab.Device, a discovery.Attributes) error {
				if len(a.InZones) != 1 || a.InZones[0] != "zone.cabin" || a.IP != "" || a.MAC != "" {
					return fmt.Errorf("attributes %+v", a)
				}
				if h.sub.get("ha/device/home/"+string(idOf(d))+"/config") == "" {
					return fmt.Errorf("no discovery under ha/")
				}
				return nil
			},
		},
		{
			"attributes only",
			map[string]string{"HA_TRACKER_MODE": "attributes_only"},
			func(h *house, d *lab.Device, a discovery.Attributes) error {
				if config := h.sub.get(topics.Config(idOf(d))); config == "" || strings.Contains(config, "payload_home") {
					return fmt.Errorf("discovery %s", config)
				}
				return nil
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h, devices, _ := played(t, 1, c.env)
			h.shows(devices[0], "its attributes", func(discovery.Attributes) bool { return true })
			var a discovery.Attributes
			h.lab.Must(json.Unmarshal([]byte(h.sub.get(topics.Attributes(idOf(devices[0])))), &a))
			if err := c.want(h, devices[0], a); err != nil {
				t.Error(err)
			}
		})
	}
}
