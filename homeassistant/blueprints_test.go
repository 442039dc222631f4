package homeassistant

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
)

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
// expects what it said at last. More often is an error at once.
func (r *rig) ran(n int, said string) {
	r.t.Helper()
	r.until("for the automation to run", func() error {
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
	if diff := cmp.Diff(said, r.said()); diff != "" {
		r.t.Errorf("it said (-want +got):\n%s", diff)
	}
}

func (r *rig) said() string {
	s, err := r.ha.State(r.ctx, "input_text.said")
	r.must(err)
	return s.State
}

type notification struct {
	ID      string `json:"notification_id"`
	Title   string
	Message string
}

// notified waits until Home Assistant shows these notifications, by id, and no
// others of ours, and takes them away.
func (r *rig) notified(want ...notification) {
	r.t.Helper()
	r.until("to show the notifications", func() error {
		var all []notification
		if err := r.ha.Command(r.ctx, "persistent_notification/get", nil, &all); err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(n notification) bool { return !strings.HasPrefix(n.ID, "porchlight") })
		slices.SortFunc(all, func(x, y notification) int { return strings.Compare(x.ID, y.ID) })
		if diff := cmp.Diff(want, all); diff != "" {
			return errors.New("(-want +got):\n" + diff)
		}
		return nil
	})
	r.must(r.ha.Action(r.ctx, "persistent_notification.dismiss_all", nil))
}

const bridgeEvent = "event.porchlight_home_event"

var newDeviceConfiguration = counters + `
automation:
  - id: told
    alias: Told
    use_blueprint:
      path: porchlight/new_device.yaml
      input: {event_entity: ` + bridgeEvent + `}
  - id: counted
    alias: Counted
    use_blueprint:
      path: porchlight/new_device.yaml
      input:
        event_entity: ` + bridgeEvent + `
        private_macs: false
        actions:` + fmt.Sprintf(counting, "{{ message }}") + `
  - id: ports
    alias: Ports
    use_blueprint:
      path: porchlight/machine.yaml
      input: {event_entity: event.porchlight_home_machine_event}
`

func newDeviceBlueprint(r *rig) {
	p := newPuppet(r.t, r.host, r.broker, "home")
	p.are(presence.Home, someone(1, "Ann"))
	r.is("device_tracker.ann", "home")

	// Whatever a stranger calls itself, and however fast strangers come.
	hostile := "![x](http://x/`x`)<img src=x onerror=alert(1)> {{ states }} \"'🙈"
	phone := someone(3, "Pixel-8")
	phone.MAC[0] |= 2
	phone.ID, phone.Vendor = phone.MAC.ID(), ""
	p.appear(someone(2, hostile), phone, someone(4, "007"))
	r.ran(2, "New on the network: 007, 10.77.0.4, Xensource, Inc., 00:16:3e:00:00:04")
	var want []notification
	for _, one := range []struct{ mac, message string }{
		{"00:16:3e:00:00:02", "`" + strings.ReplaceAll(hostile, "`", "'") + "` at 10.77.0.2, Xensource, Inc. (00:16:3e:00:00:02)."},
		{"00:16:3e:00:00:04", "`007` at 10.77.0.4, Xensource, Inc. (00:16:3e:00:00:04)."},
		{"02:16:3e:00:00:03", "`Pixel-8` at 10.77.0.3, with a private MAC address (02:16:3e:00:00:03)."},
	} {
		want = append(want, notification{"porchlight_new_" + one.mac, "New device on the network", one.message})
	}
	r.notified(want...)

	// A day's guests, for those who want to hear of private MACs.
	p.store.Append([]presence.Event{{
		Type: presence.NewGuests, Time: time.Now(), Why: "2 new guests in 24 h 00 min",
		Devices: []presence.Found{{ID: "021600000001", Name: hostile}, {ID: "021600000002", Name: "007"}},
	}})
	r.notified(notification{
		"porchlight_new_guests", "New guests on the network",
		"2 new guests in 24 h 00 min: `" + strings.ReplaceAll(hostile, "`", "'") + ", 007`.",
	})

	// Nothing is new after a restart, or when the entity gets another name,
	// although a new device was the last news.
	n := byte(5)
	news := func() {
		r.t.Helper()
		d := someone(n, "Thing "+strconv.Itoa(int(n)))
		p.devices[d.ID] = d
		p.tell([]presence.Device{d})
		p.store.Append([]presence.Event{about(presence.NewDevice, d)})
		place := fmt.Sprintf("10.77.0.%d", n)
		r.ran(int(n)-2, fmt.Sprintf("New on the network: %s, %s, Xensource, Inc., %s", d.HostName, place, d.MAC))
		r.notified(notification{
			"porchlight_new_" + d.MAC.String(), "New device on the network",
			fmt.Sprintf("`%s` at %s, Xensource, Inc. (%s).", d.HostName, place, d.MAC),
		})
		n++
	}
	news()
	r.must(r.ha.UpdateEntity(r.ctx, bridgeEvent, map[string]any{"name": "News"})) // its attributes change
	news()
	r.shake(p, "device_tracker.ann", news)
	machineBlueprint(r, p)
}

// machineBlueprint: what is new on the machine is told once, and not again when
// Porchlight restarts.
func machineBlueprint(r *rig, p *puppet) {
	again := func() {
		p.stop()
		r.is("device_tracker.ann", "unavailable")
		p.start()
		r.is("device_tracker.ann", "home")
	}
	p.config.Machine = true
	again()
	r.is("event.porchlight_home_machine_event", "unknown")
	tell := func(kind presence.EventType, program string, port uint16) {
		p.store.Append([]presence.Event{{
			Type: kind, Time: time.Now(), Why: program + " listens on it; it did not 30 s ago",
			Socket: &presence.Socket{Program: program, User: "ann", Protocol: "tcp", Port: port},
		}})
	}
	tell(presence.ListenerClosed, "sshd", 22) // nobody wants to hear of it
	tell(presence.ListenerOpened, "![x](http://x/`x`) {{ states }}", 8443)
	tell(presence.NewProgramOnline, "007", 443)
	r.notified(
		notification{"porchlight_listener_opened_tcp_8443", "A port was opened", "`![x](http://x/'x') {{ states }} listens on it; it did not 30 s ago`"},
		notification{"porchlight_new_program_online_tcp_443", "A new program is online", "`007 listens on it; it did not 30 s ago`"},
	)
	again()
	tell(presence.ListenerOpened, "nginx", 80)
	r.notified(notification{"porchlight_listener_opened_tcp_80", "A port was opened", "`nginx listens on it; it did not 30 s ago`"})
}

var presenceConfiguration = counters + `
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

func presenceBlueprint(r *rig) {
	p := newPuppet(r.t, r.host, r.broker, "home")
	ann, ben := someone(1, "Anns phone"), someone(2, "Bens phone")
	p.are(presence.Home, ann, ben)
	r.is("person.ann", "home")
	r.is("person.ben", "home")
	r.ran(0, "unknown")

	n := 0
	next := func(said string) {
		r.t.Helper()
		n++
		r.ran(n, said)
	}
	p.are(presence.NotHome, ben)
	r.is("person.ben", "not_home")
	p.are(presence.NotHome, ann)
	next("Ann was the last to leave. person.ann")
	p.are(presence.Home, ben)
	next("Ben came home, the first. Ben")
	p.are(presence.Home, ann)
	next("Ann came home. Ann+Ben")
	p.are(presence.NotHome, ann, ben) // at the same moment: once
	next("Ben was the last to leave. person.ben")
	r.notified(notification{"porchlight_presence", "Everyone left", "`Bens phone was the last to leave.`"})

	// Nobody comes or goes because something restarts; after it, who really does is told.
	p.are(presence.Home, ann)
	next("Ann came home, the first. Ann")
	r.shake(p, "device_tracker.anns_phone", func() {
		p.are(presence.Home, ben)
		next("Ben came home. Ann+Ben")
		p.are(presence.NotHome, ben)
		r.is("person.ben", "not_home")
	})

	// Who leaves while nobody looks has not been seen to leave.
	p.stop()
	r.is("device_tracker.bens_phone", "unavailable")
	p.are(presence.NotHome, ann, ben)
	p.start()
	r.is("person.ben", "not_home")
	r.is("person.ann", "not_home")
	p.are(presence.Home, ben)
	next("Ben came home, the first. Ben")
}
