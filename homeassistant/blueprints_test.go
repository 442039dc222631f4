package homeassistant

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/lab"
	"porchlight/lab/labtest"
	"porchlight/presence"
)

// rig is a Home Assistant with our blueprints, a broker, and a puppet.
type rig struct {
	t      *testing.T
	ctx    context.Context
	ha     *Instance
	broker *lab.Broker
	entry  string // of MQTT
	*puppet
}

func eachRelease(t *testing.T, configuration string, f func(*rig)) {
	for _, v := range []string{"2026.11.0", "2026.4.4"} {
		t.Run(v, func(t *testing.T) {
			l := labtest.StartWith(t, lab.Options{NoGateway: true})
			obs := l.Observer("lan0", lab.WithAddr(l.Static(0)))
			b := labtest.Mosquitto(t, lab.MosquittoOptions{Host: obs.Host})
			ctx, cancel := context.WithTimeout(t.Context(), 180*time.Second)
			defer cancel()
			dir := t.TempDir()
			layBlueprints(t, dir)
			ha, err := Start(ctx, Options{Root: "/work/main/.cache/homeassistant/root", Release: v, Host: obs.Host, Dir: dir, Configuration: configuration})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = ha.Close() }()
			entry, err := ha.AddMQTT(ctx, b.Addr())
			if err != nil {
				t.Fatal(err)
			}
			f(&rig{t, ctx, ha, b, entry, newPuppet(t, obs.Host, b)})
			for _, e := range ha.Journal().Since(0) {
				if strings.Contains(e.Text, "porchlight") || strings.Contains(e.Logger, "automation") || strings.Contains(e.Logger, "blueprint") || strings.Contains(e.Logger, "template") {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}

// layBlueprints puts our blueprints to where Home Assistant looks for them.
func layBlueprints(t *testing.T, dir string) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(dir, "blueprints"), os.DirFS("../blueprints")); err != nil {
		t.Fatal(err)
	}
}

// counting is what the automations under test do: they keep the last message,
// and count.
const counting = `
          - action: input_text.set_value
            target: {entity_id: input_text.said}
            data: {value: "%s"}
          - action: counter.increment
            target: {entity_id: counter.times}
`

const counters = `
input_text:
  said: {max: 255}
counter:
  times:
`

// ran waits until the automation under test has run n times altogether, and
// said so at last. More often is an error at once.
func (r *rig) ran(n int, said string) {
	r.t.Helper()
	err := r.ha.poll(r.ctx, "to run the automation", func() error {
		times, err := r.ha.State(r.ctx, "counter.times")
		if err != nil {
			return err
		}
		if got, err := strconv.Atoi(times.State); err != nil || got > n {
			r.t.Fatalf("it ran %s times (%v), want %d, said %q", times.State, err, n, r.said())
		} else if got < n {
			return fmt.Errorf("it ran %d times of %d", got, n)
		}
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if diff := cmp.Diff(said, r.said()); diff != "" {
		r.t.Errorf("it said (-want +got):\n%s", diff)
	}
}

func (r *rig) said() string {
	s, err := r.ha.State(r.ctx, "input_text.said")
	if err != nil {
		r.t.Error(err)
	}
	return s.State
}

// is waits until an entity has a state.
func (r *rig) is(entity, want string) {
	r.t.Helper()
	err := r.ha.poll(r.ctx, entity+" to be "+want, func() error {
		s, err := r.ha.State(r.ctx, entity)
		if err == nil && s.State != want {
			err = fmt.Errorf("it is %q", s.State)
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// shake restarts one after the other of all that can restart, and waits each
// time until Home Assistant hears of Porchlight again.
func (r *rig) shake(witness string, after func(what string)) {
	r.t.Helper()
	state, err := r.ha.State(r.ctx, witness)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, one := range []struct {
		what string
		do   func() error
	}{
		{"Home Assistant restarts", func() error { return r.ha.Restart(r.ctx) }},
		{"MQTT is reloaded", func() error { return r.ha.ReloadEntry(r.ctx, r.entry) }},
		{"the broker restarts", func() error {
			if err := r.broker.Stop(); err != nil {
				return err
			}
			r.is(witness, "unavailable")
			return r.broker.Start(r.ctx)
		}},
		{"Porchlight restarts", func() error {
			r.puppet.stop()
			r.is(witness, "unavailable")
			r.puppet.start()
			return nil
		}},
	} {
		if err := one.do(); err != nil {
			r.t.Fatalf("%s: %v", one.what, err)
		}
		r.is(witness, state.State)
		after(one.what)
	}
}

type notification struct {
	ID      string `json:"notification_id"`
	Title   string
	Message string
}

// notifications are those that Home Assistant shows, by id.
func (r *rig) notifications() map[string]notification {
	r.t.Helper()
	var all []notification
	if err := r.ha.Command(r.ctx, "persistent_notification/get", nil, &all); err != nil {
		r.t.Fatal(err)
	}
	found := map[string]notification{}
	for _, n := range all {
		if strings.HasPrefix(n.ID, "porchlight") {
			found[n.ID] = n
		}
	}
	return found
}

func TestBlueprintNewDevice(t *testing.T) {
	const event = "event.porchlight_home_event"
	configuration := counters + `
automation:
  - id: told
    alias: Told
    use_blueprint:
      path: porchlight/new_device.yaml
      input: {event_entity: ` + event + `}
  - id: counted
    alias: Counted
    use_blueprint:
      path: porchlight/new_device.yaml
      input:
        event_entity: ` + event + `
        private_macs: false
        actions:` + fmt.Sprintf(counting, "{{ message }}")

	eachRelease(t, configuration, func(r *rig) {
		t := r.t
		r.are(presence.Home, someone(1, "Ann"))
		r.is("device_tracker.ann", "home")

		// Whatever a stranger calls itself, and however fast strangers come.
		hostile := "![x](http://x/`x`)<img src=x onerror=alert(1)> {{ states }} \"'🙈"
		phone := someone(3, "Pixel-8")
		phone.MAC[0] |= 2
		phone.ID, phone.Vendor = phone.MAC.ID(), ""
		r.appear(someone(2, hostile), phone, someone(4, "007"))
		r.ran(2, "New on the network: 007, 10.77.0.4, Xensource, Inc., 00:16:3e:00:00:04")
		want := map[string]notification{}
		for mac, message := range map[string]string{
			"00:16:3e:00:00:02": "`" + strings.ReplaceAll(hostile, "`", "'") + "` at 10.77.0.2, Xensource, Inc. (00:16:3e:00:00:02).",
			"02:16:3e:00:00:03": "`Pixel-8` at 10.77.0.3, with a private MAC address (02:16:3e:00:00:03).",
			"00:16:3e:00:00:04": "`007` at 10.77.0.4, Xensource, Inc. (00:16:3e:00:00:04).",
		} {
			id := "porchlight_new_" + mac
			want[id] = notification{id, "New device on the network", message}
		}
		if diff := cmp.Diff(want, r.notifications()); diff != "" {
			t.Errorf("notifications (-want +got):\n%s", diff)
		}

		// Nothing is new after a restart, although a new device was the last news.
		n := byte(5)
		news := func() {
			t.Helper()
			d := someone(n, "Thing "+strconv.Itoa(int(n)))
			r.devices[d.ID] = d
			r.tell([]presence.Device{d})
			r.store.Append([]presence.Event{about(presence.NewDevice, d)})
			r.ran(int(n)-2, fmt.Sprintf("New on the network: Thing %d, 10.77.0.%d, Xensource, Inc., 00:16:3e:00:00:%02x", n, n, n))
			n++
		}
		news()
		r.shake("device_tracker.ann", func(what string) {
			t.Log(what)
			news()
		})
	})
}

func TestBlueprintPresence(t *testing.T) {
	configuration := counters + `
person:
  - {id: ann, name: Ann, device_trackers: [device_tracker.anns_phone]}
  - {id: ben, name: Ben, device_trackers: [device_tracker.bens_phone]}
automation:
  - id: people
    alias: People
    use_blueprint:
      path: porchlight/presence.yaml
      input:
        people: [person.ann, person.ben]
        came_home:` + fmt.Sprintf(counting, "{{ message }} {{ at_home | join('+') }}") + `
        everyone_left:` + fmt.Sprintf(counting, "{{ message }} {{ person }}") + `
  - id: trackers
    alias: Trackers
    use_blueprint:
      path: porchlight/presence.yaml
      input:
        people: [device_tracker.anns_phone, device_tracker.bens_phone]
`
	eachRelease(t, configuration, func(r *rig) {
		t := r.t
		ann, ben := someone(1, "Anns phone"), someone(2, "Bens phone")
		r.are(presence.Home, ann, ben)
		r.is("person.ann", "home")
		r.is("person.ben", "home")
		r.ran(0, "unknown")

		n := 0
		next := func(said string) {
			t.Helper()
			n++
			r.ran(n, said)
		}
		r.are(presence.NotHome, ben)
		r.is("person.ben", "not_home")
		r.are(presence.NotHome, ann)
		next("Ann was the last to leave. person.ann")
		r.are(presence.Home, ben)
		next("Ben came home, the first. Ben")
		r.are(presence.Home, ann)
		next("Ann came home. Ann+Ben")
		r.are(presence.NotHome, ann, ben) // at the same moment: once
		next("Ben was the last to leave. person.ben")
		shown := r.notifications()["porchlight_presence"]
		if want := (notification{"porchlight_presence", "Everyone left", "`Bens phone was the last to leave.`"}); shown != want {
			t.Errorf("the notification is %+v, want %+v", shown, want)
		}

		// Nobody comes or goes because something restarts; after it, who really does is told.
		r.shake("device_tracker.anns_phone", func(what string) {
			t.Log(what)
			r.are(presence.Home, ann)
			next("Ann came home, the first. Ann")
			r.are(presence.NotHome, ann)
			next("Ann was the last to leave. person.ann")
		})
		r.are(presence.Home, ann, ben)
		next("Ann came home, the first. Ann")
		next("Ben came home. Ann+Ben")
		r.shake("device_tracker.anns_phone", func(what string) {
			t.Log(what)
			r.are(presence.NotHome, ben)
			r.is("person.ben", "not_home")
			r.are(presence.Home, ben)
			next("Ben came home. Ann+Ben")
		})

		// Who leaves while nobody looks has not been seen to leave.
		r.puppet.stop()
		r.is("device_tracker.bens_phone", "unavailable")
		r.are(presence.NotHome, ann, ben)
		r.puppet.start()
		r.is("person.ben", "not_home")
		r.is("person.ann", "not_home")
		r.are(presence.Home, ben)
		next("Ben came home, the first. Ben")
	})
}
