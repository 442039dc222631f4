package mqtt

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
)

func TestFirstPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		watch := b.peer(t, "watch", "#")
		r := start(t, Config{Announce: true, Dial: b.dial}, newMemoryLog())
		synctest.Wait() // connected: the states go out at once, the rest in order
		r.Update([]presence.Device{phone(1, presence.Home), phone(2, presence.NotHome)})
		r.SetSummary(household(1))
		settleDown()
		want := []string{
			"instance",
			"devices/001b63000001/state", "devices/001b63000002/state",
			"homeassistant/device/home/bridge/config",
			"homeassistant/device/home/001b63000001/config",
			"homeassistant/device/home/001b63000002/config",
			"devices/001b63000001/attributes",
			"devices/001b63000002/attributes",
			"devices/001b63000001/name",
			"devices/001b63000002/name",
			"devices/001b63000001/last_seen",
			"devices/001b63000002/last_seen",
			"summary",
			"status",
		}
		if diff := cmp.Diff(want, topicsOf(watch.take())); diff != "" {
			t.Error(diff)
		}
		if connected, why := r.Status(); !connected {
			t.Error("not connected:", why)
		}

		// One device comes home: state first, then what describes it.
		d := phone(2, presence.Home)
		r.Update([]presence.Device{d})
		r.SetSummary(household(2))
		r.events.append(presence.Event{Type: presence.Arrived, ID: d.ID, Time: epoch})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		want = []string{"devices/001b63000002/state", "devices/001b63000002/attributes", "event", "summary"}
		if diff := cmp.Diff(want, topicsOf(watch.take())); diff != "" {
			t.Error(diff)
		}
		if r.events.cursor != 1 {
			t.Error("cursor", r.events.cursor)
		}

		// Mere sightings, and a summary that is the same, publish nothing.
		for range 100 {
			d.LastSeen = d.LastSeen.Add(time.Hour)
			d.AwayAfter += time.Second
			r.Update([]presence.Device{d})
			r.SetSummary(household(2))
			time.Sleep(time.Second)
		}
		if got := watch.take(); len(got) > 0 {
			t.Error("published for nothing:", got)
		}
		r.stop()
		synctest.Wait()
		if diff := cmp.Diff([]string{"porchlight/home/status offline"}, watch.take()); diff != "" {
			t.Error(diff)
		}
	})
}

// The time when a device was last seen: as often as it is set, and when it
// leaves, where it is exact.
func TestLastSeen(t *testing.T) {
	for _, c := range []struct {
		name     string
		interval time.Duration
		want     []string
	}{
		{"when it goes", 0, []string{"12:40:30"}},
		{"every 15 minutes", 15 * time.Minute, []string{"12:15:00", "12:30:00", "12:40:30"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newPipeBroker(t)
				r := start(t, Config{Announce: true, Dial: b.dial, LastSeenInterval: c.interval}, newMemoryLog())
				d := phone(1, presence.Home)
				r.Update([]presence.Device{d})
				r.SetSummary(household(1))
				settleDown()
				watch := b.peer(t, "watch", options.AllLastSeen())
				synctest.Wait()
				watch.take()
				for range 40 {
					d.LastSeen = d.LastSeen.Add(time.Minute)
					r.Update([]presence.Device{d})
					time.Sleep(time.Minute)
				}
				d.LastSeen = d.LastSeen.Add(30 * time.Second)
				d.State = presence.NotHome
				r.Update([]presence.Device{d})
				time.Sleep(time.Second)
				var want []string
				for _, at := range c.want {
					want = append(want, options.LastSeen(d.ID)+" 2026-05-01T"+at+"Z")
				}
				if diff := cmp.Diff(want, watch.take()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

const (
	id1 = presence.ID("001b63000001")
	id2 = presence.ID("001b63000002")
	id3 = presence.ID("001b63000003")
)

// three starts a session with three devices and waits until all is published.
func three(t *testing.T, b *pipeBroker) *running {
	r := start(t, Config{Announce: true, Machine: true, Dial: b.dial}, newMemoryLog())
	r.Update([]presence.Device{phone(1, presence.Home), phone(2, presence.NotHome), phone(3, presence.Home)})
	r.SetSummary(household(2))
	r.SetMachine(counted)
	settleDown()
	return r
}

// A device that was never announced: its state goes first, then the discovery,
// then the attributes, and then the event.
func TestNewDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		r := three(t, b)
		watch := b.peer(t, "watch", "#")
		synctest.Wait()
		watch.take()
		r.Update([]presence.Device{phone(4, presence.Home)})
		r.events.append(presence.Event{Type: presence.NewDevice, ID: phone(4, presence.Home).ID, Time: epoch})
		time.Sleep(time.Second)
		synctest.Wait()
		want := []string{
			"devices/001b63000004/state", "homeassistant/device/home/001b63000004/config",
			"devices/001b63000004/attributes", "devices/001b63000004/name", "event",
		}
		got := slices.DeleteFunc(topicsOf(watch.take()), func(topic string) bool { return strings.HasSuffix(topic, "last_seen") })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestUntrackedAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		r := three(t, b)
		watch := b.peer(t, "watch", "porchlight/#", "homeassistant/#")
		synctest.Wait()
		watch.take()
		untracked := phone(1, presence.Home)
		untracked.Tracked = false
		r.Update([]presence.Device{untracked})
		r.Remove([]presence.ID{id2})
		time.Sleep(1900 * time.Millisecond)
		want := []string{"homeassistant/device/home/001b63000001/config ", "homeassistant/device/home/001b63000002/config "}
		if diff := cmp.Diff(want, watch.take()); diff != "" {
			t.Error("at once:", diff)
		}
		time.Sleep(time.Second)
		want = []string{
			"porchlight/home/devices/001b63000001/state ", "porchlight/home/devices/001b63000001/attributes ", "porchlight/home/devices/001b63000001/name ", "porchlight/home/devices/001b63000001/last_seen ",
			"porchlight/home/devices/001b63000002/state ", "porchlight/home/devices/001b63000002/attributes ", "porchlight/home/devices/001b63000002/name ", "porchlight/home/devices/001b63000002/last_seen ",
		}
		if diff := cmp.Diff(want, watch.take()); diff != "" {
			t.Error("2 s later:", diff)
		}
		if got := r.orders.take(); len(got) > 0 {
			t.Error("our own clearing was taken for the user's:", got)
		}

		// Tracked again, and untracked and tracked again before it is cleared.
		r.Update([]presence.Device{phone(1, presence.NotHome)})
		time.Sleep(5 * time.Second)
		r.Update([]presence.Device{untracked})
		time.Sleep(time.Second)
		r.Update([]presence.Device{phone(1, presence.Home)})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		held := b.retained()
		for _, topic := range []string{r.topics.Config(id1), r.topics.State(id1), r.topics.Attributes(id1), r.topics.Name(id1)} {
			if held[topic] == "" {
				t.Error("not retained:", topic)
			}
		}
		if held[r.topics.State(id1)] != "home" {
			t.Error("state", held[r.topics.State(id1)])
		}
		if got := r.orders.take(); len(got) > 0 {
			t.Error("our own clearing was taken for the user's:", got)
		}
	})
}

func TestHomeAssistantBirth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		_ = three(t, b)
		ha := b.peer(t, "ha", "porchlight/#", "homeassistant/device/#")
		synctest.Wait()
		first := topicsOf(ha.take())
		ha.say(t, "homeassistant/status", false, "offline")
		ha.say(t, "homeassistant/status", false, "online")
		ha.say(t, "homeassistant/status", false, "online")
		time.Sleep(999 * time.Millisecond)
		if got := ha.take(); len(got) > 0 {
			t.Error("before a second:", got)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		again := topicsOf(ha.take())
		if len(again) != len(first) || again[0] != "homeassistant/device/home/bridge/config" || again[len(again)-1] != "status" {
			t.Errorf("after the birth: %q\nwant what was retained, discovery first and status last: %q", again, first)
		}
	})
}

func TestDeletedInHomeAssistant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		r := three(t, b)
		ha := b.peer(t, "ha", r.topics.AllConfigs())
		synctest.Wait()
		ha.take()
		for range 5 { // as often as the device has entities
			ha.say(t, r.topics.Config(id1), true, "")
		}
		// The engine has not heard of it yet, and the device moves.
		time.Sleep(time.Millisecond)
		r.Update([]presence.Device{phone(1, presence.NotHome)})
		settleDown()
		if diff := cmp.Diff([]string{"set 001b63000001 track=false"}, r.orders.take()); diff != "" {
			t.Error(diff)
		}
		if got := ha.take(); len(got) != 5 {
			t.Errorf("on the discovery topics, of which 5 by Home Assistant: %q", got)
		}
		ha.say(t, "homeassistant/status", false, "online")
		settleDown()
		wantNothing(t, b, id1)

		// The engine answers; later the user wants it back.
		gone := phone(1, presence.NotHome)
		gone.Tracked = false
		r.Update([]presence.Device{gone})
		settleDown()
		wantNothing(t, b, id1)
		r.Update([]presence.Device{phone(1, presence.Home)})
		settleDown()
		if got := b.retained()[r.topics.State(id1)]; got != "home" {
			t.Error("tracked again, state:", got)
		}
		if got := r.orders.take(); len(got) > 0 {
			t.Error(got)
		}
	})
}

// A discovery message that was on its way when the user deleted the device does
// not bring it back.
func TestDeletedWhileAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		r := three(t, b)
		ha := b.peer(t, "ha")
		ha.say(t, r.topics.Config(id1), true, "")
		ha.say(t, r.topics.Config(id1), true, `{"late": "ours"}`)
		settleDown()
		wantNothing(t, b, id1)
	})
}

// wantNothing checks that the broker holds nothing of a device.
func wantNothing(t *testing.T, b *pipeBroker, id presence.ID) {
	t.Helper()
	held := b.retained()
	for _, topic := range []string{
		options.Config(id), options.Topics.State(id), options.Topics.Attributes(id), options.Name(id), options.Topics.LastSeen(id),
	} {
		if held[topic] != "" {
			t.Errorf("still retained: %s %s", topic, held[topic])
		}
	}
}

// What a user deleted while we were away is not resurrected; what a broker has
// forgotten altogether is published again.
func TestDeletedWhileAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		three(t, b).stop()
		ha := b.peer(t, "ha")
		ha.say(t, options.Config(id1), true, "")
		synctest.Wait()
		r := three(t, b)
		if diff := cmp.Diff([]string{"set 001b63000001 track=false"}, r.orders.take()); diff != "" {
			t.Error(diff)
		}
		wantNothing(t, b, id1)
		r.stop()

		for topic := range b.retained() {
			ha.say(t, topic, true, "")
		}
		synctest.Wait()
		r = three(t, b)
		if got := r.orders.take(); len(got) > 0 {
			t.Error("a wiped broker was taken for the user's deletions:", got)
		}
		if got := b.retained()[options.Config(id1)]; got == "" {
			t.Error("not announced on a wiped broker")
		}
	})
}

func TestLeftOvers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		three(t, b).stop()
		other := b.peer(t, "other")
		other.say(t, "homeassistant/device/home/aabbccddeeff/config", true, `{"origin":{"name":"somebody else"}}`)
		other.say(t, "homeassistant/device/home/lamp/config", true, `{"origin":{"name":"somebody else"}}`)
		other.say(t, options.Topics.Attributes("0123456789ab"), true, "{}")
		other.say(t, options.Name("0123456789ac"), true, "An old phone")
		synctest.Wait()
		r := start(t, Config{Announce: true, Dial: b.dial}, newMemoryLog())
		r.Update([]presence.Device{phone(1, presence.Home)})
		r.SetSummary(household(1))
		settleDown()
		settleDown()
		wantNothing(t, b, id2)
		wantNothing(t, b, id3)
		wantNothing(t, b, "0123456789ab")
		wantNothing(t, b, "0123456789ac")
		held := b.retained()
		for _, topic := range []string{options.Config(id1), "homeassistant/device/home/aabbccddeeff/config", "homeassistant/device/home/lamp/config"} {
			if held[topic] == "" {
				t.Error("cleared:", topic)
			}
		}
		r.stop()

		// Discovery switched off: its messages go, the states stay.
		r = start(t, Config{Dial: b.dial}, newMemoryLog())
		r.Update([]presence.Device{phone(1, presence.Home)})
		r.SetSummary(household(1))
		settleDown()
		held = b.retained()
		if held[options.Config(id1)] != "" || held[options.BridgeConfig()] != "" {
			t.Error("discovery is off, but its messages are retained")
		}
		if held[options.Topics.State(id1)] != "home" {
			t.Error("state:", held[options.Topics.State(id1)])
		}
	})
}

// Nothing is cleared before the bridge has said what should be.
func TestWaitsForTheBridge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		three(t, b).stop()
		before := b.retained()
		delete(before, options.Status())
		r := start(t, Config{Announce: true, Dial: b.dial}, newMemoryLog())
		time.Sleep(time.Minute)
		after := b.retained()
		if after[options.Status()] != "offline" {
			t.Error("online without states")
		}
		delete(after, options.Status())
		if diff := cmp.Diff(before, after); diff != "" {
			t.Error(diff)
		}
		_ = r
	})
}

func TestCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		user := b.peer(t, "user")
		user.say(t, options.Scan(), true, "now")
		user.say(t, options.Set(id1), true, `{"track":false}`)
		synctest.Wait() // the broker acknowledges before it stores
		r := three(t, b)
		if got := r.orders.take(); len(got) > 0 {
			t.Error("retained commands were obeyed:", got)
		}
		for _, payload := range []string{
			`{"name":" Anna's\u0007phone ","track":true,"groups":["parents","parents"],"away_after":"10m"}`,
			`{"away_after":90}`, `{"away_after":null,"colour":"red"}`, `{"name":null}`,
			`{"kind":"phone","icon":"mdi:car","important":true,"ignore_arp_replies":true,"nudge":true,"notes":"a\nb"}`,
			`{"kind":null,"icon":null,"important":null,"ignore_arp_replies":null,"nudge":null,"notes":null,"track":null,"groups":null}`,
			`{"follow":true}`, `{"follow":{"host_name":"Annas-iPhone"}}`, `{"follow":null}`,
			`{"merge":"02:00:5e:10:00:01"}`, `{"merge":["02005e100001","02005e100002"]}`, `{"split":"02005e100001"}`,
			`{"merge":"02005e100001","name":"x"}`, `{"merge":"me"}`, `{"split":[]}`, `{"merge":null}`,
			`rubbish`, `rubbish again`, `{"track":"yes"}`,
		} {
			user.say(t, options.Set(id1), false, payload)
			synctest.Wait()
		}
		user.say(t, options.Scan(), false, "")
		user.say(t, "porchlight/home/devices/00:1B:63:00:00:01/set", false, `{"track":true}`)
		synctest.Wait()
		if !strings.Contains(r.log.String(), "twelve lower-case hex digits") {
			t.Error("nothing is said of a topic that is none")
		}
		want := []string{
			`set 001b63000001 name="Anna's phone" track=true groups=["parents"] away_after=10m0s`,
			`set 001b63000001 away_after=1m30s`, `set 001b63000001 away_after=0s`, `set 001b63000001 name=""`,
			`set 001b63000001 kind="phone" icon="mdi:car" important=true ignore_arp_replies=true nudge=true notes="a b"`,
			`set 001b63000001 kind="" icon="" track=by policy important=false ignore_arp_replies=false nudge=by kind notes="" groups=[]`,
			`set 001b63000001 follow={Same:true HostName: ClientID: Fingerprint:}`,
			`set 001b63000001 follow={Same:false HostName:Annas-iPhone ClientID: Fingerprint:}`,
			`set 001b63000001 follow={Same:false HostName: ClientID: Fingerprint:}`,
			`merge 001b63000001 [02005e100001]`, `merge 001b63000001 [02005e100001 02005e100002]`, `split 001b63000001 [02:00:5e:10:00:01]`,
			"scan",
		}
		if diff := cmp.Diff(want, r.orders.take()); diff != "" {
			t.Error(diff)
		}
	})
}

// The last of two orders wins: they are carried out as they came.
func TestCommandsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		r := three(t, b)
		user := b.peer(t, "user")
		var want []string
		for n := range maxInbox / 2 {
			user.Publish(options.Set(id1), 0, false, fmt.Sprintf(`{"away_after":%d}`, 60+n))
			want = append(want, fmt.Sprintf("set 001b63000001 away_after=%v", time.Duration(60+n)*time.Second))
		}
		synctest.Wait()
		if diff := cmp.Diff(want, r.orders.take()); diff != "" {
			t.Error(diff)
		}
	})
}

// TestMerged: the topics and the entity of a device that is part of another one
// go; those of the other stay, and list both MACs. Split, both are there.
func TestMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		r := three(t, b)
		whole, part := phone(1, presence.Home), phone(2, presence.Home)
		whole.MACs = []presence.MAC{whole.MAC, part.MAC}
		r.Remove([]presence.ID{part.ID})
		r.Update([]presence.Device{whole})
		time.Sleep(5 * time.Second)
		held := b.retained()
		for topic := range held {
			if strings.Contains(topic, string(part.ID)) {
				t.Error("still there:", topic)
			}
		}
		macs := whole.MAC.String() + `","` + part.MAC.String()
		if a := held[r.topics.Attributes(id1)]; !strings.Contains(a, `"macs":["`+macs+`"]`) {
			t.Error(a)
		}
		if c := held[r.topics.Config(id1)]; strings.Count(c, `["mac",`) != 2 || !strings.Contains(c, `"unique_id":"porchlight_home_001b63000001_tracker"`) {
			t.Error(c)
		}
		whole.MACs = nil
		r.Update([]presence.Device{whole, part})
		time.Sleep(5 * time.Second)
		held = b.retained()
		if held[r.topics.Config(part.ID)] == "" || held[r.topics.State(part.ID)] != "home" || strings.Contains(held[r.topics.Attributes(id1)], "macs") {
			t.Error("split again:", held)
		}
		if got := r.orders.take(); len(got) > 0 {
			t.Error("our own clearing was taken for the user's:", got)
		}
	})
}

// A name that changes twice within a moment is announced at once and, the last
// one, 2 s later.
func TestDiscoveryIsSpaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		r := three(t, b)
		watch := b.peer(t, "watch", options.AllConfigs())
		synctest.Wait()
		watch.take()
		for _, name := range []string{"a", "b", "c"} {
			d := phone(1, presence.Home)
			d.Name = name
			r.Update([]presence.Device{d})
			time.Sleep(500 * time.Millisecond)
		}
		if got := watch.take(); len(got) != 1 {
			t.Errorf("within 2 s: %d messages, want 1", len(got))
		}
		time.Sleep(time.Second)
		got := watch.take()
		if len(got) != 1 || !strings.Contains(got[0], `"name":"c"`) {
			t.Errorf("after 2 s: %q, want the name c", got)
		}
	})
}

// The plain name follows each change of it, and nothing else.
func TestName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		r := three(t, b)
		watch := b.peer(t, "watch", options.AllNames())
		synctest.Wait()
		name := options.Name(id1) + " "
		if diff := cmp.Diff(name+"phone-1", slices.Sorted(slices.Values(watch.take()))[0]); diff != "" {
			t.Error("retained:", diff)
		}
		d := phone(1, presence.NotHome)
		r.Update([]presence.Device{d})
		for _, d.Name = range []string{"Ann's phone", ""} {
			r.Update([]presence.Device{d})
			settleDown()
		}
		if diff := cmp.Diff([]string{name + "Ann's phone", name + "phone-1"}, watch.take()); diff != "" {
			t.Error(diff)
		}
	})
}

// An interface that is gone from the summary is removed in two steps, also when
// it went while we were not running.
func TestInterfaceGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		r := start(t, Config{Announce: true, Dial: b.dial}, newMemoryLog())
		r.Update(nil)
		sum := household(0)
		sum.Sensing = append(sum.Sensing, presence.Sensing{Interface: "wlan0"})
		r.SetSummary(sum)
		settleDown()
		r.stop()
		r = start(t, Config{Announce: true, Dial: b.dial}, newMemoryLog())
		watch := b.peer(t, "watch", options.BridgeConfig())
		synctest.Wait()
		watch.take()
		r.Update(nil)
		r.SetSummary(household(0))
		settleDown()
		got := watch.take()
		if len(got) != 2 || !strings.Contains(got[0], `"sensing_wlan0":{"platform":"binary_sensor"}`) || strings.Contains(got[1], "wlan0") {
			t.Errorf("got %q, want wlan0 first removed, then left out", got)
		}
	})
}

// A broker that lost more than a person deletes gets it all again.
func TestBrokerLostMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		var devices []presence.Device
		for n := range maxMissing + 2 {
			devices = append(devices, phone(n, presence.Home))
		}
		run := func() *running {
			r := start(t, Config{Announce: true, Dial: b.dial}, newMemoryLog())
			r.Update(devices)
			r.SetSummary(household(1))
			settleDown()
			return r
		}
		run().stop()
		other := b.peer(t, "other")
		for _, d := range devices {
			other.say(t, options.Config(d.ID), true, "")
		}
		synctest.Wait()
		r := run()
		if got := r.orders.take(); len(got) > 0 {
			t.Error("taken for the user's deletions:", got)
		}
		for _, d := range devices {
			if b.retained()[options.Config(d.ID)] == "" {
				t.Fatal("not announced again:", d.ID)
			}
		}
	})
}

// While there is no broker everything is kept; afterwards the broker holds the
// truth and every event arrives.
func TestBrokerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		r := three(t, b)
		b.setDown(true)
		time.Sleep(time.Minute)
		if connected, why := r.Status(); connected || why == "" {
			t.Error("still connected, or no reason:", why)
		}
		for n := range 200 {
			state := presence.Home
			if n%3 == 0 {
				state = presence.NotHome
			}
			r.Update([]presence.Device{phone(n, state)})
			r.events.append(presence.Event{Type: presence.Arrived, ID: phone(n, state).ID, Time: epoch})
		}
		r.Remove([]presence.ID{id2})
		time.Sleep(time.Hour)
		b.setDown(false)
		watch := b.peer(t, "watch", options.Topics.Event())
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		held := b.retained()
		for n := range 200 {
			want := "home"
			if n%3 == 0 {
				want = "not_home"
			}
			if id := phone(n, "").ID; id != id2 && held[options.Topics.State(id)] != want {
				t.Errorf("%s is %q, want %q", id, held[options.Topics.State(id)], want)
			}
		}
		wantNothing(t, b, id2)
		if got := len(watch.take()); got != 200 {
			t.Errorf("%d events, want 200", got)
		}
		if lines := strings.Count(r.log.String(), "no connection"); lines > 4 {
			t.Errorf("%d log lines about an hour without a broker:\n%s", lines, r.log)
		}
	})
}

// A broker that has stopped reading is noticed, does not hold up Update, and
// does not hold up the end.
func TestBrokerStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		r := three(t, b)
		stall := func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			for _, c := range b.conns {
				c.stall()
			}
		}
		stall()
		began := time.Now()
		for n := range 100 {
			r.Update([]presence.Device{phone(n, presence.NotHome)})
		}
		if d := time.Since(began); d > 0 {
			t.Error("Update waited", d)
		}
		time.Sleep(45 * time.Second)
		synctest.Wait()
		if got := b.retained()[options.Topics.State(id1)]; got != "not_home" {
			t.Errorf("45 s later it is %q: not connected anew:\n%s", got, r.log)
		}
		stall()
		r.Update([]presence.Device{phone(1, presence.Home)})
		synctest.Wait()
		began = time.Now()
		r.stop()
		if d := time.Since(began); d > 2600*time.Millisecond {
			t.Error("Run took", d, "to end")
		}
	})
}
