package listen

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

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
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := parseEvent(payload)
		if err != nil {
			return
		}
		title, body := words("", e)
		shown := line(e) + e.Why + e.HostName + e.Interface + title + body
		jsonl := jsonLine("home", payload)
		for _, r := range shown + jsonl {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q in %q or %q", r, shown, jsonl)
			}
		}
		if len(shown) > 2000 {
			t.Error(len(shown), "bytes")
		}
		var back struct {
			presence.Event
			Node string `json:"node"`
		}
		if err := json.Unmarshal([]byte(jsonl), &back); err != nil || back.Node != "home" || back.Seq != e.Seq {
			t.Error(back, err)
		}
	})
}
