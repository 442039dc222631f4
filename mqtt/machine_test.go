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

var counted = presence.Machine{Established: 12, Listening: 9, Programs: 14}

const countedJSON = `{"established":12,"listening":9,"programs":14}`

// watched starts a session that looks at this machine's connections, unless cfg
// says that it is not to.
func watched(t *testing.T, b *pipeBroker, cfg Config) *running {
	cfg.Dial = b.dial
	r := start(t, cfg, newMemoryLog())
	r.SetMachine(counted)
	r.Update([]presence.Device{phone(1, presence.Home)})
	r.SetSummary(household(1))
	settleDown()
	return r
}

// This machine is announced right after the bridge, which it names, and its
// numbers are published before "online"; then each time that one changes.
func TestMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		watch := b.peer(t, "watch", "#")
		r := watched(t, b, Config{Announce: true, Machine: true, Host: "nas"})
		all := watch.take()
		got := slices.DeleteFunc(topicsOf(all), func(topic string) bool { return strings.HasPrefix(topic, "devices/") || topic == "instance" })
		want := []string{
			"homeassistant/device/home/bridge/config", "homeassistant/device/home/machine/config",
			"homeassistant/device/home/001b63000001/config", "machine", "summary", "status",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		held := b.retained()
		if held[options.Topics.Machine()] != countedJSON || !strings.Contains(held[options.MachineConfig()], `"name":"nas (Porchlight)"`) {
			t.Errorf("retained: %q", held)
		}

		r.SetMachine(counted)
		time.Sleep(time.Minute)
		if got := watch.take(); len(got) > 0 {
			t.Error("published for nothing:", got)
		}
		more := counted
		more.Listening++
		r.SetMachine(more)
		r.SetMachine(more)
		synctest.Wait()
		changed := []string{options.Topics.Machine() + ` {"established":12,"listening":10,"programs":14}`}
		if diff := cmp.Diff(changed, watch.take()); diff != "" {
			t.Error(diff)
		}

		watch.say(t, "homeassistant/status", false, "online")
		settleDown()
		again := strings.Join(watch.take(), "\n")
		if !strings.Contains(again, options.MachineConfig()+" {") || !strings.Contains(again, changed[0]) {
			t.Errorf("after Home Assistant's start:\n%s", again)
		}

		b.setDown(true)
		r.SetMachine(counted)
		b.setDown(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := b.retained()[options.Topics.Machine()]; got != countedJSON {
			t.Error("after a lost connection:", got)
		}
	})
}

// Before the first look there is the device and no numbers.
func TestMachineNotLookedAtYet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		r := start(t, Config{Announce: true, Machine: true, Dial: b.dial}, newMemoryLog())
		r.Update(nil)
		r.SetSummary(household(0))
		settleDown()
		held := b.retained()
		if _, ok := held[options.Topics.Machine()]; ok || held[options.MachineConfig()] == "" {
			t.Errorf("retained: %q", held)
		}
	})
}

// What an earlier run announced goes when the connections are looked at no more:
// its discovery 2 s before its numbers, so that no entity reads what is empty.
// Without discovery only that goes.
func TestMachineGone(t *testing.T) {
	for name, c := range map[string]struct {
		now  Config
		want []string
	}{
		"not looked at":      {Config{Announce: true}, []string{"homeassistant/device/home/machine/config ", "machine "}},
		"nor announced":      {Config{}, []string{"homeassistant/device/home/machine/config ", "machine "}},
		"not announced":      {Config{Machine: true}, []string{"homeassistant/device/home/machine/config "}},
		"all as it was then": {Config{Announce: true, Machine: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newPipeBroker(t)
				watched(t, b, Config{Announce: true, Machine: true}).stop()
				watch := b.peer(t, "watch", options.Topics.Machine(), options.MachineConfig())
				synctest.Wait()
				watch.take()

				r := watched(t, b, c.now)
				var got []string
				for _, m := range watch.take() {
					if strings.HasSuffix(m, " ") {
						got = append(got, strings.TrimPrefix(m, "porchlight/home/"))
					}
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Error(diff)
				}
				if held := b.retained()[options.Topics.Machine()]; (held == countedJSON) != c.now.Machine {
					t.Errorf("the numbers: %q", held)
				}
				if strings.Contains(r.log.String(), "deleted in Home Assistant") {
					t.Error("our own clearing was taken for the user's")
				}
			})
		})
	}
}

// The clearing of the numbers waits for Home Assistant to have taken the device
// away.
func TestMachineGoneInTwoSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		watched(t, b, Config{Announce: true, Machine: true}).stop()
		r := start(t, Config{Announce: true, Dial: b.dial}, newMemoryLog())
		r.Update(nil)
		r.SetSummary(household(0))
		time.Sleep(leftoversWait + settle/2)
		synctest.Wait()
		if held := b.retained(); held[options.MachineConfig()] != "" || held[options.Topics.Machine()] == "" {
			t.Errorf("at first: %q", held)
		}
		time.Sleep(settle)
		synctest.Wait()
		if _, ok := b.retained()[options.Topics.Machine()]; ok {
			t.Error("the numbers are still there")
		}
	})
}

// A device that the user deletes in Home Assistant stays deleted there, also
// after Home Assistant's and our restart, until it was switched off once. Its
// numbers go on.
func TestMachineDeletedInHomeAssistant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		on := Config{Announce: true, Machine: true}
		b := newPipeBroker(t)
		r := watched(t, b, on)
		ha := b.peer(t, "ha")
		ha.say(t, options.MachineConfig(), true, "")
		synctest.Wait()
		ha.say(t, "homeassistant/status", false, "online")
		settleDown()
		wantDeleted := func(when string) {
			t.Helper()
			if held := b.retained(); held[options.MachineConfig()] != "" || held[options.Topics.Machine()] != countedJSON {
				t.Errorf("%s: %q", when, held)
			}
			if n := strings.Count(r.log.String(), "device was deleted in Home Assistant"); n != 1 {
				t.Errorf("%s: said %d times:\n%s", when, n, r.log)
			}
		}
		wantDeleted("after Home Assistant's start")
		r.stop()
		r = watched(t, b, on)
		wantDeleted("after our start")
		r.stop()
		watched(t, b, Config{Announce: true}).stop()
		watched(t, b, on)
		if held := b.retained(); held[options.MachineConfig()] == "" || held[options.Topics.Machine()] != countedJSON {
			t.Errorf("switched on anew: %q", held)
		}
	})
}
