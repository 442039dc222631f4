package listen

import (
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"porchlight/discovery"
	"porchlight/mqtt"
	"porchlight/presence"
)

// What other programs read is what was published, and the node.
func TestJSONLine(t *testing.T) {
	in := `{ "event_type":"left", "seq":7,
		"name":"Zoë’s 📱 \u001b \ud83d\ude00", "new_field":{"a":[1,2.50]}, "html":"<&>" }`
	got := jsonLine(`ho"me`, []byte(in))
	want := `{"event_type":"left","seq":7,"name":"Zoë’s 📱 \u001b \ud83d\ude00","new_field":{"a":[1,2.50]},"html":"<&>","node":"ho\"me"}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := jsonLine("", []byte("{\"x\":\"\U000e0041\"}")); !strings.Contains(got, `\udb40\udc41`) {
		t.Error(got)
	}
}

func TestSummary(t *testing.T) {
	for payload, want := range map[string]bool{
		`{"home":3,"known":41,"last_new":null}`: true, `{"home":0,"known":0}`: true,
		`{}`: false, `{"home":3}`: false, `{"home":-1,"known":2}`: false, `{"home":3,"known":2}`: false,
		`{"home":"3","known":4}`: false, `null`: false, ``: false, `[]`: false, `{"home":1e99,"known":2}`: false,
	} {
		if sum, ok := parseSummary([]byte(payload)); ok != want {
			t.Error(payload, sum, ok)
		}
	}
}

// Whatever is published: what is shown is bounded, printable and one line, and
// the JSON is JSON.
func FuzzEvent(f *testing.F) {
	f.Add([]byte(payload(1, presence.NewDevice, "x")))
	f.Add([]byte("{\"event_type\":\"l\u009b\",\"seq\":1,\"time\":\"2026-05-01T12:00:00+02:00\",\"ip\":\"fe80::1%\u202e\",\"devices\":[{}]}"))
	f.Add([]byte("{\"event_type\":\"listener_opened\",\"seq\":1,\"time\":\"2026-05-01T12:00:00Z\",\"program\":\"\u001b[2J\u202e\",\"protocol\":\"\\u0007\",\"port\":8443}"))
	f.Add([]byte("{\"node\":5,\"event_type\":\"left\",\"seq\":1,\"time\":\"2026-05-01T12:00:00Z\",\"node\":{}, \"x\":\"\\ud83d\"}"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := parseEvent(payload)
		if err != nil {
			return
		}
		title, body := words("", e)
		shown := line(e) + e.Subject() + e.Why + e.HostName + e.Interface + title + body
		jsonl := jsonLine("home", payload)
		for _, r := range shown + jsonl {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q in %q or %q", r, shown, jsonl)
			}
		}
		if len(shown) > 2000 {
			t.Error(len(shown), "bytes")
		}
		var back presence.Event
		var all map[string]any // of two fields of one name the last counts
		if err := errors.Join(json.Unmarshal([]byte(jsonl), &back), json.Unmarshal([]byte(jsonl), &all)); err != nil || all["node"] != "home" || back.Seq != e.Seq {
			t.Error(back, err)
		}
	})
}

// What Porchlight publishes is understood, however long it is.
func TestOwnPayloads(t *testing.T) {
	e := presence.Event{
		Seq: 7, Time: noon, ID: "3c5ab4010203", MAC: presence.MAC{0x3c, 0x5a, 0xb4, 1, 2, 3}, Addr: netip.MustParseAddr("10.0.0.7"),
		Name: "Pixel-7", HostName: "pixel", Vendor: "Google", Interface: "eth0", Why: "w",
	}
	for _, e.Type = range presence.EventTypes() {
		sent := e
		if e.Type == presence.Baseline {
			for range presence.MaxFound {
				sent.Devices = append(sent.Devices, presence.Found{ID: e.ID, Addr: netip.MustParseAddr("192.168.100.100"), Name: strings.Repeat("<", presence.MaxName)})
			}
		}
		e.Socket = nil
		if slices.Contains(presence.MachineTypes(), e.Type) {
			e.Socket = &presence.Socket{Program: "nginx", User: "www-data", Container: "docker:4f5e", PID: 812, Protocol: "tcp", Port: 8443}
			sent.Socket = e.Socket
		}
		payload := discovery.Event(&sent)
		if len(payload) > mqtt.MaxFollowed {
			t.Error(e.Type, "has", len(payload), "bytes")
		}
		got, err := parseEvent(payload)
		if diff := cmp.Diff(e, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || err != nil {
			t.Error(err, diff)
		}
	}
	sum, ok := parseSummary(discovery.Summary(&presence.Summary{Home: 3, Known: 41}))
	if !ok || sum != (summary{3, 41}) {
		t.Error(sum, ok)
	}
}
