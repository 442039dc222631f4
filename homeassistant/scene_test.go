package homeassistant

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"porchlight/discovery"
	"porchlight/lab"
	"porchlight/presence"
)

// scene is what one scenario plays in: the home's Home Assistant and broker, a
// Porchlight of its own with a node of its own, and devices that nobody knows
// yet. When it ends, Porchlight stops, the devices are gone, and Home
// Assistant's log must be clean.
type scene struct {
	*home
	t       *testing.T
	node    string
	topics  discovery.Topics
	program string
	dir     string // the data directory
	env     map[string]string
	porch   *lab.Cmd // nil: not running
	log     string   // the file with what it says
	pop     *lab.Population
	devices int // made so far

	journal, stream int            // marks of when the scene began
	forgives        *regexp.Regexp // what else may be in Home Assistant's log; nil: nothing
}

// awayAfter is how long a device is silent before it is away.
const awayAfter = 3 * time.Second

func newScene(t *testing.T, h *home, program string) *scene {
	h.scenes++
	s := &scene{
		home: h, t: t, program: program, dir: t.TempDir(),
		node:    fmt.Sprintf("n%d", h.scenes),
		journal: h.ha.Journal().Mark(), stream: h.ha.Stream().Mark(),
	}
	s.topics = discovery.Topics{Prefix: "porchlight", Node: s.node, HAPrefix: "homeassistant"}
	s.env = map[string]string{
		"NODE": s.node, "DATA_DIR": s.dir, "INTERFACES": "lan0", "MQTT_URL": h.broker.URL(),
		"AWAY_AFTER": awayAfter.String(), "PROBE_INTERVAL": "600ms", "OUTAGE_HOLD": "0s",
		"SWEEP_RATE": "1000/s", "SWEEP_PREFIXES": "10.77.0.0/26", "LOG_LEVEL": "debug",
	}
	s.log = s.dir + "/porchlight.log"
	var err error
	s.pop, err = h.lab.Lab.Population()
	s.must(err)
	t.Cleanup(s.end)
	return s
}

func (s *scene) end() {
	s.stop()
	s.must(s.pop.Close())
	s.checkJournal()
	s.forget()
	if s.t.Failed() {
		if said, err := os.ReadFile(s.log); err == nil {
			s.t.Logf("Porchlight said:\n%s", said[max(0, len(said)-20000):])
		}
	}
}

// forget takes the scene's devices out of Home Assistant, as Porchlight does
// with one that it forgets, so that those of all scenes do not pile up there.
func (s *scene) forget() {
	own := "porchlight_" + s.node
	all, err := s.ha.Devices(s.ctx())
	s.must(err)
	for _, d := range all {
		for _, id := range d.Identifiers {
			if object, ok := strings.CutPrefix(id[1]+"_bridge", own+"_"); ok {
				if object != "bridge" {
					object = strings.TrimSuffix(object, "_bridge")
				}
				s.publish(s.topics.HAPrefix+"/device/"+s.node+"/"+object+"/config", "", true)
			}
		}
	}
	s.until("the scene's devices to be gone", func() bool {
		all, err := s.ha.Devices(s.ctx())
		s.must(err)
		return !slices.ContainsFunc(all, func(d Device) bool {
			return slices.ContainsFunc(d.Identifiers, func(id [2]string) bool { return strings.HasPrefix(id[1]+"_", own+"_") })
		})
	})
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// set changes a setting, given without its prefix, for the next start.
func (s *scene) set(name, value string) { s.env[name] = value }

// ctx bounds one step of a scenario.
func (s *scene) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	s.t.Cleanup(cancel)
	return ctx
}

// state is an entity's state now; empty when there is no such entity.
func (s *scene) state(entity string) string { return s.full(entity).State }

// full is an entity's state with its attributes.
func (s *scene) full(entity string) State {
	s.t.Helper()
	all, err := s.ha.States(s.ctx())
	s.must(err)
	i := slices.IndexFunc(all, func(one State) bool { return one.Entity == entity })
	if i < 0 {
		return State{}
	}
	return all[i]
}

// await waits until an entity has a state.
func (s *scene) await(entity, want string) {
	s.t.Helper()
	s.until(entity+" to be "+want, func() bool { return s.state(entity) == want })
}

// until waits for a condition, which is looked at with each change that Home
// Assistant tells of, and now and then besides.
func (s *scene) until(what string, f func() bool) {
	s.t.Helper()
	s.untilIn(patience, what, f)
}

// untilIn is until, for what takes longer.
func (s *scene) untilIn(patience time.Duration, what string, f func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		came := s.ha.Stream().Came()
		if f() {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("waited %s for %s; of us Home Assistant has:\n%s", patience, what, s.inventory())
		}
		select {
		case <-came:
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// settle waits until Home Assistant has drawn its conclusions from what it
// shows already.
func (s *scene) settle() {
	s.t.Helper()
	s.must(s.ha.Sync(s.ctx()))
}

// inventory is all states that are not Home Assistant's own, for messages.
func (s *scene) inventory() string {
	all, err := s.ha.States(s.ctx())
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, one := range all {
		if !strings.HasPrefix(one.Entity, "sun.") && !strings.HasPrefix(one.Entity, "sensor.backup") {
			fmt.Fprintf(&b, "%s: %s %v\n", one.Entity, one.State, one.Attributes)
		}
	}
	return b.String()
}

// states are those that an entity went through since a mark of the stream,
// changes of attributes left out.
func (s *scene) states(entity string, mark int) (all []string) {
	s.t.Helper()
	s.must(s.ha.Sync(s.ctx()))
	for _, c := range s.ha.Stream().Since(mark, entity) {
		if c.From() != c.To() {
			all = append(all, c.To())
		}
	}
	return all
}

// bridge is the id of one of the entities of Porchlight's own device:
// bridge("event", "event") is event.porchlight_n1_event.
func (s *scene) bridge(platform, key string) string {
	return platform + ".porchlight_" + s.node + "_" + key
}

// device returns an entry of Home Assistant's device registry by Porchlight's
// identifier: "" for its own device, or a device's id. ok is false when there
// is none.
func (s *scene) registered(id string) (d Device, ok bool) {
	s.t.Helper()
	want := "porchlight_" + s.node
	if id != "" {
		want += "_" + id
	}
	all, err := s.ha.Devices(s.ctx())
	s.must(err)
	i := slices.IndexFunc(all, func(d Device) bool { return slices.Contains(d.Identifiers, [2]string{"mqtt", want}) })
	if i < 0 {
		return Device{}, false
	}
	return all[i], true
}

// entities are those of a device in the registry, by the last part of their
// unique id: tracker, ip and so on.
func (s *scene) entities(d Device) map[string]Entity {
	s.t.Helper()
	all, err := s.ha.Entities(s.ctx())
	s.must(err)
	found := map[string]Entity{}
	for _, e := range all {
		if e.Device == d.ID {
			found[strings.TrimPrefix(e.UniqueID, d.Identifiers[0][1]+"_")] = e
		}
	}
	return found
}

// automation adds one, as its editor does, and returns its entity id. It is
// deleted with the scene.
func (s *scene) automation(id string, config map[string]any) string {
	s.t.Helper()
	id = s.node + "_" + id
	config["alias"] = id
	s.must(s.ha.Call(s.ctx(), http.MethodPost, "/api/config/automation/config/"+id, config, nil))
	s.t.Cleanup(func() {
		s.must(s.ha.Call(s.ctx(), http.MethodDelete, "/api/config/automation/config/"+id, nil, nil))
	})
	s.await("automation."+id, "on")
	return "automation." + id
}

// triggered reports whether an automation ever ran.
func (s *scene) triggered(automation string) bool {
	s.t.Helper()
	return s.full(automation).Attributes["last_triggered"] != nil
}

// leftHome adds an automation that runs when a person leaves the house, by the
// trigger that the release has for it.
func (s *scene) leftHome(person string) string {
	s.t.Helper()
	trigger, options := "person.left_home", map[string]any{"behavior": "any"}
	if s.since(2026, 7) {
		trigger, options = "zone.left", map[string]any{"zone": "zone.home"}
	}
	return s.automation("left_"+strings.TrimPrefix(person, "person."), map[string]any{
		"triggers": []any{map[string]any{"trigger": trigger, "target": map[string]any{"entity_id": person}, "options": options}},
		"actions":  []any{map[string]any{"event": "left_home"}},
	})
}

// person makes a person with these trackers and returns the entity id. It is
// deleted with the scene.
func (s *scene) person(name string, trackers ...string) string {
	s.t.Helper()
	name = s.node + " " + name
	var made struct{ ID string }
	s.must(s.ha.Command(s.ctx(), "person/create", fields{"name": name, "user_id": nil, "device_trackers": trackers}, &made))
	s.t.Cleanup(func() {
		s.must(s.ha.Command(s.ctx(), "person/delete", fields{"person_id": made.ID}, nil))
	})
	entity := "person." + strings.ReplaceAll(name, " ", "_")
	s.until(entity+" to be there", func() bool { return s.state(entity) != "" })
	return entity
}

// thing is a device on the LAN.
type thing struct {
	*lab.Device
	id      string // Porchlight's
	name    string // its host name
	tracker string // its entity id
}

// thing makes a device that is not heard yet. Its host name, with the scene's
// node before it, becomes its name.
func (s *scene) thing(name string) *thing {
	s.t.Helper()
	return s.thingOf(name, lab.MAC{})
}

// thingOf is thing with a MAC instead of a private one.
func (s *scene) thingOf(name string, mac lab.MAC) *thing {
	s.t.Helper()
	s.devices++
	name = s.node + "-" + name
	d, err := s.pop.Add(lab.Identity{MAC: mac, HostName: name, Addr: s.addr(s.devices)}, lab.Behaviour{Asleep: true})
	s.must(err)
	return &thing{
		Device: d, id: string(presence.MAC(d.MAC).ID()), name: name,
		tracker: "device_tracker." + underscored(name),
	}
}

// underscored is a host name as a part of an entity id.
func underscored(name string) string { return strings.ReplaceAll(name, "-", "_") }

// addr is the i-th address of the scene, from 1 on.
func (s *scene) addr(i int) netip.Addr { return s.lab.Static(i) }

// join makes a thing present: it asks for its address, as a returning phone
// does, and answers from then on.
func (s *scene) join(t *thing) {
	s.t.Helper()
	t.Wake()
	_, err := t.Request()
	s.must(err)
}

// arrive is join, and waits until Home Assistant shows it.
func (s *scene) arrive(t *thing) {
	s.t.Helper()
	s.join(t)
	s.await(t.tracker, "home")
}

// leave makes it absent, without a word.
func (s *scene) leave(t *thing) { t.Sleep() }
