package presence

import (
	"encoding/hex"
	"reflect"
	"testing"
	"time"
)

const (
	falseAways = 0.25
	initial    = 10 * time.Minute
	least      = 38 * time.Second
	most       = time.Hour
)

func (m *Model) defaultTimeout() time.Duration { return m.timeout(falseAways, initial, least, most) }

// TestTimeout has the timeout that each history leads to.
func TestTimeout(t *testing.T) {
	with := func(m Model, do func(*Model)) Model {
		m.slept = append(histogram(nil), m.slept...)
		do(&m)
		return m
	}
	sleeps := func(n int, s time.Duration) func(*Model) {
		return func(m *Model) {
			for range n {
				m.sleep(s)
			}
		}
	}
	joins := func(n int, s time.Duration) func(*Model) {
		return func(m *Model) {
			for range n {
				m.join(s)
			}
		}
	}
	minutes := func(n float64) time.Duration { return time.Duration(n * float64(time.Minute)) }
	quick := taught(2, 30*time.Second)
	phone := taught(2, 30*time.Second, 10*time.Minute)
	for _, test := range []struct {
		name     string
		m        Model
		min, max time.Duration
	}{
		{"nothing known", Model{}, initial, initial},
		{"an hour of quick answers", taught(1.0/168, 30*time.Second), initial, initial},
		{"a day of quick answers", taught(1.0/6, 30*time.Second), least, minutes(0.75)},
		{"an hour of long sleep", taught(1.0/168, 20*time.Minute), 20 * time.Minute, minutes(30)},
		{"weeks of quick answers", quick, least, minutes(0.75)},
		{"weeks without any silence", Model{home: 2}, least, least},
		{"sleeps of ten minutes", phone, minutes(10.5), minutes(12.5)},
		{"sleeps longer than AWAY_MAX", taught(2, 2*time.Hour), most, most},
		{"one that stands apart", with(phone, sleeps(1, 40*time.Minute)), minutes(10.5), minutes(12.5)},
		{"two that stand apart", with(phone, sleeps(2, 45*time.Minute)), minutes(10.5), minutes(12.5)},
		{"one that hardly stands apart", with(phone, sleeps(1, 12*time.Minute)), minutes(12), minutes(15)},
		{"a new habit", with(phone, sleeps(8, 40*time.Minute)), minutes(40), minutes(50)},
		{"comes and goes like people", with(quick, joins(30, 20*time.Minute)), least, minutes(0.75)},
		{"drops the link", with(quick, joins(200, 20*time.Minute)), minutes(20), minutes(25)},
		{"drops the link, and was out for long once", with(quick, func(m *Model) { joins(200, 20*time.Minute)(m); joins(1, 50*time.Minute)(m) }), minutes(20), minutes(25)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.m.defaultTimeout(); got < test.min || got > test.max {
				t.Errorf("timeout %s, want %s to %s", got, test.min, test.max)
			}
		})
	}
}

// TestFade has a phone replaced by one that always answers.
func TestFade(t *testing.T) {
	m := Model{}
	live := func(days int, s time.Duration) {
		for range days * 24 {
			m.atHome(time.Hour)
			m.sleep(s)
		}
	}
	live(14, 30*time.Minute)
	if got := m.defaultTimeout(); got < 30*time.Minute {
		t.Errorf("a sleeper's timeout is %s", got)
	}
	if w := m.weeks(); w < 1.2 || w > 2 {
		t.Errorf("%g weeks at home in two", w)
	}
	live(250, 30*time.Second)
	if got := m.defaultTimeout(); got > time.Minute {
		t.Errorf("after months with another phone it is still %s", got)
	}
	if w := m.weeks(); w < 2 || w > 3 {
		t.Errorf("%g weeks, the sum must stay bounded", w)
	}
	if n := len(m.slept); n > binOf(31*time.Second)+1 {
		t.Errorf("%d bins are kept", n)
	}
}

func TestAnswers(t *testing.T) {
	for _, test := range []struct {
		name string
		m    Model
		want bool
	}{
		{"not known yet", Model{}, true},
		{"no silence at all", Model{home: 1}, true},
		{"always", taught(1, 30*time.Second), true},
		{"half of the time", taught(1, 30*time.Second, 5*time.Minute), false},
	} {
		if got := test.m.answers(45 * time.Second); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}

func TestNeverAway(t *testing.T) {
	m := taught(1, 30*time.Second)
	if !m.neverAway() {
		t.Error("one that never left")
	}
	m.left()
	if !m.neverAway() {
		t.Error("one that left once")
	}
	m.left()
	if m.neverAway() {
		t.Error("one that left twice")
	}
	if m = taught(0.1, 30*time.Second); m.neverAway() {
		t.Error("one that is hardly known")
	}
}

// TestFalseAway has a device that answers, without a join, after it was
// declared away: its timeout grows, unless that happens once.
func TestFalseAway(t *testing.T) {
	for _, test := range []struct {
		times   int
		learned bool
	}{{1, false}, {20, true}} {
		r := newRig(t, Config{}, responsive(1))
		before := r.device(1).AwayAfter
		for range test.times {
			r.answers[mac(1)] = true
			r.wait(10 * time.Minute)
			r.answers[mac(1)] = false
			r.wait(20 * time.Minute)
			r.hear(sighting(1, ARPRequest))
		}
		r.answers[mac(1)] = true
		r.wait(time.Hour)
		if got := r.device(1).AwayAfter; (got > 20*time.Minute) != test.learned || !test.learned && got > before+10*time.Second {
			t.Errorf("%d times: away after %s, it was %s", test.times, got, before)
		}
	}
}

func TestBins(t *testing.T) {
	for _, d := range []time.Duration{-time.Hour, 0, time.Second, 10 * time.Second, time.Hour, 35 * time.Hour} {
		if i := binOf(d); d > edge(i) || i > 0 && d < edge(i-1)-time.Microsecond {
			t.Errorf("%s is in bin %d, which ends at %s", d, i, edge(i))
		}
	}
	if i := binOf(1000 * time.Hour); i != maxBins-1 {
		t.Errorf("1000 h are in bin %d", i)
	}
	if got := (histogram{}).usual(); got != 0 {
		t.Errorf("usual silence of nothing is %s", got)
	}
}

func TestModelRoundTrip(t *testing.T) {
	m := taught(2.5, 12*time.Second, time.Minute, 9*time.Hour)
	m.join(time.Hour)
	m.left()
	m.fresh = 90 * time.Minute
	deaf, woken := m, m
	deaf.asked, woken.asked = inVain, withNudges
	for _, m := range []Model{{}, m, deaf, woken} {
		b, err := m.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var got Model
		if err := got.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(m, got) {
			t.Errorf("%+v came back as %+v", m, got)
		}
	}
}

func TestModelOfNonsense(t *testing.T) {
	head := "01" + "0000803f" + "00000000" + "00000000"
	for name, s := range map[string]string{
		"empty":              "",
		"another version":    "09" + head[2:] + "00000000",
		"cut":                head,
		"cut in the second":  head + "0000",
		"more than one":      head + "00000000" + "00",
		"negative home":      "01" + "000080bf" + "0000000000000000" + "00000000",
		"NaN":                "01" + "0000c07f" + "0000000000000000" + "00000000",
		"weight of zero":     head + "0501" + "00000000" + "0000" + "0000",
		"infinite weight":    head + "0501" + "0000807f" + "0000" + "0000",
		"beyond the bins":    head + "8701" + "0000803f" + "8801" + "0000803f" + "0000" + "0000",
		"runs in disorder":   head + "0501" + "0000803f" + "0401" + "0000803f" + "0000" + "0000",
		"run longer than it": head + "0509" + "0000803f" + "0000" + "0000",
	} {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		m := Model{leaves: 7}
		if err := m.UnmarshalBinary(b); err == nil || !reflect.DeepEqual(m, Model{leaves: 7}) {
			t.Errorf("%s: %v, %+v", name, err, m)
		}
	}
}

func FuzzModel(f *testing.F) {
	m := taught(2.5, 12*time.Second, time.Minute, 9*time.Hour)
	m.join(time.Hour)
	b, _ := m.MarshalBinary()
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Model
		if m.UnmarshalBinary(b) != nil {
			return
		}
		if d := m.defaultTimeout(); d < least || d > most {
			t.Errorf("timeout %s", d)
		}
		m.answers(time.Minute)
		m.atHome(24 * time.Hour)
		m.sleep(time.Minute)
		c, err := m.MarshalBinary()
		if err != nil || len(c) > 13+2*(2+6*maxBins) {
			t.Fatalf("%d bytes, %v", len(c), err)
		}
		var again Model
		if err := again.UnmarshalBinary(c); err != nil {
			t.Fatalf("its own bytes %x: %v", c, err)
		}
	})
}
