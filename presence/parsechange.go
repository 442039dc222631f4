package presence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxChange is the longest JSON form of a Change, in bytes.
const maxChange = 4 << 10

// ParseChange reads a Change in its JSON form: an object with any of ChangeFields;
// null takes back what was set. unknown names the other fields, cleaned. One
// wrong field makes the whole an error, of one line.
func ParseChange(payload []byte) (c Change, unknown []string, err error) {
	if len(payload) > maxChange {
		return c, nil, fmt.Errorf("it has %d bytes, want at most %d", len(payload), maxChange)
	}
	var fields map[string]json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(payload))
	if dec.Decode(&fields) != nil || fields == nil {
		return c, nil, errors.New(`it is not a JSON object such as {"name": "Anna's phone"}`)
	}
	if _, err := dec.Token(); err != io.EOF {
		return c, nil, errors.New("there is something after the JSON object")
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		read := fieldReaders[name]
		if read == nil {
			if len(unknown) < 8 {
				unknown = append(unknown, CleanText(name, MaxName))
			}
			continue
		}
		if want := read(fields[name], &c); want != "" {
			return Change{}, nil, fmt.Errorf("%s: want %s", name, want)
		}
	}
	return c, unknown, nil
}

// ChangeFields returns the names of the fields that ParseChange knows, sorted.
func ChangeFields() []string { return slices.Sorted(maps.Keys(fieldReaders)) }

// fieldReaders read the fields of a Change. Each returns what would be
// right, or nothing. Of what null leaves, zero is what takes a setting back.
var fieldReaders = map[string]func([]byte, *Change) (want string){
	"name":               func(v []byte, c *Change) string { return readText(v, &c.Name, MaxName) },
	"notes":              func(v []byte, c *Change) string { return readText(v, &c.Notes, MaxNotes) },
	"known":              func(v []byte, c *Change) string { return readFlag(v, &c.Known) },
	"important":          func(v []byte, c *Change) string { return readFlag(v, &c.Important) },
	"ignore_arp_replies": func(v []byte, c *Change) string { return readFlag(v, &c.IgnoreARPReplies) },
	"track":              func(v []byte, c *Change) string { return readSwitch(v, &c.Track, &c.TrackByPolicy) },
	"nudge":              func(v []byte, c *Change) string { return readSwitch(v, &c.Nudge, &c.NudgeByKind) },
	"kind":               readKind,
	"icon":               readIcon,
	"groups":             readGroups,
	"away_after":         readAwayAfter,
	"follow":             readFollow,
}

// readText reads a text; one that is too long is cut.
func readText(value []byte, to **string, limit int) string {
	var s string
	if json.Unmarshal(value, &s) != nil {
		return "a text"
	}
	s = CleanText(s, limit)
	*to = &s
	return ""
}

func readFlag(value []byte, to **bool) string {
	var on bool
	if json.Unmarshal(value, &on) != nil {
		return "true or false"
	}
	*to = &on
	return ""
}

// readSwitch reads true, false or null: the setting for all decides again.
func readSwitch(value []byte, to **bool, back *bool) string {
	if json.Unmarshal(value, to) != nil {
		return "true, false or null"
	}
	*back = *to == nil
	return ""
}

func readKind(value []byte, c *Change) string {
	var kind DeviceKind
	kinds := DeviceKinds()
	if json.Unmarshal(value, &kind) != nil || kind != "" && !slices.Contains(kinds, kind) {
		return "one of " + strings.Trim(fmt.Sprint(kinds), "[]")
	}
	c.Kind = &kind
	return ""
}

func readIcon(value []byte, c *Change) string {
	var icon string
	if json.Unmarshal(value, &icon) != nil || icon != "" && !ValidIcon(icon) {
		return "an icon such as mdi:cellphone"
	}
	c.Icon = &icon
	return ""
}

func readGroups(value []byte, c *Change) string {
	groups := []string{}
	if json.Unmarshal(value, &groups) != nil {
		return `a list of texts such as ["parents"]`
	}
	if len(groups) > MaxDeviceGroups {
		return fmt.Sprintf("at most %d", MaxDeviceGroups)
	}
	clean := make([]string, 0, len(groups))
	for _, g := range groups {
		if len(g) > MaxName {
			return fmt.Sprintf("at most %d bytes each", MaxName)
		}
		if g = CleanText(g, MaxName); g != "" && !slices.Contains(clean, g) {
			clean = append(clean, g)
		}
	}
	c.Groups = &clean
	return ""
}

// readAwayAfter reads seconds, or a duration such as "10m"; 0 or null: learn it.
func readAwayAfter(value []byte, c *Change) string {
	const want = `seconds, or a duration such as "10m", from 1s to 168h, or 0 to learn it`
	var v any
	if json.Unmarshal(value, &v) != nil {
		return want
	}
	var d time.Duration
	switch v := v.(type) {
	case nil:
	case float64:
		if math.IsNaN(v) || v < 0 || v > MaxAwayAfter.Seconds() {
			return want
		}
		d = time.Duration(v * float64(time.Second))
	case string:
		seconds, err := strconv.ParseUint(v, 10, 20) // of a form or a template, which have texts only
		if d = time.Duration(seconds) * time.Second; err != nil {
			d, err = time.ParseDuration(v)
		}
		if err != nil {
			return want
		}
	default:
		return want
	}
	if d != 0 && (d < MinAwayAfter || d > MaxAwayAfter) {
		return want
	}
	c.AwayAfter = &d
	return ""
}

// readFollow reads true, an object with any of the fields of a Follow, or what
// takes it back: false, null.
func readFollow(value []byte, c *Change) string {
	const want = `true, or an object with any of "host_name", "client_id" and "fingerprint", or false`
	f := Follow{}
	if json.Unmarshal(value, &f.Same) != nil {
		dec := json.NewDecoder(bytes.NewReader(value))
		dec.DisallowUnknownFields()
		if dec.Decode(&f) != nil || f.Clean() == (Follow{}) {
			return want
		}
	}
	c.Follow = &f
	return ""
}
