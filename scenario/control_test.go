package scenario

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"porchlight/discovery"
	"porchlight/lab"
	"porchlight/presence"
)

// played is a house with a population that answers, and Porchlight running.
func played(t *testing.T, devices int, env map[string]string) (*house, []*lab.Device, *process) {
	t.Helper()
	h := newHouse(t)
	for k, v := range env {
		h.env[k] = v
	}
	pop := h.lab.Population(devices, lab.Behaviour{})
	p := h.begin()
	var ids []presence.ID
	for _, d := range pop.Devices() {
		ids = append(ids, idOf(d))
	}
	h.finds(ids...)
	return h, pop.Devices(), p
}

func idOf(d *lab.Device) presence.ID { return presence.MAC(d.MAC).ID() }

func (h *house) set(d *lab.Device, command string) {
	h.sub.publish(topics.Set(idOf(d)), command, false)
}

// shows waits until a device's attributes are as f wants.
func (h *house) shows(d *lab.Device, what string, f func(discovery.Attributes) bool) {
	h.t.Helper()
	h.sub.await(what, func() bool {
		var a discovery.Attributes
		return json.Unmarshal([]byte(h.sub.latest[topics.Attributes(idOf(d))]), &a) == nil && f(a)
	})
}

// announced waits until a device's discovery message has all of the words.
func (h *house) announced(d *lab.Device, words ...string) {
	h.t.Helper()
	h.sub.await(fmt.Sprintf("the discovery of %s with %q", d.HostName, words), func() bool {
		return containsAll(h.sub.latest[topics.Config(idOf(d))], words)
	})
}

// gone waits until the broker keeps nothing of a device.
func (h *house) gone(d *lab.Device) {
	h.t.Helper()
	eventually(h.t, "all of "+d.HostName+" to be gone", func() error {
		for topic := range h.sub.retained() {
			if strings.Contains(topic, string(idOf(d))) {
				return fmt.Errorf("%s is there", topic)
			}
		}
		return nil
	})
}

func (h *house) device(d *lab.Device) (found device) {
	h.t.Helper()
	for _, line := range jsonLines[device](h.t, h.must("devices", "--json")) {
		if line.ID == idOf(d) {
			return line
		}
	}
	h.t.Fatalf("%s is not known", d.HostName)
	return found
}

// A command changes a device at once, and for good.
func TestSet(t *testing.T) {
	t.Parallel()
	h, devices, p := played(t, 2, nil)
	d := devices[0]
	h.set(d, `{"name": "Ann's phone", "away_after": 20}`)
	h.announced(d, `"Ann's phone"`)
	h.shows(d, "20 s", func(a discovery.Attributes) bool { return a.AwayAfterS == 20 })
	h.set(d, `not JSON`)
	h.set(d, `{"away_after": "soon"}`)
	h.set(d, `{"groups": ["parents"]}`)
	h.shows(d, "its group", func(a discovery.Attributes) bool { return len(a.Groups) == 1 && a.Groups[0] == "parents" })
	h.set(devices[1], `{"track": false}`)
	h.gone(devices[1])

	p = h.again(p)
	h.shows(d, "20 s, as before", func(a discovery.Attributes) bool { return a.AwayAfterS == 20 && len(a.Groups) == 1 })
	h.announced(d, `"Ann's phone"`)
	h.gone(devices[1])
	if got := h.device(d); got.Name != "Ann's phone" || got.AwayAfterS != 20 {
		t.Errorf("devices: %+v", got)
	}
	h.set(devices[1], `{"track": true}`)
	h.announced(devices[1], "device_tracker")
	h.sub.awaitTopic(topics.State(idOf(devices[1])), "home")

	// A shorter timeout holds at once.
	h.set(devices[1], `{"away_after": "6s"}`)
	h.shows(devices[1], "6 s", func(a discovery.Attributes) bool { return a.AwayAfterS == 6 })
	devices[0].Sleep()
	devices[1].Sleep()
	if e := h.sub.awaitEvent(presence.Left, presence.MAC(devices[1].MAC)); !strings.Contains(e.Why, "its timeout is set to 6 s") {
		t.Errorf("why: %s", e.Why)
	}
	if got := h.sub.get(topics.State(idOf(d))); got != "home" {
		t.Errorf("the one with 20 s is %q", got)
	}
	_ = p
}

// Retained commands would be carried out again with each connection.
func TestRetainedCommandsAreIgnored(t *testing.T) {
	t.Parallel()
	h, devices, p := played(t, 1, nil)
	p.stop()
	h.sub.awaitTopic(topics.Status(), "offline")
	h.sub.publish(topics.Set(idOf(devices[0])), `{"name": "Eve"}`, true)
	h.sub.publish(topics.Scan(), "now", true)
	p = h.start()
	h.sub.awaitTopic(topics.Status(), "online")
	p.says("ignoring a retained command")
	h.set(devices[0], `{"away_after": 30}`) // comes after
	h.shows(devices[0], "30 s", func(a discovery.Attributes) bool { return a.AwayAfterS == 30 })
	if got := h.device(devices[0]); got.Name == "Eve" {
		t.Error("a retained command was carried out")
	}
}

// A scan on demand finds who is silent.
func TestScanOnDemand(t *testing.T) {
	t.Parallel()
	h, devices, _ := played(t, 1, nil)
	pop, err := h.lab.Lab.Population()
	h.lab.Must(err)
	late, err := pop.Add(lab.Identity{Addr: h.lab.Static(5), MAC: lab.MAC{2, 0, 0, 0, 9, 9}}, lab.Behaviour{})
	h.lab.Must(err)
	if _, ok := h.sub.next(time.Second); ok {
		t.Error("who says nothing was found")
	}
	h.sub.publish(topics.Scan(), "", false)
	h.sub.awaitEvent(presence.NewDevice, presence.MAC(late.MAC))
	h.sub.awaitTopic(topics.State(idOf(devices[0])), "home")
}

// A device that is deleted in Home Assistant does not come back, not even
// after a restart, until the user says so.
func TestDeletedInHomeAssistant(t *testing.T) {
	t.Parallel()
	h, devices, p := played(t, 2, nil)
	d := devices[0]
	h.announced(d, "device_tracker")
	h.sub.publish(topics.Config(idOf(d)), "", true)
	h.gone(d)
	if got := h.device(d); got.Tracked {
		t.Error("it is tracked")
	}
	p = h.again(p)
	h.sub.publish("homeassistant/status", "online", false) // its birth
	p.says("Home Assistant has started")
	h.announced(devices[1], "device_tracker")
	h.gone(d)
	_, err := d.Announce()
	h.lab.Must(err)
	h.set(d, `{"track": true}`)
	h.announced(d, "device_tracker")
	h.sub.awaitTopic(topics.State(idOf(d)), "home")
}

// With TRACK=named only those become entities that have a name.
func TestTrackNamed(t *testing.T) {
	t.Parallel()
	h, devices, _ := played(t, 3, map[string]string{"TRACK": "named"})
	if h.sub.count(func(m heardMessage) bool { return strings.HasPrefix(m.topic, "porchlight/home/devices/") }) > 0 {
		t.Error("somebody without a name is published")
	}
	h.set(devices[1], `{"name": "Ann"}`)
	h.announced(devices[1], `"Ann"`)
	h.sub.awaitTopic(topics.State(idOf(devices[1])), "home")
	h.set(devices[1], `{"name": ""}`)
	h.gone(devices[1])
	h.gone(devices[0])
	devices[0].Sleep() // events come for all
	h.sub.awaitEvent(presence.Left, presence.MAC(devices[0].MAC))
}

// MAX_TRACKED bounds the entities; a name goes before age.
func TestMaxTracked(t *testing.T) {
	t.Parallel()
	h, devices, _ := played(t, 6, map[string]string{"MAX_TRACKED": "2"})
	tracked := func() (ids []string) {
		for topic := range h.sub.retained() {
			if id, ok := topics.ParseConfig(topic); ok && id != "bridge" {
				ids = append(ids, string(id))
			}
		}
		return ids
	}
	if got := tracked(); len(got) != 2 {
		t.Fatalf("entities: %v", got)
	}
	before := strings.Join(tracked(), " ")
	var last *lab.Device
	for _, d := range devices {
		if !strings.Contains(before, string(idOf(d))) {
			last = d
		}
	}
	h.set(last, `{"name": "Ann"}`)
	h.announced(last, `"Ann"`)
	eventually(t, "two entities, one of them the named", func() error {
		if got := tracked(); len(got) != 2 || !strings.Contains(strings.Join(got, " "), string(idOf(last))) {
			return fmt.Errorf("entities: %v", got)
		}
		return nil
	})
	if n := len(jsonLines[device](t, h.must("devices", "--json"))); n != 7 {
		t.Errorf("%d devices are known, want 7", n)
	}
}
