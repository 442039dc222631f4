package devicefile

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"porchlight/config"
	"porchlight/presence"
)

// readers read the fields of a device. Each returns what would be right, or
// nothing.
var readers = map[string]func(*yaml.Node, *presence.Change) (want string){
	"name":               func(n *yaml.Node, c *presence.Change) string { return text(n, &c.Name, presence.MaxName) },
	"notes":              func(n *yaml.Node, c *presence.Change) string { return text(n, &c.Notes, presence.MaxNotes) },
	"known":              func(n *yaml.Node, c *presence.Change) string { return flag(n, &c.Known) },
	"important":          func(n *yaml.Node, c *presence.Change) string { return flag(n, &c.Important) },
	"ignore_arp_replies": func(n *yaml.Node, c *presence.Change) string { return flag(n, &c.IgnoreARPReplies) },
	"reach":              reach,
	"nudge":              func(n *yaml.Node, c *presence.Change) string { return flag(n, &c.Nudge) },
	"track":              func(n *yaml.Node, c *presence.Change) string { return flag(n, &c.Track) },
	"kind":               kind,
	"icon":               icon,
	"groups":             groups,
	"away_after":         awayAfter,
	"follow":             followed,
}

// fieldNames lists what a device can have.
var fieldNames = append([]string{"mac", "macs"}, slices.Sorted(maps.Keys(readers))...)

// text reads a line of at most limit bytes.
func text(n *yaml.Node, to **string, limit int) string {
	if n.Kind != yaml.ScalarNode {
		return "want a text" + got(n)
	}
	s, want := line(n.Value, limit)
	if want == "" {
		*to = &s
	}
	return want
}

// line cleans a text. Line breaks count as blanks; other control characters are
// hardly what was meant.
func line(s string, limit int) (clean, want string) {
	s = strings.Join(strings.Fields(s), " ")
	switch {
	case len(s) > limit:
		return "", fmt.Sprintf("want at most %d bytes, not %d", limit, len(s))
	case strings.ContainsFunc(s, unicode.IsControl):
		return "", "want no control characters in it"
	}
	return presence.CleanText(s, limit), ""
}

// flag reads true or false, in the words of YAML 1.1, which people know.
func flag(n *yaml.Node, to **bool) string {
	var on bool
	switch strings.ToLower(n.Value) {
	case "true", "yes", "on":
		on = true
	case "false", "no", "off":
	default:
		return "want true or false" + got(n)
	}
	*to = &on
	return ""
}

func kind(n *yaml.Node, c *presence.Change) string {
	k := presence.DeviceKind(n.Value)
	if n.Kind != yaml.ScalarNode || !slices.Contains(presence.DeviceKinds(), k) {
		var names []string
		for _, k := range presence.DeviceKinds() {
			names = append(names, string(k))
		}
		return "want one of " + strings.Join(names, ", ") + got(n)
	}
	c.Kind = &k
	return ""
}

func icon(n *yaml.Node, c *presence.Change) string {
	if n.Kind != yaml.ScalarNode || !presence.ValidIcon(n.Value) {
		return "want an icon such as mdi:cellphone" + got(n)
	}
	c.Icon = &n.Value
	return ""
}

// groups reads a list of names, or a single one.
func groups(n *yaml.Node, c *presence.Change) string {
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	if len(nodes) > presence.MaxDeviceGroups {
		return fmt.Sprintf("want at most %d", presence.MaxDeviceGroups)
	}
	names := []string{}
	for _, n := range nodes {
		if n.Kind != yaml.ScalarNode || isNull(n) {
			return "want names such as [Parents, Phones]"
		}
		name, want := line(n.Value, presence.MaxName)
		switch {
		case want != "":
			return want
		case name == "":
			return "want names such as [Parents, Phones]"
		}
		names = append(names, name)
	}
	c.Groups = &names
	return ""
}

// reach reads where a device is asked that no segment hears: one way, or a list.
func reach(n *yaml.Node, c *presence.Change) string {
	const want = `want "ping 10.1.2.3" or "tcp 10.1.2.3:22", with an IP address, or a list of those`
	nodes := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		nodes = n.Content
	}
	if len(nodes) > presence.MaxReach {
		return fmt.Sprintf("want at most %d", presence.MaxReach)
	}
	ways := []presence.Reach{}
	for _, n := range nodes {
		r, ok := presence.ParseReach(n.Value)
		if n.Kind != yaml.ScalarNode || !ok {
			return want + got(n)
		}
		ways = append(ways, r)
	}
	c.Reach = &ways
	return ""
}

// awayAfter reads a duration, or a number of seconds; 0: learned, whatever the
// user has set otherwise.
func awayAfter(n *yaml.Node, c *presence.Change) string {
	d, err := config.ParseDuration(n.Value)
	if s, notInt := strconv.ParseUint(n.Value, 10, 20); notInt == nil {
		d, err = time.Duration(s)*time.Second, nil
	}
	if n.Kind != yaml.ScalarNode || err != nil || d != 0 && (d < presence.MinAwayAfter || d > presence.MaxAwayAfter) {
		return "want a duration from 1s to 7d such as 20m, or 0 to have it learned" + got(n)
	}
	c.AwayAfter = &d
	return ""
}
