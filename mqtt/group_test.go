package mqtt

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
)

func kids(state presence.State) presence.Group {
	return presence.Group{Slug: "kids", Name: "Kids", State: state}
}

func parents(state presence.State) presence.Group {
	return presence.Group{Slug: "parents", Name: "Parents", State: state}
}

// grouped starts a session with a device and these groups.
func grouped(t *testing.T, b *pipeBroker, groups ...presence.Group) *running {
	r := start(t, Config{Announce: true, Dial: b.dial}, newMemoryLog())
	r.SetGroups(groups)
	r.Update([]presence.Device{phone(1, presence.Home)})
	r.SetSummary(household(1))
	settleDown()
	return r
}

// Groups are announced after the bridge and before "online"; a state that
// changes goes out between the device's and the event; one that is the same
// goes out never again.
func TestGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		watch := b.peer(t, "watch", "#")
		r := grouped(t, b, kids(presence.Home), parents(presence.NotHome))
		got := topicsOf(watch.take())
		want := []string{
			"homeassistant/device/home/group_kids/config", "groups/kids/state",
			"homeassistant/device/home/group_parents/config", "groups/parents/state",
			"summary", "status",
		}
		if diff := cmp.Diff(want, got[len(got)-len(want):]); diff != "" {
			t.Error(diff)
		}
		if held := b.retained(); held[options.GroupState("kids")] != "home" || held[options.GroupState("parents")] != "not_home" {
			t.Errorf("retained: %q", held)
		}

		d := phone(1, presence.NotHome)
		b.together(func() {
			r.Update([]presence.Device{d})
			r.SetGroups([]presence.Group{kids(presence.NotHome), parents(presence.NotHome)})
			r.events.append(presence.Event{Type: presence.Left, ID: d.ID, Time: epoch})
		})
		time.Sleep(time.Second)
		synctest.Wait()
		want = []string{"devices/001b63000001/state", "groups/kids/state", "devices/001b63000001/attributes", "event"}
		got = slices.DeleteFunc(topicsOf(watch.take()), func(topic string) bool { return strings.HasSuffix(topic, "last_seen") })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		r.SetGroups([]presence.Group{kids(presence.NotHome), parents(presence.NotHome)})
		time.Sleep(time.Minute)
		if got := watch.take(); len(got) > 0 {
			t.Error("published for nothing:", got)
		}

		// Another name, twice in a moment: the last one counts, 2 s later.
		for _, name := range []string{"KIDS", "Kids!"} {
			r.SetGroups([]presence.Group{{Slug: "kids", Name: name, State: presence.NotHome}, parents(presence.NotHome)})
			synctest.Wait()
		}
		if got := watch.take(); len(got) != 1 || !strings.Contains(got[0], `"name":"KIDS"`) {
			t.Error("at once:", got)
		}
		time.Sleep(3 * time.Second)
		if got := watch.take(); len(got) != 1 || !strings.Contains(got[0], `"name":"Kids!"`) {
			t.Error("2 s later:", got)
		}

		// A new connection: all of it again, as it is then.
		b.cut()
		r.SetGroups([]presence.Group{kids(presence.Home)})
		settleDown()
		held := b.retained()
		if held[options.GroupState("kids")] != "home" || !strings.Contains(held[options.GroupConfig("kids")], `"name":"Kids"`) {
			t.Errorf("retained: %q", held)
		}
		wantNoGroup(t, b, "parents") // a left-over
	})
}

func wantNoGroup(t *testing.T, b *pipeBroker, slug string) {
	t.Helper()
	for _, topic := range []string{options.GroupState(slug), options.GroupConfig(slug)} {
		if got := b.retained()[topic]; got != "" {
			t.Errorf("%s is still %q", topic, got)
		}
	}
}

// A group without members is cleared, its discovery 2 s before its state, and
// can come back meanwhile.
func TestGroupGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		r := grouped(t, b, kids(presence.Home), parents(presence.Home))
		watch := b.peer(t, "watch", "porchlight/#", "homeassistant/#")
		synctest.Wait()
		watch.take()
		r.SetGroups([]presence.Group{parents(presence.Home)})
		time.Sleep(1900 * time.Millisecond)
		if diff := cmp.Diff([]string{options.GroupConfig("kids") + " "}, watch.take()); diff != "" {
			t.Error("at once:", diff)
		}
		time.Sleep(time.Second)
		if diff := cmp.Diff([]string{options.GroupState("kids") + " "}, watch.take()); diff != "" {
			t.Error("2 s later:", diff)
		}
		r.SetGroups(nil)
		time.Sleep(time.Second)
		r.SetGroups([]presence.Group{parents(presence.NotHome)})
		settleDown()
		held := b.retained()
		if held[options.GroupState("parents")] != "not_home" || held[options.GroupConfig("parents")] == "" {
			t.Errorf("back again: %q", held)
		}
		if strings.Contains(r.log.String(), "deleted in Home Assistant") {
			t.Error("our own clearing was taken for the user's")
		}
	})
}

// A group that the user deletes in Home Assistant stays deleted there, also
// after Home Assistant's and our restart, until it is made anew. Its state goes on.
func TestGroupDeletedInHomeAssistant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		r := grouped(t, b, kids(presence.Home))
		ha := b.peer(t, "ha")
		ha.say(t, options.GroupConfig("kids"), true, "")
		synctest.Wait()
		ha.say(t, "homeassistant/status", false, "online")
		settleDown()
		r.stop()
		r = grouped(t, b, kids(presence.NotHome))
		held := b.retained()
		if held[options.GroupConfig("kids")] != "" || held[options.GroupState("kids")] != "not_home" {
			t.Errorf("after a restart: %q", held)
		}
		if n := strings.Count(r.log.String(), "a group was deleted in Home Assistant"); n != 1 {
			t.Errorf("said %d times:\n%s", n, r.log)
		}
		watch := b.peer(t, "watch", "homeassistant/#")
		synctest.Wait()
		watch.take()
		r.SetGroups(nil)
		settleDown()
		if got := watch.take(); len(got) > 0 {
			t.Error("cleared once more, of which Home Assistant warns:", got)
		}
		r.SetGroups([]presence.Group{kids(presence.Home)})
		settleDown()
		held = b.retained()
		if held[options.GroupConfig("kids")] == "" || held[options.GroupState("kids")] != "home" {
			t.Errorf("made anew: %q", held)
		}
	})
}

// Home Assistant starts: groups are announced again. Discovery is switched off:
// it goes, the states stay. What others wrote there goes, too.
func TestGroupDiscovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		r := grouped(t, b, kids(presence.Home))
		watch := b.peer(t, "watch", "homeassistant/#")
		synctest.Wait()
		watch.take()
		watch.say(t, "homeassistant/status", false, "online")
		settleDown()
		if got := strings.Join(watch.take(), "\n"); !strings.Contains(got, options.GroupConfig("kids")+" {") {
			t.Errorf("after Home Assistant's start:\n%s", got)
		}
		r.stop()
		watch.say(t, options.GroupState("rubbish"), true, "x")
		watch.say(t, options.GroupConfig("foreign"), true, `{"origin":{"name":"somebody else"}}`)
		synctest.Wait()

		r = start(t, Config{Dial: b.dial}, newMemoryLog())
		r.SetGroups([]presence.Group{kids(presence.Home)})
		r.Update([]presence.Device{phone(1, presence.Home)})
		r.SetSummary(household(1))
		settleDown()
		held := b.retained()
		if held[options.GroupConfig("kids")] != "" || held[options.GroupState("kids")] != "home" || held[options.GroupConfig("foreign")] == "" {
			t.Errorf("without discovery: %q", held)
		}
		wantNoGroup(t, b, "rubbish")
	})
}

// The most groups that there can be, at once and anew.
func TestManyGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		var all []presence.Group
		for i := range presence.MaxGroups {
			name := "Group " + strings.Repeat("x", i%40) + string(rune('a'+i/40))
			all = append(all, presence.Group{Slug: presence.GroupSlug(name), Name: name, State: presence.Home})
		}
		r := grouped(t, b, slices.Clone(all)...)
		b.setDown(true)
		for i := range all {
			all[i].State = presence.NotHome
		}
		r.SetGroups(slices.Clone(all))
		b.setDown(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		held := b.retained()
		for _, g := range all {
			if held[options.GroupState(g.Slug)] != "not_home" || held[options.GroupConfig(g.Slug)] == "" {
				t.Fatalf("%s: %q", g.Slug, held[options.GroupState(g.Slug)])
			}
		}
	})
}
