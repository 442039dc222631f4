package notify

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"porchlight/presence"
)

// Rule says what somebody wants to hear of, and where.
type Rule struct {
	What    string        // one of the words of Words, or an event type
	After   time.Duration // of "gone": for how long
	Of      string        // a group, or a device by its name, MAC or id; about this machine a program; empty: all
	To      string        // the name of a service; empty: all
	Urgent  bool          // also in quiet hours, and beyond the hourly limit
	devices string        // GroupSlug(Of)
}

const (
	gone      = "gone"
	goneAfter = 30 * time.Minute
	goneLeast = time.Minute
	goneMost  = 7 * 24 * time.Hour
	maxRules  = 64
)

// words are short for event types.
var words = map[string][]presence.EventType{
	"new":      {presence.NewDevice, presence.NewGuests, presence.Baseline},
	"arrived":  {presence.Arrived},
	"left":     {presence.Left},
	"conflict": {presence.AddressConflict},
	"sensing":  {presence.SensingLost, presence.SensingBack},
	"merge":    {presence.MergeSuggested},
	"trouble":  presence.TroubleTypes(),
	"machine":  presence.MachineTypes(),
	gone:       {presence.Left, presence.Arrived},
}

// Words returns what a rule can begin with, besides the event types.
func Words() []string {
	list := make([]string, 0, len(words))
	for w := range words {
		list = append(list, w)
	}
	slices.Sort(list)
	return list
}

// ParseRules reads rules with commas between them, each of the form
//
//	what[:duration][/of][>service][!]
//
// such as "new", "left/Kids", "gone:45m/Front door>phone!". The error names the
// rule and what would be right.
func ParseRules(text string) (rules []Rule, err error) {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		r, err := parseRule(part)
		if err != nil {
			return nil, err
		}
		rules = append(rules, r)
	}
	if len(rules) > maxRules {
		return nil, fmt.Errorf("%d rules: want at most %d", len(rules), maxRules)
	}
	return rules, nil
}

func parseRule(text string) (r Rule, err error) {
	rest, urgent := strings.CutSuffix(text, "!")
	rest, to, _ := strings.Cut(rest, ">")
	rest, of, _ := strings.Cut(rest, "/")
	what, after, timed := strings.Cut(rest, ":")
	r = Rule{
		What: strings.TrimSpace(what), Of: strings.TrimSpace(of), To: strings.TrimSpace(to), Urgent: urgent,
		After: goneAfter,
	}
	r.devices = presence.GroupSlug(r.Of)
	if words[r.What] == nil && !slices.Contains(presence.EventTypes(), presence.EventType(r.What)) {
		return r, fmt.Errorf("%q: want one of %s, or an event type such as %s", text, strings.Join(Words(), ", "), presence.AddressChanged)
	}
	if !timed {
		return r, nil
	}
	if r.What != gone {
		return r, fmt.Errorf("%q: only %q takes a duration, as in gone:45m", text, gone)
	}
	if r.After, err = time.ParseDuration(strings.TrimSpace(after)); err != nil || r.After < goneLeast || r.After > goneMost {
		return r, fmt.Errorf("%q: want a duration from 1m to 168h, as in gone:45m", text)
	}
	return r, nil
}

// types returns the events that r is about.
func (r *Rule) types() []presence.EventType {
	if t := words[r.What]; t != nil {
		return t
	}
	return []presence.EventType{presence.EventType(r.What)}
}

// wants reports whether r is about e. d is the device of e as it is now, nil when
// it is unknown or e is of none.
func (r *Rule) wants(e *presence.Event, d *presence.Device) bool {
	return slices.Contains(r.types(), e.Type) && r.covers(e, d)
}

// covers reports whether r is about the device of e, or its program.
func (r *Rule) covers(e *presence.Event, d *presence.Device) bool {
	switch {
	case r.Of == "":
		return r.What != gone || d != nil && d.Important
	case strings.EqualFold(r.Of, e.Name), strings.EqualFold(r.Of, string(e.ID)), strings.EqualFold(r.Of, e.MAC.String()):
		return true
	case e.Socket != nil:
		return strings.EqualFold(r.Of, e.Program)
	case d == nil:
		return false
	}
	return strings.EqualFold(r.Of, d.DisplayName()) ||
		slices.ContainsFunc(d.Groups, func(g string) bool { return presence.GroupSlug(g) == r.devices })
}

// AboutMachine reports whether r is about this machine only, so that what it
// names is a program.
func (r *Rule) AboutMachine() bool {
	return !slices.ContainsFunc(r.types(), func(t presence.EventType) bool { return !slices.Contains(presence.MachineTypes(), t) })
}

// Knows reports whether d is of the group, or is the device, that r names; a
// rule that names none knows every device.
func (r *Rule) Knows(d *presence.Device) bool {
	return r.Of == "" || r.covers(&presence.Event{ID: d.ID, MAC: d.MAC, Name: d.DisplayName()}, d)
}
