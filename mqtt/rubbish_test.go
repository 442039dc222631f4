package mqtt

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"porchlight/presence"
)

// startMosquitto starts a broker with these access rules; without any: none.
func startMosquitto(t *testing.T, rules string) *mosquitto {
	t.Helper()
	config := plain
	if rules != "" {
		config += "acl_file DIR/acl\n"
	}
	m := newMosquitto(t, config)
	m.write(t, "acl", rules, 0o600)
	m.start(t)
	return m
}

// house is a session with three devices at m, that has said all that it has to
// say.
func house(t *testing.T, m *mosquitto, log *memoryLog) *running {
	t.Helper()
	r := start(t, Config{URL: "mqtt://127.0.0.1:" + m.port, Announce: true, Host: "nas"}, log)
	r.Update([]presence.Device{phone(1, presence.Home), phone(2, presence.NotHome), phone(3, presence.Home)})
	r.SetSummary(household(2))
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(r.log)
		}
	})
	eventually(t, "connected", connected(r))
	return r
}

// holds waits until the broker holds all that is ours, but not what is under
// without.
func holds(t *testing.T, m *mosquitto, without string) {
	t.Helper()
	o := options.Topics
	want := []string{o.Summary(), o.Status(), o.BridgeConfig()}
	for _, id := range []presence.ID{id1, id2, id3} {
		want = append(want, o.Config(id), o.State(id), o.Attributes(id), o.Name(id), o.LastSeen(id))
	}
	check := newTally(t, m, "check", false, "porchlight/#", "homeassistant/#")
	eventually(t, "the broker holds it", func() bool {
		check.mu.Lock()
		defer check.mu.Unlock()
		for _, topic := range want {
			hidden := without != "" && strings.HasPrefix(topic, without)
			if (check.states[topic] != "") == hidden || topic == o.Status() && !hidden && check.states[topic] != "online" {
				return false
			}
		}
		return true
	})
	check.Disconnect(100)
}

func wantOneProblem(t *testing.T, r *running, parts ...string) {
	t.Helper()
	eventually(t, "a problem", func() bool { return len(r.Problems()) > 0 })
	if got := r.Problems(); len(got) != 1 {
		t.Fatalf("problems %q, want one", got)
	}
	for _, part := range parts {
		if got := r.Problems()[0]; !strings.Contains(got, part) {
			t.Errorf("%q says nothing of %q", got, part)
		}
	}
	if n := strings.Count(r.log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings", n)
	}
}

// Access rules as people write them: only our own topics. It is said that
// discovery is forbidden; when the rules are put right and read again, it is
// noticed without a new connection as soon as something is announced.
func TestMosquittoAccessRules(t *testing.T) {
	t.Parallel()
	const ours = "user checker\ntopic read #\n"
	m := startMosquitto(t, "topic readwrite porchlight/#\ntopic read homeassistant/device/#\n")
	r := house(t, m, newMemoryLog())
	wantOneProblem(t, r, options.AllConfigs(), "Home Assistant does not find the devices", "PORCHLIGHT_HA_DISCOVERY=false")
	holds(t, m, "homeassistant/")

	m.write(t, "acl", "topic readwrite porchlight/#\ntopic readwrite homeassistant/#\n"+ours, 0o600)
	_ = m.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "the rules are read again", func() bool { return strings.Contains(m.said.String(), "Reloading config") })
	renamed := phone(3, presence.Home)
	renamed.Name = "Anna's phone"
	r.Update([]presence.Device{renamed})
	eventually(t, "the problem is gone", func() bool { return len(r.Problems()) == 0 })
	holds(t, m, "")
	if got := r.orders.take(); len(got) > 0 {
		t.Error("orders:", got)
	}
}

func TestMosquittoForbidsEvents(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "topic readwrite #\ntopic deny porchlight/home/event\n")
	log := newMemoryLog()
	r := house(t, m, log)
	holds(t, m, "")
	for range 100 {
		log.append(presence.Event{Type: presence.Arrived, ID: id1, Time: epoch})
	}
	wantOneProblem(t, r, options.Event(), "events do not arrive")
	r.Update([]presence.Device{phone(2, presence.Home)})
	live := newTally(t, m, "live", false, options.AllStates())
	eventually(t, "states go on", func() bool {
		live.mu.Lock()
		defer live.mu.Unlock()
		return live.states[options.Topics.State(id2)] == "home"
	})
}

// Rules that were tightened do not look like devices that the user deleted in
// Home Assistant.
func TestMosquittoTightened(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "topic readwrite #\n")
	r := house(t, m, newMemoryLog())
	holds(t, m, "")
	r.stop()
	m.write(t, "acl", "topic readwrite porchlight/#\ntopic read homeassistant/#\n", 0o600)
	_ = m.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "the rules are read again", func() bool { return strings.Contains(m.said.String(), "Reloading config") })
	for range 2 {
		r := house(t, m, newMemoryLog())
		r.Update([]presence.Device{phone(4, presence.Home)})
		wantOneProblem(t, r, "does not let Porchlight write "+options.AllConfigs())
		if got := r.orders.take(); len(got) > 0 {
			t.Error("taken for the user's deletions:", got)
		}
		r.stop()
	}
}

// Retained rubbish on all topics that we read or write: nothing is obeyed, what
// is ours is put right, what is others' stays, and each is said once at most.
func TestMosquittoRubbish(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "")
	publisher := newTally(t, m, "publisher", false)
	big := strings.Repeat("x", 1<<20)
	o := options.Topics
	commands := []string{o.Scan(), o.Set(id1), o.Set(id2), o.Set("aabbccddeeff"), "porchlight/home/devices/%n%s/set"}
	others := []string{
		"homeassistant/status", o.Instance(), o.Summary(), o.Status(), o.Event(),
		o.BridgeConfig(), o.Config(id1), o.Config("aabbccddeeff"),
		o.State(id1), o.Attributes(id1), o.Name(id1), o.LastSeen(id1), o.State("zz") + "/x",
	}
	rubbish := []string{
		"rubbish", "\x00\xff\xfe\x80", "null", "[[[[[[[[", `{"track":false,"name":"x"}`, big, `{"name":"` + big + `"}`,
		`{"device":{"identifiers":["tv"]},"origin":{"name":"tv"},"components":{}}`,
		`{"origin":{"name":"Porchlight"},"components":` + strings.Repeat(`{"a":`, 10000) + `{"b":{"platform":"x"}}` + strings.Repeat("}", 10001),
		"online",
	}
	say := func(retained bool, topics ...string) {
		for _, payload := range rubbish {
			for _, topic := range topics {
				if token := publisher.Publish(topic, 1, retained, payload); !token.WaitTimeout(patience) || token.Error() != nil {
					t.Fatal(topic, token.Error())
				}
			}
			if !retained {
				continue
			}
			log := newMemoryLog()
			r := house(t, m, log)
			log.append(presence.Event{Type: presence.Arrived, ID: id1, Time: epoch})
			eventually(t, "the event is delivered", func() bool { log.mu.Lock(); defer log.mu.Unlock(); return log.cursor == 1 })
			holds(t, m, "")
			r.stop()
			if got := r.orders.take(); len(got) > 0 {
				t.Errorf("%.40q was obeyed: %q", payload, got)
			}
			for _, topic := range topics {
				if n := strings.Count(r.log.String(), "topic="+topic+"\n"); n > 1 {
					t.Errorf("%s is said %d times:\n%s", topic, n, r.log)
				}
			}
			if got := r.Problems(); len(got) > 0 {
				t.Errorf("problems %q", got)
			}
		}
	}
	say(true, append(commands, others...)...)

	// Rubbish while it runs, and topics that are no UTF-8.
	r := house(t, m, newMemoryLog())
	holds(t, m, "")
	rubbish = rubbish[:len(rubbish)-1] // but no birth
	rubbish[4] = `{"track":5}`
	say(false, append(commands[1:], others...)...) // any payload is a command to scan
	for _, topic := range []string{"porchlight/home/devices/\xff\xfe/set", "porchlight/home/devices/\xed\xa0\x80/state", "homeassistant/\xc0/config", "porchlight/home/devices/\x1b[31m/set"} {
		publishRaw(t, m, topic)
	}
	r.Update([]presence.Device{phone(2, presence.Home)})
	live := newTally(t, m, "live", false, o.AllStates())
	eventually(t, "it goes on", func() bool {
		live.mu.Lock()
		defer live.mu.Unlock()
		return live.states[o.State(id2)] == "home"
	})
	if got := r.orders.take(); len(got) > 0 {
		t.Errorf("obeyed: %q", got)
	}
	if n := strings.Count(r.log.String(), "no connection"); n > 0 {
		t.Errorf("the connection was lost:\n%s", r.log)
	}
}

// publishRaw publishes on a topic that a client would not let through.
func publishRaw(t *testing.T, m *mosquitto, topic string) {
	t.Helper()
	conn, err := m.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	c.ProtocolName, c.ProtocolVersion, c.CleanSession, c.ClientIdentifier = "MQTT", 4, true, "raw"
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.Qos, p.MessageID, p.TopicName, p.Payload, p.Retain = 1, 1, topic, []byte("x"), true
	if err := c.Write(conn); err != nil {
		t.Fatal(err)
	}
	if _, err := packets.ReadPacket(conn); err != nil {
		t.Fatal(err)
	}
	if err := p.Write(conn); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	_, _ = packets.ReadPacket(conn) // a PUBACK, or the end
}

// Two at a real broker: each says so, and one that goes takes nothing with it.
func TestMosquittoRivals(t *testing.T) {
	t.Parallel()
	m := startMosquitto(t, "")
	nas, pi := house(t, m, newMemoryLog()), house(t, m, newMemoryLog())
	for _, r := range []*running{nas, pi} {
		wantOneProblem(t, r, "another Porchlight (on nas)", `PORCHLIGHT_NODE "home"`)
	}
	pi.stop()
	holds(t, m, "") // online, although one has said offline
}
