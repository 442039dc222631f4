package scenario

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/devicefile"
	"porchlight/discovery"
	"porchlight/lab"
	"porchlight/presence"
)

// The device file: what it says is on the broker within a second, a fault in it
// changes nothing and is told in one line, and it wins over commands.
func TestDeviceFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "devices.yaml")
	h, devices, p := played(t, 2, map[string]string{"DEVICES_FILE": file})
	p.says("there is no device file")
	first, second := devices[0], devices[1]
	entry := func(d *lab.Device, rest string) string {
		return "  - mac: " + presence.MAC(d.MAC).String() + "\n" + rest
	}
	write := func(text string) {
		h.lab.Must(os.WriteFile(file+".new", []byte(text), 0o644))
		h.lab.Must(os.Rename(file+".new", file))
	}
	within := func(what string, f func() bool) {
		t.Helper()
		began := time.Now()
		h.sub.await(what, f)
		if took := time.Since(began); took > time.Second && !raceEnabled {
			t.Errorf("%s took %s", what, took)
		}
	}
	name := func(d *lab.Device) string { return h.sub.latest[topics.Name(idOf(d))] }
	group := func(name string) string { return h.sub.latest[topics.GroupState(presence.GroupSlug(name))] }

	const absent = "  - mac: 02:00:5e:10:00:99\n    name: Never seen\n    groups: [Elsewhere]\n"
	write("devices:\n" + entry(first, "    name: Ann's phone\n    kind: phone\n    groups: [Parents, All]\n") +
		entry(second, "    name: Ben's phone\n    groups: [Kids, All]\n    away_after: 20m\n") + absent)
	within("names and groups", func() bool {
		return name(first) == "Ann's phone" && name(second) == "Ben's phone" &&
			group("Parents") == "home" && group("Kids") == "home" && group("All") == "home" && group("Elsewhere") == "not_home"
	})
	h.announced(first, "Ann's phone", "mdi:cellphone")
	h.sub.await("the groups' discovery", func() bool {
		return containsAll(h.sub.latest[topics.GroupConfig("kids")], []string{`"name":"Kids"`, `"device_tracker"`, "in_zones"})
	})
	h.shows(second, "the groups and the timeout", func(a discovery.Attributes) bool {
		return cmp.Equal(a.Groups, []string{"Kids", "All"}) && a.AwayAfterS == 1200
	})
	h.sub.awaitTopic(topics.State("02005e100099"), "not_home") // who was never heard

	// A member leaves: its group is empty then, the other one is not.
	first.Sleep()
	h.sub.awaitEvent(presence.Left, presence.MAC(first.MAC))
	h.sub.await("the groups without it", func() bool { return group("Parents") == "not_home" && group("All") == "home" })

	// A fault: one line, and all stays.
	before := strings.Count(p.stderr.String(), "\n")
	write("devices:\n" + entry(first, "    name: Somebody else\n    away_after: soon\n"))
	p.says("line 4: away_after: want a duration")
	if lines := strings.Count(p.stderr.String(), "line 4: away_after"); lines != 1 {
		t.Errorf("%d lines about it:\n%s", lines, p.stderr.String()[before:])
	}
	h.sub.await("the problem in the summary", func() bool { return strings.Contains(h.sub.latest[topics.Summary()], "line 4: away_after") })
	h.set(second, `{"name": "Benny", "notes": "blue"}`)
	p.says("the device file decides this")
	if names := []string{h.sub.get(topics.Name(idOf(first))), h.sub.get(topics.Name(idOf(second)))}; names[0] != "Ann's phone" || names[1] != "Ben's phone" {
		t.Errorf("names %q", names)
	}

	// After a restart what it said last still counts; the commands see it too.
	p = h.again(p)
	var found device
	for _, d := range jsonLines[device](t, h.must("devices", "--json")) {
		if d.ID == idOf(second) {
			found = d
		}
	}
	if found.Name != "Ben's phone" || !cmp.Equal(found.Groups, []string{"Kids", "All"}) || found.Notes != "blue" ||
		!cmp.Equal(found.FromFile, []string{"name", "groups", "away_after"}) {
		t.Errorf("devices --json: %+v", found)
	}
	if out := h.must("devices"); !strings.Contains(out, "GROUPS") || !strings.Contains(out, "Kids, All") || !strings.Contains(out, "Never seen") {
		t.Errorf("devices:\n%s", out)
	}
	if _, found := h.doctor(); !strings.Contains(found["devices"].Text, "line 4: away_after") {
		t.Errorf("doctor: %+v", found["devices"])
	}

	// In order again, and less of it: what is not there any more goes.
	write("devices:\n" + entry(first, "    name: Ann's phone\n    groups: [Parents]\n"))
	h.sub.await("the name of the command", func() bool { return name(second) == "Benny" })
	eventually(t, "the old groups and the device to be gone", func() error {
		var wrong []error
		for topic := range h.sub.retained() {
			for _, gone := range []string{"kids", "all/", "elsewhere", "02005e100099"} {
				if strings.Contains(topic, gone) {
					wrong = append(wrong, fmt.Errorf("%s is there", topic))
				}
			}
		}
		return errors.Join(wrong...)
	})
	if h.sub.get(topics.GroupState("parents")) != "not_home" {
		t.Error("the group that stays is gone")
	}
	p.stop()
}

// A network card answers for a computer that is off.
func TestAnswersThatDoNotCount(t *testing.T) {
	t.Parallel()
	h, devices, _ := played(t, 2, nil)
	card, other := devices[0], devices[1]
	h.set(card, `{"ignore_arp_replies": true}`)
	h.sub.awaitEvent(presence.Left, presence.MAC(card.MAC))
	if h.sub.get(topics.State(idOf(other))) != "home" {
		t.Error("the other one left, too")
	}
	_, err := card.Announce()
	h.lab.Must(err)
	h.sub.await("it to be home by its own word", func() bool { return h.sub.latest[topics.State(idOf(card))] == "home" })
}

// A file of ten thousand devices, the most that it can have, is no burden: who
// comes is told at once, and so is a change of the file.
func TestLongDeviceFile(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	file := filepath.Join(t.TempDir(), "devices.yaml")
	h.env["DEVICES_FILE"] = file
	write := func(name string) {
		var b strings.Builder
		b.WriteString("devices:\n")
		for i := 1; i < devicefile.MaxDevices; i++ {
			fmt.Fprintf(&b, "  - mac: 02:01:00:%02x:%02x:%02x\n    name: Device %d\n    groups: [Floor %d, All]\n    kind: iot\n", i>>16, i>>8&0xff, i&0xff, i, i%20)
		}
		fmt.Fprintf(&b, "  - {mac: %s, name: %s, groups: [All], important: true}\n", phone.mac, name)
		h.lab.Must(os.WriteFile(file, []byte(b.String()), 0o644))
	}
	write("First")
	client := h.lab.Client("phone", lab.WithMAC(phone.mac))
	p := h.begin()
	id := macOf(client).ID()
	h.sub.awaitTopic(topics.Name(id), "First")
	h.sub.awaitTopic(topics.GroupState("all"), "not_home")
	h.join(client)
	h.sub.awaitTopic(topics.GroupState("all"), "home")
	if e := h.sub.awaitEvent(presence.Arrived, macOf(client)); e.Name != "First" {
		t.Errorf("arrived as %q", e.Name)
	}
	began := time.Now()
	write("Second")
	h.sub.awaitTopic(topics.Name(id), "Second")
	if took := time.Since(began); took > 2*time.Second && !raceEnabled {
		t.Errorf("the change took %s", took)
	}
	if raceEnabled { // then writing ten thousand devices takes longer than there is at the end
		p.cmd.Kill()
		return
	}
	p.stop()
}
