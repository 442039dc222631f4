package demo

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"porchlight/discovery"
	"porchlight/presence"
)

var update = flag.Bool("update", false, "write the golden files anew")

var curtain = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// household40 is the view forty seconds into a story: every kind of truth,
// right and wrong, is in it.
func household40() (*view, time.Time) {
	things := household(presence.MAC{0xb8, 0x27, 0xeb, 1, 2, 3})
	truths := map[presence.ID]*truth{}
	for _, th := range things {
		truths[th.mac.ID()] = &truth{thing: th}
		if th.away {
			truths[th.mac.ID()].place = out
		}
	}
	v := newView(things, truths, curtain)
	v.look = "sudo nsenter --net=/proc/4711/ns/net mosquitto_sub -v -t '#'"
	for i, th := range things {
		if th.habit == stranger {
			continue
		}
		r := v.row(th.mac.ID())
		r.name, r.state = th.name, presence.Home
		r.Attributes = discovery.Attributes{
			MAC: th.mac.String(), IP: "10.77.0." + string(rune('1'+i%9)), PrivateMAC: th.mac.Private(), Vendor: "Acme Inc.",
			Since: curtain.Add(-7 * 24 * time.Hour), Why: "ARP reply heard from it for the first time", AwayAfterS: 10,
		}
		if th.away {
			r.state, r.Why = presence.NotHome, "no answer to 6 probes in 5 s, nothing heard for 12 s; it is hardly ever silent, and had 12 s"
		}
	}
	at := func(s int) time.Time { return curtain.Add(time.Duration(s) * time.Second) }
	v.play(beat{0, "ann", join, "Ann comes home."}, at(3))
	v.take(event(occurrence{1, presence.Arrived, at(3).Add(30 * time.Millisecond), things[0], "DHCP DISCOVER heard after 4 h 00 min of silence"}))
	ann := v.row(things[0].mac.ID())
	ann.state, ann.Since, ann.Why = presence.Home, at(3), "DHCP DISCOVER heard after 4 h 00 min of silence"
	v.play(beat{0, "cleo", sleep, "Cleo's phone falls asleep."}, at(25))
	v.play(beat{0, "laptop", leave, "The laptop is shut."}, at(26))
	v.play(beat{0, "dan", drop, "Dan's phone drops the Wi-Fi."}, at(30))
	v.take(event(occurrence{2, presence.Left, at(36), things[3], "no answer to 9 probes in 8 s, nothing heard for 10 s; it is hardly ever silent, and had 10 s"}))
	v.row(things[3].mac.ID()).state = presence.NotHome
	v.play(beat{0, "ann", leave, "Ann takes her phone and leaves. It says nothing; Porchlight asks, then decides what to make of the silence."}, at(38))
	return v, at(40)
}

type occurrence struct {
	seq  int64
	kind presence.EventType
	at   time.Time
	who  thing
	why  string
}

func event(e occurrence) message {
	return message{topics.Event(), discovery.Event(&presence.Event{
		Type: e.kind, Seq: e.seq, Time: e.at, ID: e.who.mac.ID(), MAC: e.who.mac, Name: e.who.name, Why: e.why,
	})}
}

func TestScreen(t *testing.T) {
	for _, test := range []struct {
		name            string
		columns, height int
		colour          bool
		change          func(*view)
	}{
		{"80x24", 80, 24, false, nil},
		{"140x40", 140, 40, false, nil},
		{"colour", 112, 24, true, nil},
		{"narrow", 42, 16, false, nil},
		{"blind", 80, 24, false, func(v *view) {
			v.take(message{topics.Summary(), []byte(`{"sensing":{"lan0":{"ok":false,"why":"no carrier on lan0"}}}`)})
			v.play(beat{do: down, say: "The access point reboots."}, curtain.Add(37*time.Second))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			v, now := household40()
			if test.change != nil {
				test.change(v)
			}
			got := strings.Join(v.screen(now, test.columns, test.height, test.colour), "\n") + "\n"
			golden(t, "screen-"+test.name+".txt", got)
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("differs from %s (-want +got); go test -update writes it anew:\n%s", path, diff)
	}
}

var hostile = []string{
	"\x1b[2J\x1b]0;owned\x07rm -rf", "line\r\nfeed\x00", "\u202eevil\u2066", strings.Repeat("W", 5000),
	strings.Repeat("漢字", 300), strings.Repeat("e\u0301", 400), "\xff\xfe\xfd", "👩‍👩‍👧 phone", "\u009b31m", "",
}

// TestScreenHostile has every text from the LAN hostile, on windows of every
// size: no line is too wide, none too many, and nothing but text gets through.
func TestScreenHostile(t *testing.T) {
	for _, text := range hostile {
		v, now := household40()
		for _, r := range v.rows {
			r.name, r.IP, r.Why, r.Vendor, r.MAC, r.state = text, text, text, text, text, presence.State(text)
		}
		th := v.truth[v.byKey["ann"]].thing
		th.name = text
		v.take(event(occurrence{9, presence.EventType(text), now, th, text}))
		v.blind = text
		v.caption = "caption"
		for _, columns := range []int{20, 33, 79, 80, 81, 109, 110, 200} {
			for _, height := range []int{6, 9, 24, 60} {
				checkLines(t, v.screen(now, columns, height, false), columns, height)
			}
		}
		var b strings.Builder
		tellEvent(&b, v, &v.events[len(v.events)-1])
		checkLines(t, []string{strings.TrimSuffix(b.String(), "\n")}, 2000, 1)
	}
}

// FuzzView takes any publication, and shows what comes of it.
func FuzzView(f *testing.F) {
	id := household(presence.MAC{})[0].mac.ID()
	f.Add(topics.Event(), []byte(`{"event_type":"left","seq":3,"id":"92410c5e217a","name":"x","why":"y"}`))
	f.Add(topics.Summary(), []byte(`{"sensing":{"lan0":{"ok":false}}}`))
	f.Add(topics.Config(id), []byte(`{"device":{"name":"\u001b[2J"}}`))
	f.Add(topics.State(id), []byte("not_home"))
	f.Add(topics.State(id), []byte(""))
	f.Add(topics.Attributes("0000000000ff"), []byte(`{"ip":"\r","since":"2026-05-04T12:00:00Z","away_after_s":-1}`))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		v, now := household40()
		v.take(message{topic, payload})
		checkLines(t, v.screen(now, 112, 30, false), 112, 30)
	})
}

func checkLines(t *testing.T, lines []string, columns, height int) {
	t.Helper()
	if len(lines) > height {
		t.Errorf("%d lines on a window of %d", len(lines), height)
	}
	for _, l := range lines {
		if w := width(l); w > columns {
			t.Errorf("%d columns on a window of %d: %q", w, columns, l)
		}
		for _, r := range l {
			if !unicode.IsPrint(r) {
				t.Fatalf("%U gets through: %q", r, l)
			}
		}
	}
}

func TestText(t *testing.T) {
	for _, test := range []struct {
		in      string
		columns int
		clip    string
		wrap    []string
	}{
		{"", 5, "", nil},
		{"kettle", 6, "kettle", []string{"kettle"}},
		{"kettle", 5, "kett…", []string{"kett…"}},
		{"漢字漢字", 5, "漢字…", []string{"漢字…"}},
		{"漢字漢字", 4, "漢…", []string{"漢…"}},
		{"e\u0301e\u0301e\u0301", 2, "e\u0301…", []string{"e\u0301…"}},
		{"one two three four", 8, "one two…", []string{"one two", "three f…"}},
		{"abc", 0, "", []string{""}},
		{"in 10 s; s", 4, "in …", []string{"in", "10 …"}},
	} {
		if diff := cmp.Diff(test.clip, clip(test.in, test.columns)); diff != "" {
			t.Errorf("clip %q: %s", test.in, diff)
		}
		if diff := cmp.Diff(test.wrap, wrap(test.in, test.columns, 2)); diff != "" {
			t.Errorf("wrap %q: %s", test.in, diff)
		}
	}
}
