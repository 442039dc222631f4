package presence

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func ptr[T any](v T) *T { return &v }

func declare(n int, c Change) Declaration { return Declaration{MAC: mac(n), Change: c} }

// TestFileWins: field by field the device file wins over commands, which count
// again when it says no more; a command never reaches what the file says.
func TestFileWins(t *testing.T) {
	r := newRig(t, Config{Track: TrackNamed, MaxTracked: -1})
	r.hear(sighting(1, DHCPRequest))
	r.set(1, Change{Name: ptr("by command"), Notes: ptr("mine"), AwayAfter: ptr(5 * time.Minute)})
	r.take(r.e.Declare(r.now, []Declaration{declare(1, Change{Name: ptr("in the file"), Groups: ptr([]string{"Kids", "kids", ""}), Kind: ptr(Phone), Track: ptr(false)})}))
	want := Settings{Name: "in the file", Notes: "mine", AwayAfter: 5 * time.Minute, Groups: []string{"Kids"}, Kind: Phone, Track: ptr(false)}
	d := r.device(1)
	if diff := cmp.Diff(want, d.Settings); diff != "" || d.Tracked || d.DisplayName() != "in the file" {
		t.Errorf("tracked %v (-want +got):\n%s", d.Tracked, diff)
	}
	if diff := cmp.Diff([]string{"name", "kind", "groups", "track"}, d.FromFile); diff != "" {
		t.Error(diff)
	}

	over := Change{Name: ptr("again"), Track: ptr(true), Important: ptr(true)}
	if diff := cmp.Diff([]string{"name", "track"}, r.e.Overruled(mac(1).ID(), over)); diff != "" {
		t.Error(diff)
	}
	if got := r.e.Overruled(mac(2).ID(), over); len(got) > 0 {
		t.Errorf("of a device that is not in the file: %q", got)
	}
	r.set(1, over)
	if d = r.device(1); d.Name != "in the file" || d.Tracked || !d.Important {
		t.Errorf("after the command: %+v", d.Settings)
	}
	rec, _ := r.e.Record(d.ID)
	if rec.Name != "again" || rec.Groups != nil || rec.FromFile != nil {
		t.Errorf("stored: %+v", rec.Settings)
	}

	r.changed = nil
	r.take(r.e.Declare(r.now, nil))
	d = r.device(1)
	if d.Name != "again" || !d.Tracked || d.Groups != nil || d.Kind != "" || d.FromFile != nil || len(r.changed) != 1 {
		t.Errorf("without the file: %+v, %d changes", d.Settings, len(r.changed))
	}
	r.set(1, Change{Name: ptr(""), Notes: ptr(""), Important: ptr(false), AwayAfter: ptr(time.Duration(0)), TrackByPolicy: true})
	if d := r.device(1); !d.Settings.Equal(&Settings{}) {
		t.Errorf("after taking everything back: %+v", d.Settings)
	}
}

// TestDeclaredIsNotNew: a device in the file is known before it is heard, and
// is not new when it comes, not even on the first run; it is forgotten with the
// file unless it was heard.
func TestDeclaredIsNotNew(t *testing.T) {
	file := []Declaration{declare(1, Change{Name: ptr("Anna")}), declare(2, Change{Name: ptr("Ben")}), declare(3, Change{})}
	r := newRig(t, Config{MaxTracked: -1, Declared: file, Self: []MAC{mac(3)}})
	if d := r.device(1); d.State != NotHome || d.Since.IsZero() || !d.FirstSeen.IsZero() || !d.Tracked || len(r.changed) != 2 {
		t.Errorf("before it is heard: %+v, %d changed", d, len(r.changed))
	}
	if r.known(3) {
		t.Error("this machine became a device")
	}
	r.wait(100 * 24 * time.Hour)
	if len(r.gone) > 0 {
		t.Error("forgotten:", r.gone)
	}
	r.hear(sighting(1, ARPAnnouncement))
	if diff := cmp.Diff([]EventType{Arrived}, r.types()); diff != "" {
		t.Error(diff)
	}
	d := r.device(1)
	if d.State != Home || !strings.Contains(d.Why, "for the first time") || d.FirstSeen.IsZero() || r.e.Summary().LastNew != nil {
		t.Errorf("when it is heard: %+v", d)
	}
	r.take(r.e.Declare(r.now, nil))
	if diff := cmp.Diff([]ID{mac(2).ID()}, r.gone); diff != "" || !r.known(1) {
		t.Errorf("forgotten with the file: %s", diff)
	}

	r = newRig(t, Config{Declared: file, Baseline: true})
	r.hear(sighting(1, DHCPRequest))
	r.hear(sighting(5, DHCPRequest))
	r.take(r.e.EndBaseline(r.now))
	if len(r.events) != 1 || len(r.events[0].Devices) != 2 || !strings.Contains(r.events[0].Why, "2 devices found") {
		t.Errorf("on the first run: %+v", r.events)
	}
}

// TestDeclaredByMACAlone: a MAC is enough to be known, as long as it is in the
// file; also after a restart, and when it was heard long ago.
func TestDeclaredByMACAlone(t *testing.T) {
	file := []Declaration{declare(1, Change{}), declare(2, Change{})}
	never := Record{Device: Device{ID: mac(1).ID(), MAC: mac(1), State: NotHome, Since: t0}}
	for name, known := range map[string][]Record{"first start": nil, "restart": {never}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Config{MaxTracked: -1, Declared: file}, known...)
			if d := r.device(1); d.State != NotHome || !d.Tracked || d.FromFile != nil || len(r.gone) > 0 {
				t.Errorf("before it is heard: %+v, forgotten %v", d, r.gone)
			}
			r.take(r.e.Declare(r.now, file))
			r.hear(sighting(1, ARPAnnouncement))
			r.wait(100 * 24 * time.Hour)
			r.hear(sighting(1, ARPAnnouncement))
			if diff := cmp.Diff([]EventType{Arrived, Left, Arrived}, r.types()); diff != "" || len(r.gone) > 0 {
				t.Errorf("%s, forgotten %v", diff, r.gone)
			}
			r.take(r.e.Declare(r.now, nil))
			if diff := cmp.Diff([]ID{mac(2).ID()}, r.gone); diff != "" || !r.known(1) {
				t.Errorf("forgotten with the file: %s", diff)
			}
		})
	}
}

// TestDeclaredAtKill: a device that is home by its last event, and whose row
// does not know yet that it was ever heard, is one that was heard from then on.
func TestDeclaredAtKill(t *testing.T) {
	killed := Record{Device: Device{ID: mac(1).ID(), MAC: mac(1), State: Home, Since: t0}}
	cfg := Config{Declared: []Declaration{declare(1, Change{Name: ptr("Anna")})}}
	r := newRig(t, cfg, killed)
	r.wait(time.Second)
	r.hear(sighting(1, ARPRequest))
	if d := r.device(1); !d.FirstSeen.Equal(r.now) || !d.LastSeen.Equal(r.now) || d.State != Home || len(r.events) > 0 {
		t.Errorf("when it is heard: %+v, events %v", d, r.types())
	}
	r.take(r.e.Declare(r.now, nil))
	if !r.known(1) || len(r.gone) > 0 {
		t.Error("forgotten with the file, though it was heard")
	}

	killed.Addr = addr(1)
	r = newRig(t, cfg, killed)
	r.wait(time.Hour)
	if d := r.device(1); d.State != NotHome || !strings.HasPrefix(d.Why, "it could not be asked, nothing heard") || len(r.probes) > 0 {
		t.Errorf("when it is not heard: %s, %s, %d probes", d.State, d.Why, len(r.probes))
	}
}

// TestDeclaredAtRestart: what the file says is there at once, and what it said
// before the restart and says no more is gone.
func TestDeclaredAtRestart(t *testing.T) {
	stored := anchor(1)
	stored.Name, stored.Notes = "own", "note"
	never := Record{Device: Device{ID: mac(2).ID(), MAC: mac(2), State: NotHome, Since: t0}}
	r := newRig(t, Config{Track: TrackNamed, MaxTracked: -1, Declared: []Declaration{declare(1, Change{Name: ptr("file")})}}, stored, never)
	if d := r.device(1); d.Name != "file" || d.Notes != "note" || d.State != Home || !d.Tracked || d.model(r) != 3 {
		t.Errorf("%+v", d)
	}
	if r.known(2) || !slices.Equal(r.gone, []ID{mac(2).ID()}) {
		t.Errorf("a device that only the old file knew: %v", r.gone)
	}
}

func (d *Device) model(r *rig) float64 { return r.e.devices[d.ID].model.home }

// TestAnswersDoNotCount: a device whose answers do not count is neither home by
// them nor asked, and learns its silences anew.
func TestAnswersDoNotCount(t *testing.T) {
	r := newRig(t, Config{AwayInitial: 5 * time.Minute}, responsive(1))
	r.answers[mac(1)] = true
	r.wait(time.Hour)
	if d := r.device(1); d.State != Home || d.AwayAfter > 2*time.Minute {
		t.Fatalf("%s, %s", d.State, d.AwayAfter)
	}
	r.set(1, Change{IgnoreARPReplies: ptr(true)})
	if d := r.device(1); d.AwayAfter != 5*time.Minute {
		t.Errorf("its timeout is %s, want that of one that is not known", d.AwayAfter)
	}
	r.sends()
	r.events = nil
	r.wait(6 * time.Minute)
	if got := r.types(); len(got) != 1 || got[0] != Left || len(r.sends()) != 0 {
		t.Errorf("events %v", got)
	}
	if d := r.device(1); !strings.Contains(d.Why, "its answers do not count") {
		t.Errorf("why: %s", d.Why)
	}
	unicast := sighting(1, NDPAdvertisement)
	unicast.Unicast = true
	for _, s := range []Sighting{sighting(1, ARPReply), unicast} {
		r.hear(s)
		if r.device(1).State != NotHome {
			t.Errorf("home by %s", s.Kind)
		}
	}
	for _, k := range []Kind{ARPRequest, ARPAnnouncement, ARPProbe, DHCPRequest, NDPAdvertisement} {
		r.hear(sighting(1, k))
		if r.device(1).State != Home {
			t.Errorf("not home by %s", k)
		}
		r.wait(time.Hour)
	}
	r.set(1, Change{IgnoreARPReplies: ptr(false)})
	r.hear(sighting(1, ARPReply))
	if r.device(1).State != Home {
		t.Error("not home by an answer that counts again")
	}
}

// TestAnswersDoNotCountFromTheStart: what was learned while answers counted is
// worth nothing when the device file says at a start that they do not, and the
// other way round; what was learned under the same word is kept.
func TestAnswersDoNotCountFromTheStart(t *testing.T) {
	cfg := Config{AwayInitial: 5 * time.Minute}
	deaf := cfg
	deaf.Declared = []Declaration{declare(1, Change{IgnoreARPReplies: ptr(true)})}
	stored := func(r *rig) Record {
		rec, _ := r.e.Record(mac(1).ID())
		b, err := rec.Model.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		rec.Model = Model{}
		if err := rec.Model.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		return rec
	}

	r := newRig(t, deaf, responsive(1))
	if d := r.device(1); d.State != Home || d.AwayAfter != 5*time.Minute {
		t.Fatalf("with the file: %s, away after %s", d.State, d.AwayAfter)
	}
	r.wait(4 * time.Minute)
	if d := r.device(1); d.State != Home {
		t.Errorf("away before its new timeout: %s", d.Why)
	}
	r.hear(sighting(1, ARPRequest))
	for range 40 * 24 {
		r.wait(2 * time.Minute)
		r.hear(sighting(1, ARPRequest))
	}
	learned := r.device(1).AwayAfter
	if learned == 5*time.Minute || learned < 2*time.Minute {
		t.Fatalf("learned with the file: %s", learned)
	}

	r = newRig(t, deaf, stored(r))
	if got := r.device(1).AwayAfter; (got - learned).Abs() > time.Second {
		t.Errorf("after a restart with the same file: %s, want %s", got, learned)
	}
	r = newRig(t, cfg, stored(r))
	if got := r.device(1).AwayAfter; got != 5*time.Minute {
		t.Errorf("after a restart without the file: %s", got)
	}
}

// TestSettingsAreCleaned: what does not fit is cut or left out, whoever sets it.
func TestSettingsAreCleaned(t *testing.T) {
	r := newRig(t, Config{})
	r.hear(sighting(1, DHCPRequest))
	var many []string
	for n := range 40 {
		many = append(many, strings.Repeat("g", 100)+mac(n).String(), string(rune('a'+n%26))+"\x07 group")
	}
	long := strings.Repeat("x", 10<<10)
	r.set(1, Change{
		Name: &long, Notes: ptr("a\x00b\n" + long), Kind: ptr(DeviceKind("fridge")), Icon: ptr("javascript:alert(1)"),
		Groups: &many, AwayAfter: ptr(1000 * time.Hour),
	})
	d := r.device(1)
	if len(d.Name) != MaxName || len(d.Notes) != MaxNotes || strings.ContainsAny(d.Notes, "\x00\n") || d.Kind != "" || d.Icon != "" ||
		len(d.Groups) != MaxDeviceGroups || d.Settings.AwayAfter != MaxAwayAfter || slices.ContainsFunc(d.Groups, func(g string) bool { return len(g) > MaxName || strings.Contains(g, "\x07") }) {
		t.Errorf("%+v", d.Settings)
	}
	for icon, want := range map[string]bool{
		"mdi:cellphone": true, "mdi:cellphone-nfc": true, "phu:hue_bulb": false, "hue:bulb-1": true, "mdi:": false, "cellphone": false, "mdi:a b": false,
		"mdi:" + strings.Repeat("a", 100): false, "MDI:A": false, "mdi:-a": false,
	} {
		if ValidIcon(icon) != want {
			t.Errorf("%q: %v", icon, !want)
		}
	}
}

// TestImportantFirst: where there are more devices than entities.
func TestImportantFirst(t *testing.T) {
	r := newRig(t, Config{MaxTracked: 2})
	for n := 1; n <= 4; n++ {
		r.hear(sighting(n, DHCPRequest))
	}
	r.set(2, Change{Name: ptr("named")})
	r.set(4, Change{Important: ptr(true)})
	for n, want := range []bool{1: false, 2: true, 3: false, 4: true} {
		if n > 0 && r.device(n).Tracked != want {
			t.Errorf("device %d: tracked %v", n, !want)
		}
	}
}

// TestManyDeclared: ten thousand entries are taken, and taken back, in a moment.
func TestManyDeclared(t *testing.T) {
	var list []Declaration
	for n := range 10_000 {
		list = append(list, declare(n, Change{Name: ptr("device"), Groups: ptr([]string{"All"})}))
	}
	e := New(Config{MaxTracked: 500, Declared: list})
	e.Restore(t0, nil)
	if len(e.Devices()) != 10_000 || e.tracked != 500 || len(e.Groups()) != 1 {
		t.Fatalf("%d devices, %d tracked", len(e.Devices()), e.tracked)
	}
	if out := e.Declare(t0, list); len(out.Changed) != 0 || out.GroupsChanged {
		t.Errorf("%d changes by the same file", len(out.Changed))
	}
	e.Declare(t0, nil)
	if len(e.Devices()) != 0 {
		t.Errorf("%d devices are left", len(e.Devices()))
	}
}
