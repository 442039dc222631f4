package homeassistant

import (
	"context"
	"os"
	"strconv"
	"strings"

	"porchlight/presence"
)

// thisMachine: the machine that Porchlight runs on has a device of its own. Its
// sensors say what there is, and its event entity fires when a program opens a
// port and when it has closed it, and at nothing else. The device goes when it is
// looked at no more, and when the user deletes it.
func thisMachine(s *scene) {
	s.set("CONNECTIONS_INTERVAL", "5s")
	s.start()
	established, listening := s.bridge("sensor", "machine_established"), s.bridge("sensor", "machine_listening")
	event := s.bridge("event", "machine_event")
	s.machineDevice()
	s.until("the connections to be those of ss", func() bool { return s.state(established) == s.ss("-t", "state", "established") })
	s.until("it to be learned what is usual", func() bool {
		out, err := s.command("connections", "list", "--json").Output()
		return err == nil && strings.Count(string(out), "\n") >= 3
	})
	before := s.number(listening)
	s.arrive(s.thing("phone")) // which is no business of the machine's entity

	server := s.obs.Command(context.Background(), "mosquitto", "-p", "8443")
	server.Env = []string{"PATH=" + os.Getenv("PATH")}
	s.must(server.Start())
	defer server.Kill()
	s.until("listener_opened", func() bool { return len(s.firingsOf(event, s.stream)) == 1 })
	s.fired(event, presence.ListenerOpened)
	s.await(listening, strconv.Itoa(before+1))

	s.must(server.Stop(patience))
	s.await(listening, strconv.Itoa(before))
	s.must(s.ha.ReloadEntry(s.ctx(), s.mqtt)) // meanwhile: it fires for nothing that was before
	s.await(listening, strconv.Itoa(before))
	s.untilIn(4*patience, "listener_closed, half a minute later", func() bool { return len(s.firingsOf(event, s.stream)) >= 2 })
	s.fired(event, presence.ListenerOpened, presence.ListenerClosed)
	for _, f := range s.firings(s.stream) {
		if f.Attributes["program"] != nil {
			s.t.Errorf("Porchlight's own event entity fired for this machine: %v", f.Attributes)
		}
	}

	s.stop()
	delete(s.env, "CONNECTIONS_INTERVAL")
	s.start()
	gone := func() bool {
		_, there := s.registered("machine")
		return !there
	}
	s.until("the device to be gone", gone)
	s.until("its numbers to be gone", func() bool { return len(s.retained(s.topics.Machine(), s.topics.MachineConfig())) == 0 })

	// Deleted in Home Assistant it stays so, while the machine is looked at.
	s.set("CONNECTIONS_INTERVAL", "5s")
	s.stop()
	s.start()
	s.machineDevice()
	d, _ := s.registered("machine")
	s.forgive("No device components to cleanup for machine,") // its own messages
	s.must(s.ha.DeleteDevice(s.ctx(), d.ID, s.mqtt))
	s.until("the device to be gone again", gone)
	s.stop()
	s.start()
	s.until("its numbers to be back", func() bool { return len(s.retained(s.topics.Machine())) == 1 })
	s.settle()
	equal(s.t, "that it is gone after a restart", gone(), true)
}

// machineDevice waits for the device, and checks what its page shows.
func (s *scene) machineDevice() {
	s.t.Helper()
	var d Device
	s.until("this machine's device", func() (there bool) {
		d, there = s.registered("machine")
		return there && len(s.entities(d)) == 3
	})
	own, _ := s.registered("")
	host, err := os.Hostname()
	s.must(err)
	equal(s.t, "this machine's device", shown(d), Device{
		Name: host + " (Porchlight)", Model: "Machine that Porchlight runs on", ViaDevice: own.ID,
		Identifiers: [][2]string{{"mqtt", "porchlight_" + s.node + "_machine"}}, Connections: [][2]string{}, ConfigEntries: []string{s.mqtt},
	})
	equal(s.t, "this machine's entities", s.summaries(d), map[string]summary{
		"established": {s.bridge("sensor", "machine_established"), "Connections established", "", "diagnostic"},
		"listening":   {s.bridge("sensor", "machine_listening"), "Listening ports", "", "diagnostic"},
		"event":       {s.bridge("event", "machine_event"), "Event", "", ""},
	})
}

// fired checks that an event entity of this machine has told of the server's port
// what it had to, each once, and nothing else.
func (s *scene) fired(entity string, kinds ...presence.EventType) {
	s.t.Helper()
	var got []presence.EventType
	for _, f := range s.firingsOf(entity, s.stream) {
		kind, _ := f.Attributes["event_type"].(string)
		got = append(got, presence.EventType(kind))
		for name, want := range map[string]any{"program": "mosquitto", "protocol": "tcp", "port": 8443.0} {
			equal(s.t, "attribute "+name+" of "+kind, f.Attributes[name], want)
		}
	}
	equal(s.t, "the events of this machine", got, kinds)
}

// number is the state of a sensor that counts.
func (s *scene) number(entity string) (n int) {
	s.t.Helper()
	s.until(entity+" to be a number", func() bool {
		var err error
		n, err = strconv.Atoi(s.state(entity))
		return err == nil
	})
	return n
}

// ss is how many sockets ss counts where Porchlight is.
func (s *scene) ss(args ...string) string {
	s.t.Helper()
	out, err := s.obs.Command(s.ctx(), "ss", append([]string{"-H", "-n"}, args...)...).Output()
	s.must(err)
	return strconv.Itoa(strings.Count(string(out), "\n"))
}
