package connections

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Whatever happens, in any order: a port closes only when it was there and is
// gone, and opens only when it was not; and when nothing happens any more, what is
// known is what there is.
func TestAnything(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 3))
			m := someMachine(t)
			there := map[port]bool{{TCP, 22}: true, {TCP, 443}: true} // as it was told
			look := func() {
				sighted := m.w.Partial && !m.now.Partial // what is there is usual, then
				events, _ := m.look(time.Duration(1+r.IntN(40)) * time.Second)
				for _, e := range events {
					l := e.Connection.listener()
					used := slices.ContainsFunc(slices.Collect(maps.Values(m.ends)), func(c Connection) bool { return c.listener() == l })
					switch {
					case e.Type == ListenerOpened && l.program != "":
						if there[l.at()] = true; !used {
							t.Errorf("opened, and not there: %s", e.Why)
						}
					case e.Type == ListenerOpened:
						there[l.at()] = true
					case e.Type == ListenerClosed && (used || !there[l.at()]):
						t.Errorf("closed, told before: %t, still there: %t: %s", there[l.at()], used, e.Why)
					}
				}
				for _, s := range m.w.sockets {
					there[s.at()] = there[s.at()] || sighted
				}
				for _, k := range m.w.listeners {
					if sighted || k.conn.Given { // which may have moved
						there[k.at()] = true
					}
				}
			}
			for range 80 {
				name, program := fmt.Sprint(r.IntN(8)), fmt.Sprint("program", r.IntN(4))
				number := []int{25, 80, 8080, 8081, 40000, 40001}[r.IntN(6)]
				switch r.IntN(12) {
				case 0, 1, 2:
					m.tcp(name, program, fmt.Sprintf("0.0.0.0:%d", number))
				case 3:
					m.tcp(name, program, fmt.Sprintf("127.0.0.1:%d", number))
				case 4:
					m.udp(name, program, fmt.Sprintf("0.0.0.0:%d", number))
				case 5, 6:
					m.close(name)
				case 7:
					m.now.Partial = !m.now.Partial
				case 8:
					m.restart()
				case 9:
					m.reboot()
				case 10:
					m.now.Time = m.now.Time.Add(time.Duration(r.IntN(10000)-5000) * time.Hour)
				}
				for range r.IntN(4) {
					look()
				}
			}
			m.now.Partial = false
			for range 12 {
				m.look(time.Minute)
			}
			var want, got []string
			for _, c := range m.ends {
				if c.Listening() {
					want = append(want, fmt.Sprint(c.listener()))
				}
			}
			for key, k := range m.w.listeners {
				if k.conn.Listening() {
					got = append(got, fmt.Sprint(key))
				}
			}
			for _, c := range m.ends {
				serves := slices.ContainsFunc(slices.Collect(maps.Values(m.w.listeners)), func(k *known) bool { return k.outside && k.program == c.Program() })
				if _, usual := m.w.Programs[c.Program()]; !usual && !serves && c.online(nil) {
					t.Errorf("%s is online, and neither known for that nor a listener", c.Program())
				}
			}
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(slices.Compact(want), got); diff != "" {
				t.Errorf("known and there: %s", diff)
			}
			if events, _ := m.restart().look(time.Minute); len(events) != 0 {
				t.Errorf("after a restart: %v", events)
			}
		})
	}
}
