package listen

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"porchlight/mqtt"
	"porchlight/presence"
	"porchlight/synced"
)

// line is how events are printed in these tests.
func line(e presence.Event) string { return fmt.Sprintf("%d %s %s", e.Seq, e.Type, e.Name) }

// payload is that of an event at a minute of the day.
func payload(seq int64, kind presence.EventType, name string) string {
	return fmt.Sprintf(`{"event_type":%q,"seq":%d,"time":"2026-05-01T12:%02d:00.0004Z","id":"aabbcc000001","mac":"aa:bb:cc:00:00:01","ip":"10.0.0.7","name":%q,"private_mac":true,"why":"w"}`,
		kind, seq, seq%60, name)
}

func settle() {
	time.Sleep(5 * time.Second)
	synctest.Wait()
}

func expect(t *testing.T, what string, got *synced.Buffer, want ...string) {
	t.Helper()
	if diff := cmp.Diff(strings.Join(append(want, ""), "\n"), got.Take()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		b.say(t, "porchlight/home/summary", true, `{"home":3,"known":41}`)
		r := start(t, b, Config{Line: line})
		settle()
		if log := r.log.Take(); !strings.Contains(log, `msg="at home now" node=home home=3 known=41`) {
			t.Error(log)
		}
		b.say(t, "porchlight/home/event", false, payload(7, presence.NewDevice, "Pixel-7"))
		b.say(t, "porchlight/garage/event", false, payload(7, presence.Left, "Saw"))
		b.say(t, "porchlight/home/devices/aabbcc000001/state", true, "home")
		settle()
		expect(t, "events", r.out, "home          7 new_device Pixel-7", "garage        7 left Saw")

		// Delivered again, and new ones; after a connection that was lost.
		b.cut()
		settle()
		r.log.Take()
		b.say(t, "porchlight/home/event", false, payload(7, presence.NewDevice, "Pixel-7"))
		b.say(t, "porchlight/home/event", false, payload(8, presence.Left, "Pixel-7"))
		b.say(t, "porchlight/garage/event", false, payload(12, presence.Arrived, "Saw"))
		b.say(t, "porchlight/garage/event", false, payload(15, presence.Left, "Saw"))
		settle()
		expect(t, "events", r.out, "home          8 left Pixel-7", "garage        12 arrived Saw", "garage        15 left Saw")
		if log := r.log.Take(); !strings.Contains(log, "node=garage events=4") || strings.Count(log, "missed") != 1 {
			t.Error(log)
		}
		r.stop()
	})
}

func TestFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		screen := new(desktop)
		r := start(t, b, Config{
			Node: "home", Line: line, Desktop: true, show: screen.show,
			Types: []presence.EventType{presence.Left, presence.Arrived},
		})
		all := new(desktop)
		rest := start(t, b, Config{Desktop: true, show: all.show})
		settle()
		b.say(t, "porchlight/home/event", false, payload(1, presence.NewDevice, "a"))
		b.say(t, "porchlight/home/event", false, payload(2, presence.Left, "a"))
		b.say(t, "porchlight/garage/event", false, payload(3, presence.Left, "b"))
		settle()
		expect(t, "of two types at one node", r.out, "2 left a")
		expect(t, "their notifications", &screen.Buffer, "Away: a | w")
		if n := strings.Count(rest.out.Take(), "\n"); n != 3 {
			t.Error(n, "lines without filters")
		}
		expect(t, "notifications without filters", &all.Buffer, "New device: a | 10.0.0.7, private MAC, aa:bb:cc:00:00:01")
	})
}

// Whatever is published, nothing but events is printed, and what is printed is
// harmless.
func TestHostilePayloads(t *testing.T) {
	escape := "\x1b]0;owned\x07\u009b31m\u202e"
	rubbish := []string{
		"", "hello", "null", "[]", "{}", `"x"`, "{", escape, strings.Repeat("[", 100_000), strings.Repeat("x", 1<<20),
		`{"event_type":1,"seq":1}`, `{"event_type":"left","seq":"1"}`, `{"event_type":"left","seq":-1,"time":"2026-05-01T12:00:00Z"}`,
		`{"event_type":"left","seq":1e99}`, `{"event_type":"left","seq":1,"time":"` + escape + `"}`,
		`{"event_type":"left","seq":1,"mac":"` + escape + `"}`, `{"event_type":"left","seq":1}`,
		`{"event_type":"","seq":1,"time":"2026-05-01T12:00:00Z"}`,
		payload(1, presence.Left, "no end")[:100],
	}
	const inJSON = `\u001b]0;owned\u0007` + "\u009b31m\u202e\x7f"
	hostile := func(seq int64, kind presence.EventType) string {
		return strings.NewReplacer("@", inJSON, "10.0.0.7", `fe80::1%`+`\u001b[31m`).
			Replace(payload(seq, kind, strings.Repeat("@x", 500)))
	}
	synctest.Test(t, func(t *testing.T) {
		b, screen := newBroker(t), new(desktop)
		b.say(t, "porchlight/home/event", true, payload(2, presence.Left, "retained"))
		table := start(t, b, Config{Line: line, Desktop: true, show: screen.show})
		jsonl := start(t, b, Config{})
		settle()
		for _, payload := range rubbish {
			b.say(t, "porchlight/home/event", false, payload)
			b.say(t, "porchlight/home/summary", true, payload)
		}
		b.say(t, "porchlight/"+escape+"/event", false, hostile(1, "le@ft"))
		b.say(t, "porchlight/home/event", false, hostile(3, presence.NewDevice))
		b.say(t, "porchlight/home/event", false, payload(4, presence.Left, "fine"))
		settle()
		out, shown, log := table.out.Take()+jsonl.out.Take(), screen.Take(), table.log.Take()
		for _, r := range out + shown + log {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%q came through:\n%q\n%q\n%q", r, out, shown, log)
			}
		}
		for _, want := range []string{
			"1 le ]0;owned 31m ft ]0;owned 31m x ]0;owned 31m x",                                                 // in the table
			`"event_type":"le\u001b]0;owned\u0007\u009b31m\u202e\u007fft","seq":1,`, `"ip":"fe80::1%\u001b[31m"`, // JSON
			`"node":"]0;owned 31m"}`, "4 left fine", `"name":"fine"`,
		} {
			if !strings.Contains(out, want) {
				t.Errorf("%s is not in\n%s", want, out)
			}
		}
		if n := strings.Count(out, "\n"); n != 6 {
			t.Errorf("%d lines:\n%.3000s", n, out)
		}
		if !strings.Contains(shown, "New device: ]0;owned 31m x ]0") || !strings.Contains(shown, "| fe80::1, private MAC") {
			t.Error(shown)
		}
		if n := strings.Count(log, "ignored what is no event"); n != 1 {
			t.Errorf("%d warnings:\n%s", n, log)
		}
	})
}

// An output that nobody reads neither keeps the broker waiting nor the end.
func TestStuckOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBroker(t)
		pipe := make(stuckPipe)
		defer close(pipe)
		r := start(t, b, Config{Line: line, Out: pipe})
		settle()
		big := strings.Repeat("x", 100<<10)
		for i := range int64(300) {
			b.say(t, "porchlight/home/event", false, strings.Replace(payload(i+1, presence.Left, "a"), `"why":"w"`, `"why":"`+big+`"`, 1))
		}
		time.Sleep(time.Minute)
		if log := r.log.Take(); strings.Contains(log, "no connection") {
			t.Error(log)
		}
		r.stop()
	})
}

// stuckPipe takes nothing until it is closed.
type stuckPipe chan struct{}

func (p stuckPipe) Write(b []byte) (int, error) {
	<-p
	return len(b), nil
}

func message(size int) mqtt.Message { return mqtt.Message{Payload: make([]byte, size)} }

func TestInboxIsBounded(t *testing.T) {
	b := newInbox()
	for range 1000 {
		b.Hear(message(100 << 10))
	}
	messages, lost := b.take()
	if len(messages) != inboxSize/(100<<10+messageCost) || len(messages)+lost != 1000 {
		t.Error(len(messages), lost)
	}
	b.Hear(message(1))
	if messages, lost = b.take(); len(messages) != 1 || lost != 0 {
		t.Error(len(messages), lost)
	}
}
