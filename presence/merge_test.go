package presence

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// heard is a frame of m at the address a.
func heard(m MAC, a int, k Kind) Sighting {
	return Sighting{Interface: "eth0", MAC: m, Addr: addr(a), Kind: k}
}

func (r *rig) merge(into MAC, parts ...MAC) error {
	var ids []ID
	for _, m := range parts {
		ids = append(ids, m.ID())
	}
	out, err := r.e.Merge(r.now, into.ID(), ids)
	r.take(out)
	r.verify()
	return err
}

func (r *rig) split(id MAC, macs ...MAC) error {
	out, err := r.e.Split(r.now, id.ID(), macs)
	r.take(out)
	r.verify()
	return err
}

// of returns the device with this first MAC.
func (r *rig) of(m MAC) Device {
	r.t.Helper()
	d, ok := r.e.Device(m.ID())
	if !ok {
		r.t.Fatalf("%s is unknown", m)
	}
	return d
}

func (r *rig) verify() {
	r.t.Helper()
	if fault := r.e.broken(); fault != "" {
		r.t.Fatal(fault)
	}
}

// restart returns a rig that begins with what this one has stored.
func (r *rig) restart(cfg Config) *rig {
	r.t.Helper()
	n := &rig{t: r.t, e: New(cfg), now: r.now, answers: r.answers}
	n.take(n.e.Restore(r.now, r.stored()))
	n.verify()
	return n
}

// stored returns every record, those of parts as well.
func (r *rig) stored() (all []Record) {
	for _, id := range sortedIDs(r.e.devices) {
		rec, _ := r.e.Record(id)
		all = append(all, rec)
	}
	for _, id := range sortedIDs(r.e.absorbed) {
		rec, _ := r.e.Record(id)
		all = append(all, rec)
	}
	return all
}

// broken says what is wrong with who has which MAC; empty: nothing.
func (e *Engine) broken() string {
	count := 0
	for id, d := range e.devices {
		macs := d.AllMACs()
		count += len(macs)
		if d.heir != nil {
			count++
			if e.byMAC[d.heir.first.MAC] != d {
				return string(id) + " has an heir that is not its own"
			}
		}
		if macs[0] != d.first || d.first.ID() != id && len(macs) > 1 || len(macs) > MaxMACs || len(d.MACs) == 1 {
			return string(id) + " has the MACs " + strings.Join(strings.Fields(strings.Trim(cmp.Diff(nil, macs), "{}")), " ")
		}
		if len(d.others) != len(macs)-1 {
			return string(id) + " has another number of ports than of MACs"
		}
		for _, m := range macs {
			if e.byMAC[m] != d || m != d.MAC && d.other(m) == nil {
				return m.String() + " is not known as one of " + string(id)
			}
		}
		if now := (known{d.identity(), d.follows()}); now != d.indexed {
			return string(id) + " is not found by what it says"
		}
	}
	if count != len(e.byMAC) {
		return "there are more MACs than devices have"
	}
	for id, r := range e.absorbed {
		m, _ := ParseMAC(string(id))
		if e.devices[id] != nil || e.byMAC[m] == nil || e.byMAC[m].ID != r.MergedInto {
			return string(id) + " is part of nothing"
		}
	}
	found := 0
	for _, some := range e.byIdentity {
		for _, d := range some {
			found++
			if e.devices[d.ID] != d {
				return "a device that is gone is still found"
			}
		}
	}
	for _, d := range e.devices {
		found -= len(d.indexed.keys())
	}
	if found != 0 {
		return "devices are found by what they do not say"
	}
	return ""
}

// TestMerge: two devices become one, which keeps its id, and has what both had;
// split again, each has what it had.
func TestMerge(t *testing.T) {
	a, b := privateMAC(1), privateMAC(2)
	r := newRig(t, Config{MaxTracked: -1})
	r.answers[b] = true
	r.hear(heard(a, 1, DHCPRequest))
	r.wait(5 * time.Minute)
	r.hear(heard(a, 1, ARPRequest))
	r.wait(2 * time.Hour)
	r.hear(heard(b, 2, DHCPRequest))
	r.take(first(r.e.Set(r.now, b.ID(), Change{Name: ptr("Anna's phone"), Groups: ptr([]string{"Parents"})})))
	r.wait(48 * time.Hour)
	learned, _ := r.e.Record(b.ID())
	r.types()
	r.gone = nil
	if err := r.merge(a, b); err != nil {
		t.Fatal(err)
	}
	want := []Event{
		{Type: Merged, ID: a.ID(), MAC: a, Other: b.ID(), Why: "as you said, Anna's phone (02:00:5e:00:00:02) is this device"},
		{Type: Arrived, ID: a.ID(), MAC: b, Why: "as you said, Anna's phone (02:00:5e:00:00:02) is this device"},
	}
	for i, e := range r.events {
		r.events[i] = Event{Type: e.Type, ID: e.ID, MAC: e.MAC, Other: e.Other, Why: e.Why}
	}
	if diff := cmp.Diff(want, r.events, equateAddrs); diff != "" {
		t.Error(diff)
	}
	d := r.of(a)
	if d.State != Home || d.Name != "Anna's phone" || d.MAC != b || !slices.Equal(d.MACs, []MAC{a, b}) || d.Addr != addr(2) || d.model(r) < 0.2 {
		t.Errorf("merged: %+v", d)
	}
	if s := r.e.Summary(); s.Home != 1 || s.Known != 1 || len(r.gone) > 0 {
		t.Errorf("%d of %d home, forgotten %v", s.Home, s.Known, r.gone)
	}
	if g := r.e.Groups(); len(g) != 1 || g[0].State != Home {
		t.Errorf("groups %v", g)
	}
	part, ok := r.e.Record(b.ID())
	if diff := cmp.Diff(learned.Settings, part.Settings); diff != "" || !ok || part.MergedInto != a.ID() {
		t.Errorf("the part is kept as %+v", part)
	}
	r.events = nil

	// It stays home by its new MAC, and is the same after a restart.
	r.wait(3 * time.Hour)
	if got := r.types(); len(got) > 0 || r.of(a).State != Home {
		t.Errorf("afterwards: %v", got)
	}
	again := r.restart(Config{MaxTracked: -1})
	if diff := cmp.Diff(r.of(a), again.of(a), equateAddrs); diff != "" {
		t.Errorf("restarted (-before +after):\n%s", diff)
	}
	again.wait(time.Hour)
	if err := again.split(a, b); err != nil {
		t.Fatal(err)
	}
	x := again.of(b)
	if x.State != Home || x.Name != "Anna's phone" || !x.FirstSeen.Equal(learned.FirstSeen) || x.MACs != nil || x.model(again) != learned.Model.home || x.Addr != addr(2) {
		t.Errorf("split off: %+v", x)
	}
	if d := again.of(a); d.MAC != a || d.MACs != nil || d.Addr != addr(1) || d.State != Home {
		t.Errorf("what is left: %+v", d)
	}
	if diff := cmp.Diff([]EventType{Split, Arrived}, again.types()); diff != "" {
		t.Error(diff)
	}
	again.wait(2 * time.Hour)
	if diff := cmp.Diff([]EventType{Left}, again.types()); diff != "" || again.of(a).State != NotHome || again.of(b).State != Home {
		t.Errorf("who is asked: %s", diff)
	}
	if _, ok := again.restart(Config{}).e.Device(b.ID()); !ok {
		t.Error("one again after a restart")
	}
}

func first(out Output, _ bool) Output { return out }

var equateAddrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// TestMergeRefused: what cannot be is told in one line, and nothing is done.
func TestMergeRefused(t *testing.T) {
	a, b, c, declared, none := privateMAC(1), privateMAC(2), privateMAC(3), privateMAC(4), privateMAC(9)
	build := func() *rig {
		r := newRig(t, Config{MaxTracked: -1, Declared: []Declaration{{MAC: declared}, {MAC: mac(1), MACs: []MAC{mac(2)}}}})
		for i, m := range []MAC{a, b, c} {
			r.hear(heard(m, i+1, DHCPRequest))
		}
		if err := r.merge(a, b); err != nil {
			t.Fatal(err)
		}
		return r
	}
	for name, test := range map[string]struct {
		do   func(*rig) error
		want string
	}{
		"into itself":            {func(r *rig) error { return r.merge(a, a) }, "02005e000001 cannot be merged into itself"},
		"a loop":                 {func(r *rig) error { return r.merge(b, a) }, "02005e000002 is part of the device 02005e000001"},
		"twice":                  {func(r *rig) error { return r.merge(a, b) }, "02005e000002 is part of the device 02005e000001"},
		"a part of another":      {func(r *rig) error { return r.merge(c, b) }, "02005e000002 is part of the device 02005e000001"},
		"one that nobody knows":  {func(r *rig) error { return r.merge(a, c, none) }, `there is no device "02005e000009"`},
		"into nobody":            {func(r *rig) error { return r.merge(none, a) }, `there is no device "02005e000009"`},
		"in the file":            {func(r *rig) error { return r.merge(a, c, declared) }, "the device file has 02005e000004 as a device of its own: list its MAC with those of the other there"},
		"split of nobody":        {func(r *rig) error { return r.split(none, a) }, `there is no device "02005e000009"`},
		"split of the first":     {func(r *rig) error { return r.split(a, b, a) }, "02:00:5e:00:00:01 stays with the device 02005e000001, whose id it is: split the others off"},
		"split of a stranger":    {func(r *rig) error { return r.split(a, b, c) }, "02:00:5e:00:00:03 is not a MAC of the device 02005e000001"},
		"split against the file": {func(r *rig) error { return r.split(mac(1), mac(2)) }, "the device file lists 00:16:3e:00:00:02 with the device 00163e000001: take it out there"},
	} {
		t.Run(name, func(t *testing.T) {
			r := build()
			before := r.e.Devices()
			r.events, r.changed = nil, nil
			if err := test.do(r); err == nil || err.Error() != test.want {
				t.Errorf("%v, want %s", err, test.want)
			}
			if diff := cmp.Diff(before, r.e.Devices(), equateAddrs); diff != "" || len(r.events)+len(r.changed)+len(r.gone) > 0 {
				t.Errorf("half done: %s %v", diff, r.events)
			}
		})
	}

	full := newRig(t, Config{MaxDevices: 60})
	for n := range 40 {
		full.hear(sighting(n, DHCPRequest))
	}
	var all []MAC
	for n := range 39 {
		all = append(all, mac(n+1))
	}
	if err := full.merge(mac(0), all...); err == nil || err.Error() != "00163e000000 would have more than 32 MACs" {
		t.Error(err)
	}
	if err := full.merge(mac(0), all[:31]...); err != nil || len(full.device(0).MACs) != 32 {
		t.Errorf("as many as fit: %v", err)
	}
	full.e.cfg.MaxDevices = 10
	if err := full.split(mac(0), mac(1), mac(2)); err == nil || err.Error() != "there is no room for more than 10 devices" {
		t.Error(err)
	}
}

// TestTwoMACs: a laptop with Ethernet and Wi-Fi is home while either is heard,
// is asked at both with the address of each, and does not flap.
func TestTwoMACs(t *testing.T) {
	wire, air := mac(1), mac(2)
	r := newRig(t, Config{MaxTracked: -1, AwayInitial: 5 * time.Minute, Vendor: func(m MAC) string { return m.String() }})
	r.hear(heard(wire, 1, DHCPRequest))
	r.hear(heard(air, 2, DHCPRequest))
	if err := r.merge(wire, air); err != nil {
		t.Fatal(err)
	}
	r.types()
	r.answers[wire], r.answers[air] = true, true
	r.changed = nil
	for range 60 { // both speak
		r.wait(20 * time.Second)
		r.hear(heard(wire, 1, ARPRequest))
		r.wait(20 * time.Second)
		r.hear(heard(air, 2, ARPRequest))
	}
	if n := len(r.changed); n > 0 || len(r.events) > 0 {
		t.Errorf("%d changes and %d events while both are there", n, len(r.events))
	}
	if d := r.of(wire); d.Vendor != wire.String() {
		t.Errorf("vendor %s", d.Vendor)
	}

	// One speaks, the other, by which the laptop goes, only answers.
	r.sends()
	for range 120 {
		r.wait(20 * time.Second)
		r.hear(heard(air, 2, ARPRequest))
	}
	if d, asked := r.of(wire), r.sends(); d.MAC != wire || len(asked) == 0 || len(asked) > 20 || len(r.changed) > 0 {
		t.Errorf("it goes by %s, asked %d times", d.MAC, len(asked))
	}
	// The cable is pulled, the Wi-Fi stays.
	r.answers[wire] = false
	r.wait(time.Hour)
	if d := r.of(wire); d.State != Home || d.MAC != air || d.Addr != addr(2) || len(r.types()) > 0 {
		t.Errorf("%s, it goes by %s, %s", d.State, d.MAC, d.Addr)
	}
	for _, p := range r.sends() {
		if p.MAC == wire && p.Addr != addr(1) || p.MAC == air && p.Addr != addr(2) {
			t.Errorf("%s asked at %s", p.MAC, p.Addr)
		}
	}
	r.hear(heard(wire, 1, DHCPRequest)) // the cable is back
	r.answers[wire] = true
	// The Wi-Fi joins: that is what it goes by at once.
	r.answers[air] = true
	r.hear(heard(air, 5, DHCPDiscover))
	if d := r.of(wire); d.MAC != air || len(r.types()) > 0 {
		t.Errorf("it goes by %s", d.MAC)
	}
	// Both go: it leaves, after both were asked.
	r.wait(time.Minute)
	r.hear(heard(air, 2, ARPRequest))
	r.hear(heard(wire, 1, ARPRequest))
	r.answers[wire], r.answers[air] = false, false
	r.sends()
	r.wait(time.Hour)
	asked := map[MAC]int{}
	for _, p := range r.sends() {
		if !p.at.After(r.of(wire).Since) {
			asked[p.MAC]++
		}
	}
	if diff := cmp.Diff([]EventType{Left}, r.types()); diff != "" || asked[wire] < 3 || asked[air] < 3 {
		t.Errorf("%s asked %v", diff, asked)
	}
}

// TestBlindPort: who may be on an interface that cannot hear is not away.
func TestBlindPort(t *testing.T) {
	r := newRig(t, Config{AwayInitial: 5 * time.Minute})
	r.hear(heard(mac(1), 1, DHCPRequest))
	s := heard(mac(2), 2, DHCPRequest)
	s.Interface = "wlan0"
	r.hear(s)
	if err := r.merge(mac(1), mac(2)); err != nil {
		t.Fatal(err)
	}
	r.hear(heard(mac(1), 1, DHCPDiscover))
	r.types()
	r.sense("wlan0", true)
	r.wait(2 * time.Hour)
	if d := r.device(1); d.State != Home {
		t.Errorf("away: %s", d.Why)
	}
	r.sense("wlan0", false)
	r.wait(time.Hour)
	if diff := cmp.Diff([]EventType{SensingLost, SensingBack, Left}, r.types()); diff != "" {
		t.Error(diff)
	}
}

// TestDeclaredTogether: MACs that the device file lists together are one device,
// as long as it does; the entity stays the one of who was heard first in the list.
func TestDeclaredTogether(t *testing.T) {
	a, b, c := mac(1), mac(2), mac(3)
	r := newRig(t, Config{MaxTracked: -1})
	r.hear(heard(b, 2, DHCPRequest))
	r.hear(heard(c, 3, DHCPRequest))
	r.set(3, Change{Name: ptr("mine")})
	r.types()
	file := []Declaration{{MAC: a, MACs: []MAC{b, c}, Change: Change{Name: ptr("Laptop")}}}
	r.take(r.e.Declare(r.now, file))
	r.verify()
	if d := r.of(b); d.Name != "Laptop" || !slices.Equal(d.MACs, []MAC{b, c, a}) && !slices.Equal(d.MACs, []MAC{b, a, c}) {
		t.Errorf("%+v", d)
	}
	if diff := cmp.Diff([]EventType{Merged}, r.types()); diff != "" || r.e.Summary().Known != 1 {
		t.Errorf("%d known %s", r.e.Summary().Known, diff)
	}
	r.changed = nil
	if r.take(r.e.Declare(r.now, file)); len(r.changed)+len(r.events)+len(r.gone) > 0 {
		t.Errorf("the same file again: %v %v %v", r.changed, r.events, r.gone)
	}
	r.hear(heard(a, 1, DHCPRequest)) // the third MAC is no new device
	if got := r.types(); len(got) > 0 || r.of(b).MAC != a {
		t.Errorf("%v, goes by %s", got, r.of(b).MAC)
	}
	r = r.restart(Config{MaxTracked: -1, Declared: file})
	if len(r.events) > 0 || r.e.Summary().Known != 1 || len(r.of(b).MACs) != 3 {
		t.Errorf("after a restart: %+v, %v", r.of(b), r.events)
	}

	// The file changes its mind while Porchlight runs, or between two runs.
	less := []Declaration{{MAC: b, MACs: []MAC{a}}, {MAC: mac(7), MACs: []MAC{c}}}
	off := r.restart(Config{MaxTracked: -1, Declared: less})
	r.take(r.e.Declare(r.now, less))
	r.verify()
	for name, r := range map[string]*rig{"running": r, "restarted": off} {
		if d := r.of(b); !slices.Equal(d.MACs, []MAC{b, a}) && !slices.Equal(d.MACs, []MAC{b, c, a}) || d.Name != "" {
			t.Errorf("%s: %+v", name, d)
		}
		if d := r.of(c); d.Name != "mine" || !slices.Equal(d.MACs, []MAC{c, mac(7)}) {
			t.Errorf("%s: %+v", name, d)
		}
		r.take(r.e.Declare(r.now, nil))
		r.verify()
		if r.of(b).MACs != nil || r.of(c).MACs != nil || r.of(a).State != Home || r.e.Summary().Known != 3 || !slices.Contains(r.gone, mac(7).ID()) && r.e.byMAC[mac(7)] != nil {
			t.Errorf("%s, without a file: %+v", name, r.e.Devices())
		}
	}
}

// TestFileAgainstMerge: what the device file has as two devices is two, whatever
// was merged before.
func TestFileAgainstMerge(t *testing.T) {
	r := newRig(t, Config{MaxTracked: -1})
	for n := 1; n <= 3; n++ {
		r.hear(sighting(n, DHCPRequest))
	}
	for n := 2; n <= 3; n++ {
		if err := r.merge(mac(1), mac(n)); err != nil {
			t.Fatal(err)
		}
	}
	r.take(r.e.Declare(r.now, []Declaration{declare(1, Change{Name: ptr("one")}), declare(2, Change{Name: ptr("two")})}))
	r.verify()
	if a, b := r.device(1), r.device(2); a.Name != "one" || b.Name != "two" || !slices.Equal(a.MACs, []MAC{mac(1), mac(3)}) || b.MACs != nil {
		t.Errorf("%+v\n%+v", a, b)
	}
	if err := r.split(mac(1), mac(3)); err != nil || r.device(1).MACs != nil {
		t.Errorf("what was merged by command: %v", err)
	}
}

// TestOldMACsGo: private MACs that were not heard for a month are forgotten, but
// not one that the file lists, or that the id comes from.
func TestOldMACsGo(t *testing.T) {
	r := newRig(t, Config{Declared: []Declaration{{MAC: privateMAC(1), MACs: []MAC{privateMAC(2)}}}})
	for n := 1; n <= 4; n++ {
		r.hear(heard(privateMAC(n), n, DHCPRequest))
	}
	r.hear(heard(mac(1), 9, DHCPRequest))
	if err := r.merge(privateMAC(1), privateMAC(3), privateMAC(4), mac(1)); err != nil {
		t.Fatal(err)
	}
	r.wait(20 * 24 * time.Hour)
	r.hear(heard(privateMAC(4), 4, DHCPRequest))
	r.wait(20 * 24 * time.Hour)
	r.verify()
	if d := r.of(privateMAC(1)); !slices.Equal(d.MACs, []MAC{privateMAC(1), privateMAC(2), privateMAC(4), mac(1)}) || !slices.Equal(r.gone, []ID{privateMAC(3).ID()}) {
		t.Errorf("%v, forgotten %v", d.MACs, r.gone)
	}
	out, ok := r.e.Forget(r.now, privateMAC(1).ID())
	if ok || len(out.Forgotten) > 0 {
		t.Error("the file's device was forgotten")
	}
	r.take(r.e.Declare(r.now, nil))
	out, _ = r.e.Forget(r.now, privateMAC(1).ID())
	slices.Sort(out.Forgotten)
	if diff := cmp.Diff([]ID{mac(1).ID(), privateMAC(1).ID(), privateMAC(4).ID()}, out.Forgotten); diff != "" || len(r.e.absorbed) > 0 {
		t.Errorf("forgotten with its parts: %s", diff)
	}
	r.verify()
}

// TestRestoreOddities: records that contradict each other give devices that
// have one MAC each at least once, and no MAC twice.
func TestRestoreOddities(t *testing.T) {
	part := func(r Record, of int) Record { r.MergedInto = mac(of).ID(); return r }
	with := func(r Record, macs ...MAC) Record {
		r.Ports = []Port{{MAC: r.MAC}}
		for _, m := range macs {
			r.Ports = append(r.Ports, Port{MAC: m, Origin: ByUser, Heard: t0})
		}
		return r
	}
	for name, test := range map[string]struct {
		records []Record
		want    map[int][]MAC
	}{
		"a merge of which one half was stored":   {[]Record{anchor(1), part(anchor(2), 1)}, map[int][]MAC{1: {mac(1), mac(2)}}},
		"the other half":                         {[]Record{with(anchor(1), mac(2)), anchor(2)}, map[int][]MAC{1: nil, 2: nil}},
		"parts of each other":                    {[]Record{part(anchor(1), 2), part(anchor(2), 1)}, map[int][]MAC{1: nil, 2: nil}},
		"a part of itself":                       {[]Record{part(anchor(1), 1)}, map[int][]MAC{1: nil}},
		"a part of nobody":                       {[]Record{part(anchor(1), 5)}, map[int][]MAC{1: nil}},
		"a part of a part":                       {[]Record{part(anchor(1), 2), part(anchor(2), 3), anchor(3)}, map[int][]MAC{3: {mac(3), mac(1), mac(2)}}},
		"one MAC in two devices":                 {[]Record{with(anchor(1), mac(5)), with(anchor(2), mac(5))}, map[int][]MAC{1: {mac(1), mac(5)}, 2: nil}},
		"MACs of no station and of this machine": {[]Record{with(anchor(1), MAC{}, MAC{1}, mac(99), mac(1))}, map[int][]MAC{1: nil}},
		"a part of this machine":                 {[]Record{part(anchor(1), 99), anchor(99)}, map[int][]MAC{1: nil}},
		"its parts' MACs as well":                {[]Record{anchor(1), part(with(anchor(2), mac(3)), 1)}, map[int][]MAC{1: {mac(1), mac(2), mac(3)}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{Self: []MAC{mac(99)}}, test.records...)
			r.verify()
			got := map[int][]MAC{}
			for _, d := range r.e.Devices() {
				m, _ := ParseMAC(string(d.ID))
				got[int(m[5])] = d.MACs
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			again := r.restart(Config{Self: []MAC{mac(99)}})
			if diff := cmp.Diff(r.e.Devices(), again.e.Devices(), equateAddrs); diff != "" {
				t.Errorf("the next start makes something else of it: %s", diff)
			}
		})
	}
}
