package nodered

import (
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"porchlight/lab"
)

// What the flows tell: the debug node's name and the payload.
const (
	annIsHome = "it is home: home"
	annIsAway = "it is away: not_home"
	cameHome  = "someone came home: home"
	allLeft   = "everyone left: not_home"
)

// day is what happens with mosquitto. Each step ends when the flows have told
// all they should, and begins where the last one ended.
var day = []struct {
	words string
	play  func(*house)
}{
	{"Node-RED starts", func(h *house) {
		h.start()
		h.await(topics.State(id(h.ben)), "home")
		h.red.start()
		h.tells(annIsHome)
		h.silent(taken)
	}},
	{"one of two leaves", func(h *house) {
		h.leave(h.ben)
		h.silent(soon)
	}},
	{"everyone has left", func(h *house) {
		h.leave(h.ann)
		h.tells(annIsAway, allLeft)
	}},
	{"Node-RED restarts in the empty house", func(h *house) {
		h.red.stop()
		h.red.start()
		h.tells(annIsAway)
		h.silent(taken)
	}},
	{"someone comes home, then another", func(h *house) {
		h.join(h.ann)
		h.tells(annIsHome, cameHome)
		h.join(h.ben)
		h.await(topics.State(id(h.ben)), "home")
		h.silent(soon)
	}},
	{"a new device with a hostile name", (*house).stranger},
	{"an event comes twice, and rubbish", (*house).rubbish},
	{"Porchlight restarts", func(h *house) {
		h.stop()
		h.start()
		h.silent(soon)
	}},
	{"Porchlight is killed and starts", func(h *house) {
		h.cmd.Kill()
		h.await(topics.Status(), "offline")
		h.start()
		h.silent(soon)
	}},
	{"the broker starts and has lost all it kept", func(h *house) {
		h.broker.Kill()
		h.loseKept()
		h.restartBroker()
		h.red.awaitBroker()
		h.await(topics.Status(), "online")
		h.silent(taken)
	}},
	{"everyone leaves while Porchlight is offline", func(h *house) {
		h.stop()
		h.lab.Must(h.ann.Leave())
		h.lab.Must(h.ben.Leave())
		h.silent(2 * awayAfter)
		h.start()
		h.tells(annIsAway, allLeft)
	}},
	{"another puts a state there while Porchlight is offline", func(h *house) {
		h.stop()
		h.publish(topics.State(id(h.ann)), "home", "-r")
		h.tells(annIsHome)
		h.silent(soon)
		h.start() // it puts that right before it is online
		h.tells(annIsAway)
		h.silent(soon)
	}},
	{"someone comes home after that", func(h *house) {
		h.join(h.ann)
		h.tells(annIsHome, cameHome)
	}},
	{"the broker starts and has old states", func(h *house) {
		h.saveKept() // Porchlight is online and Ann is home
		h.leave(h.ann)
		h.tells(annIsAway, allLeft)
		h.lab.Must(h.cmd.Signal(syscall.SIGSTOP)) // Node-RED is to be first
		h.broker.Kill()
		h.restartBroker()
		h.tells(annIsHome)
		h.lab.Must(h.cmd.Signal(syscall.SIGCONT))
		h.tells(annIsAway)
		h.silent(taken)
	}},
	{"who was the only one home is tracked no more, and again", func(h *house) {
		h.join(h.ben)
		h.tells(cameHome)
		h.publish(topics.Set(id(h.ben)), `{"track": false}`)
		h.await(topics.State(id(h.ben)), "")
		h.silent(soon)
		h.publish(topics.Set(id(h.ben)), `{"track": true}`)
		h.await(topics.State(id(h.ben)), "home")
		h.silent(soon)
	}},
	{"a power cut", func(h *house) {
		h.cmd.Kill()
		h.red.kill()
		h.broker.Kill()
		h.loseKept()
		h.red.start() // before there is a broker
		h.restartBroker()
		h.red.awaitBroker()
		h.begin()
		h.tells(annIsAway)
		h.await(topics.Status(), "online")
		h.silent(taken)
	}},
	{"everyone has left after all that", func(h *house) {
		h.leave(h.ben)
		h.tells(allLeft)
		h.silent(soon)
	}},
}

func TestFlows(t *testing.T) {
	t.Parallel()
	h := newHouse(t, true)
	for _, step := range day {
		h.step = step.words
		began := time.Now()
		step.play(h)
		t.Logf("%-55s %5.1f s", step.words, time.Since(began).Seconds())
	}
}

// stranger is a device that calls itself what nobody should.
func (h *house) stranger() {
	people := h.lab.Population(0, lab.Behaviour{})
	d, err := people.Add(lab.Identity{
		Addr: h.lab.Static(1), MAC: lab.MAC{2, 0, 0, 0, 0, 66},
		HostName: "\x1b[31mEve\r\n\u202e<img src=x onerror=alert(1)>{{payload}}${x}'\"" + strings.Repeat("x", 150),
	}, lab.Behaviour{})
	h.lab.Must(err)
	_, err = d.Request()
	h.lab.Must(err)
	want := regexp.MustCompile(`^new device: New on the network: \[31mEve <img src=x onerror=alert\(1\)>\{\{payload}}\$\{x}'"x+ \(private MAC, 10\.77\.0\.\d+\)$`)
	if got := h.next(); !want.MatchString(got) || len(got) > 150 {
		h.fatalf("the flows told %q, want a sentence with what is printable of the name", got)
	}
	h.silent(soon)
}

// rubbish is what others may publish on the topic of events, and an event that
// is delivered twice.
func (h *house) rubbish() {
	const lamp = `{"event_type":"new_device","seq":900,"time":"2026-05-01T12:00:00Z","name":"Lamp","vendor":"Signify","private_mac":false}`
	for _, payload := range []string{"", "no JSON", "null", "[]", "7", `{"event_type":7}`, `{"event_type":"new_devices"}`, lamp, lamp} {
		h.publish(topics.Event(), payload)
	}
	h.tells("new device: New on the network: Lamp (Signify)")
	h.silent(soon)
}

// The flows as they are shipped find the embedded broker of a Porchlight on the
// same machine, also when it restarts.
func TestEmbeddedBroker(t *testing.T) {
	t.Parallel()
	h := newHouse(t, false)
	for _, n := range readFlows(t, unchanged) {
		if n["type"] == "mqtt-broker" && n.text("broker")+":"+n.text("port") != embedded {
			t.Errorf("the flows' broker is %s:%s, Porchlight's is %s", n["broker"], n["port"], embedded)
		}
	}
	h.start()
	h.await(topics.State(id(h.ann)), "home")
	h.await(topics.State(id(h.ben)), "home")
	h.red.start()
	h.red.awaitBroker()
	h.tells(annIsHome)
	h.silent(taken)
	h.leave(h.ben)
	h.leave(h.ann)
	h.tells(annIsAway, allLeft)
	h.stop()
	h.start()
	h.red.awaitBroker()
	h.silent(taken)
	h.join(h.ann)
	h.tells(annIsHome, cameHome)
}
