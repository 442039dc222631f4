package presence

import (
	"strings"
	"testing"
	"time"
)

func TestParseChangeFaults(t *testing.T) {
	for payload, want := range map[string]string{
		``: "JSON object", `null`: "JSON object", `[]`: "JSON object", `"x"`: "JSON object", `{"name":`: "JSON object",
		`{} {}`: "after", `{"name":1}`: "name", `{"track":1}`: "track",
		`{"kind":"fridge"}`: "kind: want one of phone tablet", `{"kind":3}`: "kind", `{"icon":"cellphone"}`: "icon", `{"important":"x"}`: "important",
		`{"ignore_arp_replies":1}`: "ignore_arp_replies", `{"notes":[]}`: "notes", `{"nudge":"yes"}`: "nudge: want true, false or null",
		`{"groups":"a"}`: "groups", `{"groups":[1]}`: "groups",
		`{"groups":["` + strings.Repeat("x", 64) + `"]}`:     "63 bytes",
		`{"groups":[` + strings.Repeat(`"a",`, 16) + `"a"]}`: "at most 16",
		`{"away_after":-1}`: "away_after", `{"away_after":"soon"}`: "away_after", `{"away_after":"500ms"}`: "away_after",
		`{"away_after":1e300}`: "away_after", `{"away_after":"200h"}`: "away_after", `{"away_after":true}`: "away_after",
		`{"name":"` + strings.Repeat("x", 5000) + `"}`: "4096",
	} {
		change, _, err := ParseChange([]byte(payload))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40s: %v, want one line with %q", payload, err, want)
		}
		if change != (Change{}) {
			t.Errorf("%.40s: half a change", payload)
		}
	}
}

func TestParseAwayAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{
		`90`: 90 * time.Second, `"90"`: 90 * time.Second, `"1m30s"`: 90 * time.Second, `1.5`: 1500 * time.Millisecond, `"0"`: 0, `null`: 0, `604800`: MaxAwayAfter, `"604800"`: MaxAwayAfter,
	} {
		c, _, err := ParseChange([]byte(`{"away_after":` + value + `}`))
		if err != nil || c.AwayAfter == nil || *c.AwayAfter != want {
			t.Errorf("%s: %v, %v", value, c.AwayAfter, err)
		}
	}
	for _, value := range []string{`"604801"`, `"18446744073709551615"`, `"+5"`, `"9223372037"`} {
		if c, _, err := ParseChange([]byte(`{"away_after":` + value + `}`)); err == nil {
			t.Errorf("%s: %v", value, c.AwayAfter)
		}
	}
}

func FuzzParseChange(f *testing.F) {
	f.Add([]byte(`{"name":"x","track":true,"groups":["a"],"away_after":"1m","y":1}`))
	f.Add([]byte(`{"kind":"phone","icon":"mdi:car","important":null,"ignore_arp_replies":true,"notes":"x"}`))
	f.Add([]byte(`{"follow":{"host_name":"x","client_id":"01:02 \u200b"},"away_after":90.5,"nudge":null,"groups":["a","a",""],"name":"\ud83d"}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, unknown, err := ParseChange(payload)
		if err != nil && strings.ContainsAny(err.Error(), "\n\r") {
			t.Error(err)
		}
		if err == nil && c.Follow != nil && c.Follow.Clean() != c.Follow.Clean().Clean() {
			t.Errorf("follow %+v", *c.Follow)
		}
		if c.Name != nil && len(*c.Name) > 63 || c.Groups != nil && len(*c.Groups) > MaxDeviceGroups || len(unknown) > 8 {
			t.Error("not bounded")
		}
		if c.AwayAfter != nil && *c.AwayAfter != 0 && (*c.AwayAfter < MinAwayAfter || *c.AwayAfter > MaxAwayAfter) {
			t.Error(*c.AwayAfter)
		}
	})
}
