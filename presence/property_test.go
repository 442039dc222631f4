package presence

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// world is an Engine in the hands of chance, with what must hold of it.
type world struct {
	t       *rapid.T
	e       *Engine
	cfg     Config
	now     time.Time
	mute    bool
	blind   map[string]bool
	seen    map[ID]EventType // the last of arrived and left
	alive   map[ID]time.Time // last evidence, or the end of a blindness
	told    map[trouble]time.Time
	probes  int
	answers map[MAC]bool     // who answers probes
	replies []Sighting       // under way
	heirs   map[ID]time.Time // last evidence of who may become a device's
	more    bool             // the device file has had devices, for which there is always room
}

// take checks the events of a call and reports its probes as sent.
func (w *world) take(out Output) {
	for _, ev := range out.Events {
		if tr, odd := troubleOf(ev); odd {
			if last, ok := w.told[tr]; ok && ev.Time.Sub(last) < tr.over() {
				w.t.Fatalf("told again: %+v", ev)
			}
			w.told[tr] = ev.Time
			w.cfg.Told = append(w.cfg.Told, ev)
		}
		d, ok := w.e.Device(ev.ID)
		if !ok && ev.ID != "" && !slices.Contains(out.Forgotten, ev.ID) && !slices.Contains(out.Merged, ev.ID) {
			w.t.Fatalf("%s of a device that is unknown", ev.Type)
		}
		switch ev.Type {
		case Merged:
			w.alive[ev.ID] = later(w.alive[ev.ID], w.heirs[ev.Other])
			if w.seen[ev.Other] == Arrived {
				w.alive[ev.ID] = later(w.alive[ev.ID], w.alive[ev.Other])
			}
			delete(w.seen, ev.Other)
			delete(w.alive, ev.Other)
		case Split:
			delete(w.seen, ev.Other)
			w.alive[ev.ID] = w.now
			delete(w.alive, ev.Other)
			if x, _ := w.e.Device(ev.Other); x.State == Home {
				w.alive[ev.Other] = w.now
			}
		}
		if ev.Type != Arrived && ev.Type != Left {
			continue
		}
		if w.seen[ev.ID] == ev.Type || w.seen[ev.ID] == "" && ev.Type == Left {
			w.t.Fatalf("%s after %q", ev.Type, w.seen[ev.ID])
		}
		w.seen[ev.ID] = ev.Type
		if ev.Why == "" || ev.Time.Location() != time.UTC {
			w.t.Fatalf("event %+v", ev)
		}
		if ev.Type == Left && ok {
			if w.blind[parent(d.Interface)] {
				w.t.Fatalf("%s left while blind", ev.ID)
			}
			silence, timeout := w.now.Sub(w.alive[ev.ID]), d.AwayAfter
			if own := w.e.devices[ev.ID]; own.gone() {
				silence, timeout = min(silence, w.now.Sub(own.parted.at)), w.e.goneAfter(own)
			}
			if silence < timeout {
				w.t.Fatalf("%s left after %s, its timeout is %s: %s; quiet %v heard %v now %v", ev.ID, silence, timeout, ev.Why, w.e.devices[ev.ID].quiet, w.e.devices[ev.ID].heard, w.now)
			}
			if w.e.associated(w.e.devices[ev.ID]) {
				w.t.Fatalf("%s left while it is associated", ev.ID)
			}
		}
	}
	for _, id := range out.Forgotten {
		delete(w.seen, id)
		delete(w.alive, id)
	}
	w.probes += len(out.Probes)
	for _, p := range slices.Clone(out.Probes) {
		if w.blind[parent(p.Interface)] {
			w.t.Fatalf("asked on a blind interface: %+v", p)
		}
		if w.mute {
			w.e.Unsent(w.now, p)
			continue
		}
		w.e.Asked(w.now, p)
		if w.answers[p.MAC] && p.Reach == (Reach{}) {
			w.replies = append(w.replies, Sighting{
				At: w.now.Add(2 * time.Millisecond), Interface: p.Interface, MAC: p.MAC, Addr: p.Addr, Kind: ARPReply,
			})
		}
	}
}

// pass lets time pass until end, as the Engine wants to be woken.
func (w *world) pass(end time.Time) {
	before, most := w.probes, (len(w.e.devices)+1)*(200+int(end.Sub(w.now)/(200*time.Millisecond)))
	for n := 0; ; n++ {
		next := w.e.Next()
		reply := len(w.replies) > 0 && !w.replies[0].At.After(next)
		if reply {
			next = w.replies[0].At
		}
		if next.After(end) {
			break
		}
		if next.After(w.now) {
			w.now, n = next, 0
		}
		if n > 5000 {
			w.t.Fatalf("no progress: now %s, next %s", w.now, next)
		}
		if reply {
			w.reply()
			continue
		}
		w.take(w.e.Tick(w.now))
	}
	if n := w.probes - before; n > most {
		w.t.Fatalf("%d probes to %d devices until %s", n, len(w.e.devices), end)
	}
	w.now = end
}

// reply has the next answer heard.
func (w *world) reply() {
	s := w.replies[0]
	w.replies = w.replies[1:]
	if w.blind[parent(s.Interface)] {
		return
	}
	s.At = w.now
	out := w.e.Sight(s)
	if d := w.e.byMAC[s.MAC]; d != nil && d.heard.Equal(s.At) {
		w.alive[d.ID] = s.At
	}
	w.take(out)
}

func (w *world) check() {
	home, tracked, queued := 0, 0, 0
	for _, d := range w.e.Devices() {
		if d.State == Home {
			home++
		}
		if d.Tracked {
			tracked++
		}
		if (w.seen[d.ID] == Arrived) != (d.State == Home) {
			w.t.Fatalf("%s is %s after %q", d.ID, d.State, w.seen[d.ID])
		}
		if len(d.IPv6) > maxIPv6 {
			w.t.Fatalf("%s has the addresses %v", d.ID, d.IPv6)
		}
		if w.cfg.AwayAfter == 0 && d.Settings.AwayAfter == 0 && d.AwayAfter > w.e.cfg.AwayMax {
			w.t.Fatalf("%s has a timeout of %s", d.ID, d.AwayAfter)
		}
	}
	if s := w.e.Summary(); s.Home != home || s.Known != len(w.e.devices) {
		w.t.Fatalf("summary %+v, but %d are home", s, home)
	}
	if tracked != w.e.tracked || tracked > w.cfg.MaxTracked {
		w.t.Fatalf("%d tracked, counted %d, limit %d", tracked, w.e.tracked, w.cfg.MaxTracked)
	}
	if len(w.e.devices) > w.cfg.MaxDevices && !w.more {
		w.t.Fatalf("%d devices", len(w.e.devices))
	}
	if fault := w.e.broken(); fault != "" {
		w.t.Fatal(fault)
	}
	w.checkGroups()
	for i, d := range w.e.due {
		if d.heap != i || w.e.devices[d.ID] != d || i > 0 && w.e.due.Less(i, (i-1)/2) {
			w.t.Fatalf("the queue is broken at %d", i)
		}
	}
	for _, d := range w.e.devices {
		if d.heap >= 0 {
			queued++
		} else if d.State == Home && !w.e.blind(d) {
			w.t.Fatalf("nobody will look after %s", d.ID)
		}
	}
	if len(w.e.voices) > maxVoices || len(w.e.servers) > maxSegments || len(w.e.claims.young)+len(w.e.claims.old) > 2*maxClaims {
		w.t.Fatalf("%d voices, %d segments with servers, %d+%d claims", len(w.e.voices), len(w.e.servers), len(w.e.claims.young), len(w.e.claims.old))
	}
	if queued != len(w.e.due) {
		w.t.Fatalf("%d in the queue, %d think so", len(w.e.due), queued)
	}
}

// checkGroups counts who is in which group, and home, and who is an untold guest.
func (w *world) checkGroups() {
	type count struct{ members, home int }
	want, got := map[string]count{}, map[string]count{}
	for _, d := range w.e.devices {
		for _, name := range d.Groups {
			c := want[GroupSlug(name)]
			c.members++
			if d.State == Home {
				c.home++
			}
			want[GroupSlug(name)] = c
		}
		if guest := slices.Contains(d.Groups, GuestGroup); d.Untold && (!guest || !d.madeUp() || w.e.guests.at.IsZero()) {
			w.t.Fatalf("%s waits for a digest that does not come: %+v", d.ID, d.Device)
		}
	}
	for slug, g := range w.e.groups {
		got[slug] = count{g.members, g.home}
	}
	if !maps.Equal(want, got) || len(w.e.outside) > 0 {
		w.t.Fatalf("groups %v, want %v", got, want)
	}
}

func TestProperties(t *testing.T) {
	interfaces, accessPoints := []string{"eth0", "eth0.10", "wlan0"}, []string{"ap0", "ap1"}
	minutes := func(lo, hi int) *rapid.Generator[time.Duration] {
		return rapid.Map(rapid.IntRange(lo*60, hi*60), func(s int) time.Duration { return time.Duration(s) * time.Second })
	}
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			t: t, now: t0, blind: map[string]bool{}, seen: map[ID]EventType{},
			alive: map[ID]time.Time{}, heirs: map[ID]time.Time{}, told: map[trouble]time.Time{}, answers: map[MAC]bool{},
			cfg: Config{
				AwayMax:       minutes(1, 60).Draw(t, "AwayMax"),
				AwayInitial:   minutes(1, 10).Draw(t, "AwayInitial"),
				AwayAfter:     rapid.SampledFrom([]time.Duration{0, 0, 0, 5 * time.Second, 7 * time.Minute}).Draw(t, "AwayAfter"),
				ProbeInterval: rapid.SampledFrom([]time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute}).Draw(t, "ProbeInterval"),
				MaxTracked:    rapid.IntRange(0, 6).Draw(t, "MaxTracked"),
				MaxDevices:    rapid.IntRange(4, 12).Draw(t, "MaxDevices"),
				ForgetAfter:   minutes(60, 3000).Draw(t, "ForgetAfter"),
				Track:         rapid.SampledFrom([]TrackPolicy{TrackAll, TrackNamed, TrackNone}).Draw(t, "Track"),
				Passive:       rapid.Bool().Draw(t, "Passive"),
				NewGuests:     rapid.SampledFrom([]GuestPolicy{GuestsEach, GuestsDaily}).Draw(t, "NewGuests"),
				Nudge:         rapid.SampledFrom([][]DeviceKind{nil, {Phone}}).Draw(t, "Nudge"),
			},
		}
		w.cfg.AwayInitial = min(w.cfg.AwayInitial, w.cfg.AwayMax)
		w.e = New(w.cfg)
		var known []Record
		for i := range rapid.IntRange(0, w.cfg.MaxDevices).Draw(t, "restored") {
			r := anchor(i)
			if rapid.Bool().Draw(t, "phone") {
				r = sleeper(i)
			}
			for n := range rapid.IntRange(0, 10).Draw(t, "restored addresses") {
				r.IPv6 = append(r.IPv6, addr6(n))
			}
			known = append(known, r)
			w.seen[r.ID], w.alive[r.ID] = Arrived, t0
		}
		w.take(w.e.Restore(t0, known))
		device := rapid.IntRange(0, 15)
		// Every other device has a private MAC.
		macOf := func(n int) MAC {
			if n%2 == 1 {
				return privateMAC(n)
			}
			return mac(n)
		}
		someMAC := func() MAC { return macOf(device.Draw(t, "device")) }
		id := func() ID { return someMAC().ID() }
		t.Repeat(map[string]func(*rapid.T){
			"sight": func(t *rapid.T) {
				m := someMAC()
				s := Sighting{
					At: w.now, Interface: rapid.SampledFrom(interfaces).Draw(t, "interface"), MAC: m,
					Addr: addr(rapid.IntRange(0, 20).Draw(t, "addr")), Kind: Kind(rapid.IntRange(0, len(kinds)).Draw(t, "kind")),
					Unicast: rapid.Bool().Draw(t, "unicast"),
				}
				if s.Kind.wifi() {
					s.AP = rapid.SampledFrom(accessPoints).Draw(t, "AP")
				}
				if s.Kind >= DHCPDiscover && s.Kind <= DHCPAck {
					s.DHCP = &DHCP{
						HostName:    rapid.SampledFrom([]string{"", annas, "Bens"}).Draw(t, "host name"),
						Fingerprint: rapid.SampledFrom([]string{"", apple}).Draw(t, "fingerprint"),
					}
				}
				if w.blind[parent(s.Interface)] {
					t.Skip()
				}
				if rapid.Bool().Draw(t, "by another") {
					s.Via = mac(device.Draw(t, "via"))
				}
				if rapid.Bool().Draw(t, "names another") {
					s.Peer = addr(rapid.IntRange(0, 200).Draw(t, "peer"))
				}
				if rapid.Bool().Draw(t, "IPv6") {
					s.Addr = addr6(rapid.IntRange(0, 20).Draw(t, "addr6"))
				}
				if late := rapid.IntRange(0, 5).Draw(t, "late"); late == 1 {
					s.At = s.At.Add(-time.Minute)
				}
				var was Device
				if d := w.e.byMAC[m]; d != nil {
					was = d.Device
				}
				out := w.e.Sight(s)
				listed := s.Kind == WiFiListed && was.State == Home // not heard just now
				if s.Via != (MAC{}) && (s.answers() || s.Kind == ARPAnnouncement) {
					var is Device
					if d := w.e.byMAC[m]; d != nil {
						is = d.Device
					}
					listed = listed || !is.LastSeen.After(was.LastSeen) // it does not count
					if was.ID == "" && is.ID != "" {
						t.Fatalf("%s became known because %s answered for it", is.ID, s.Via)
					}
				}
				if d := w.e.byMAC[m]; d != nil && !listed && !s.Kind.reached() && s.Evidence() >= Alive {
					switch {
					case d.heir != nil && d.heir.first.MAC == m:
						w.heirs[m.ID()] = later(w.heirs[m.ID()], s.At)
					case s.At.After(w.alive[d.ID]):
						w.alive[d.ID] = s.At
					}
				}
				w.take(out)
			},
			"merge": func(t *rapid.T) {
				before := len(w.e.devices)
				out, err := w.e.Merge(w.now, id(), []ID{id(), id()})
				if err != nil && (len(out.Events) > 0 || len(w.e.devices) != before || strings.Contains(err.Error(), "\n")) {
					t.Fatalf("%v, and yet: %+v", err, out)
				}
				w.take(out)
			},
			"split": func(t *rapid.T) {
				out, err := w.e.Split(w.now, id(), []MAC{someMAC()})
				if err != nil && len(out.Events) > 0 {
					t.Fatalf("%v, and yet: %+v", err, out)
				}
				w.take(out)
			},
			"forget": func(t *rapid.T) {
				id := id()
				out, ok := w.e.Forget(w.now, id)
				if _, known := w.e.Device(id); ok == known && ok {
					t.Fatalf("%s is forgotten, and known", id)
				}
				w.take(out)
			},
			"follow": func(t *rapid.T) {
				f := rapid.SampledFrom([]Follow{{}, {Same: true}, {HostName: annas}, {Fingerprint: apple}}).Draw(t, "follow")
				out, _ := w.e.Set(w.now, id(), Change{Follow: &f})
				w.take(out)
			},
			"declare": func(t *rapid.T) {
				var list []Declaration
				for range rapid.IntRange(0, 2).Draw(t, "declared") {
					f := Declaration{MAC: someMAC(), MACs: []MAC{someMAC()}}
					if rapid.Bool().Draw(t, "reached") {
						f.Reach = &[]Reach{{Addr: addr(rapid.IntRange(0, 20).Draw(t, "reached at"))}}
					}
					list = append(list, f)
				}
				w.more = w.more || len(list) > 0
				w.cfg.Declared = list
				w.take(w.e.Declare(w.now, list))
			},
			"restart": func(t *rapid.T) {
				all := (&rig{e: w.e}).stored()
				homes, blind := w.e.home, w.blind
				w.e = New(w.cfg)
				for name := range blind {
					w.e.Sense(Sensing{At: w.now, Interface: name, Blind: blind[name]})
				}
				out := w.e.Restore(w.now, all)
				if len(out.Events) > 0 || len(out.Forgotten) > 0 && !w.more || w.e.home != homes {
					t.Fatalf("a restart brought about %+v, %d are home of %d", out, w.e.home, homes)
				}
				for id := range w.alive {
					w.alive[id] = w.now
				}
				w.take(out)
			},
			"wait": func(t *rapid.T) { w.pass(w.now.Add(minutes(0, 20).Draw(t, "wait"))) },
			"long": func(t *rapid.T) { w.pass(w.now.Add(minutes(0, 2000).Draw(t, "long"))) },
			"late tick": func(t *rapid.T) {
				w.now = w.now.Add(minutes(0, 90).Draw(t, "late"))
				w.take(w.e.Tick(w.now))
			},
			"back": func(t *rapid.T) { w.take(w.e.Tick(w.now.Add(-time.Hour))) },
			"sense": func(t *rapid.T) {
				name := rapid.SampledFrom([]string{"eth0", "wlan0"}).Draw(t, "interface")
				w.blind[name] = rapid.Bool().Draw(t, "blind")
				w.take(w.e.Sense(Sensing{At: w.now, Interface: name, Blind: w.blind[name], Why: "chance"}))
			},
			"gap": func(t *rapid.T) {
				w.now = w.now.Add(minutes(0, 600).Draw(t, "gap"))
				w.take(w.e.Gap(w.now, "the machine slept"))
			},
			"answers": func(t *rapid.T) {
				m := someMAC()
				w.answers[m] = !w.answers[m]
			},
			"mute":    func(t *rapid.T) { w.mute = !w.mute },
			"lose AP": func(t *rapid.T) { w.take(w.e.LoseAP(w.now, rapid.SampledFrom(accessPoints).Draw(t, "AP"))) },
			"tell": func(t *rapid.T) {
				var told []Told
				for range rapid.IntRange(0, 4).Draw(t, "told") {
					told = append(told, Told{
						MAC:  rapid.SampledFrom([]MAC{{}, someMAC()}).Draw(t, "mac"),
						Addr: rapid.SampledFrom([]netip.Addr{{}, addr(rapid.IntRange(0, 20).Draw(t, "addr")), addr6(0)}).Draw(t, "address"),
						Name: rapid.SampledFrom([]string{"", "kettle", "nas"}).Draw(t, "name"),
					})
				}
				before := len(w.e.devices)
				out := w.e.Tell(w.now, rapid.SampledFrom(nameSources).Draw(t, "from"), told)
				if len(out.Events)+len(out.Forgotten) > 0 || len(w.e.devices) != before {
					t.Fatalf("what others tell brought about %+v", out)
				}
				w.take(out)
			},
			"set": func(t *rapid.T) {
				name, track := rapid.SampledFrom([]string{"", "Kettle"}).Draw(t, "name"), rapid.Bool().Draw(t, "track")
				after := rapid.SampledFrom([]time.Duration{0, time.Second, 20 * time.Minute}).Draw(t, "after")
				groups := rapid.SliceOfN(rapid.SampledFrom([]string{"Kids", "kids!", "All", GuestGroup}), 0, 3).Draw(t, "groups")
				kind := rapid.SampledFrom([]DeviceKind{"", Phone, Guest}).Draw(t, "kind")
				c := rapid.SampledFrom([]Change{
					{Name: &name},
					{Track: &track},
					{AwayAfter: &after},
					{},
					{Groups: &groups},
					{Kind: &kind},
					{Known: &track},
					{IgnoreARPReplies: &track},
					{Nudge: &track},
				}).Draw(t, "change")
				out, _ := w.e.Set(w.now, id(), c)
				w.take(out)
			},
			"asked": func(t *rapid.T) { w.e.AskedAddr(w.now, addr(rapid.IntRange(0, 20).Draw(t, "addr"))) },
			"touched": func(t *rapid.T) {
				for _, r := range w.e.Touched() {
					if _, err := r.Model.MarshalBinary(); err != nil {
						t.Fatal(err)
					}
				}
			},
			"": func(t *rapid.T) { w.check() },
		})
		// In the end everyone is silent and everything can hear: they all leave.
		w.pass(w.now.Add(nameWait)) // whoever has just come
		w.mute, w.replies = false, nil
		clear(w.answers)
		for _, ap := range accessPoints {
			w.take(w.e.LoseAP(w.now, ap))
		}
		if n := len(w.e.stations) + len(w.e.newcomers); n > 0 {
			t.Fatalf("%d stations without an access point", n)
		}
		for _, name := range []string{"eth0", "wlan0"} {
			w.blind[name] = false
			w.take(w.e.Sense(Sensing{At: w.now, Interface: name}))
		}
		w.take(w.e.Declare(w.now, nil))
		longest := max(w.e.cfg.AwayMax, w.e.cfg.AwayAfter, 20*time.Minute)
		w.pass(w.now.Add(2*longest + 2*patience + w.e.cfg.OutageHold + time.Minute))
		w.check()
		if n := w.e.Summary().Home; n > 0 {
			t.Fatalf("%d are home after everyone fell silent", n)
		}
	})
}

// addr6 is one of a few IPv6 addresses, every third of them link-local.
func addr6(n int) netip.Addr {
	b := [16]byte{0: 0x20, 1: 0x01, 15: byte(n)}
	if n%3 == 0 {
		b[0], b[1] = 0xfe, 0x80
	}
	return netip.AddrFrom16(b)
}
