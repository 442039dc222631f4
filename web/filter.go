package web

import (
	"cmp"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"porchlight/presence"
)

// filter chooses devices. An empty field lets all through.
type filter struct {
	Text   string // in any of its names and addresses, in any case
	State  presence.State
	Group  string // slug (presence.GroupSlug)
	Kind   presence.DeviceKind
	Vendor string
}

// filterOf reads the query of r: q, state, group, kind, vendor.
func filterOf(r *http.Request) filter {
	q := r.URL.Query()
	f := filter{
		Text:  presence.CleanText(q.Get("q"), presence.MaxName),
		State: presence.State(q.Get("state")), Kind: presence.DeviceKind(q.Get("kind")),
		Vendor: q.Get("vendor"),
	}
	if g := q.Get("group"); g != "" {
		f.Group = presence.GroupSlug(g)
	}
	return f
}

// of returns those of the devices that f lets through.
func (f filter) of(devices []presence.Device) (chosen []presence.Device) {
	text := strings.ToLower(f.Text)
	for _, d := range devices {
		if f.matches(&d, text) {
			chosen = append(chosen, d)
		}
	}
	return chosen
}

func (f filter) matches(d *presence.Device, text string) bool {
	return (f.State == "" || d.State == f.State) &&
		(f.Kind == "" || d.Kind == f.Kind) &&
		(f.Vendor == "" || d.Vendor == f.Vendor) &&
		(f.Group == "" || slices.ContainsFunc(d.Groups, func(g string) bool { return presence.GroupSlug(g) == f.Group })) &&
		(text == "" || strings.Contains(searched(d), text))
}

// searched is the text of d that one can search.
func searched(d *presence.Device) string {
	words := []string{d.DisplayName(), d.HostName, d.Vendor, d.MAC.String(), string(d.ID), string(d.Kind), d.Notes, d.Addr.String()}
	for _, m := range d.MACs {
		words = append(words, m.String())
	}
	for _, a := range d.IPv6 {
		words = append(words, a.String())
	}
	return strings.ToLower(strings.Join(append(words, d.Groups...), "\n"))
}

// option is an entry of a list to choose from.
type option struct {
	Value, Text string
	Chosen      bool
}

// options are what there is to choose from among the devices.
func (f filter) options(devices []presence.Device) (states, groups, kinds, vendors options) {
	slugs, kindNames, vendorNames := map[string]string{}, map[string]string{}, map[string]string{}
	for _, d := range devices {
		for _, g := range d.Groups {
			slugs[presence.GroupSlug(g)] = g
		}
		kindNames[string(d.Kind)] = string(d.Kind)
		vendorNames[d.Vendor] = d.Vendor
	}
	states = choices(map[string]string{string(presence.Home): "home", string(presence.NotHome): "away"}, string(f.State))
	return states, choices(slugs, f.Group), choices(kindNames, string(f.Kind)), choices(vendorNames, f.Vendor)
}

// options is a list to choose from.
type options []option

// HTML is what is in a select.
func (o options) HTML() template.HTML {
	var m markup
	for _, one := range o {
		m.add(`<option value="%"`, one.Value)
		if one.Chosen {
			m.add(" selected")
		}
		m.add(">%</option>", one.Text)
	}
	return m.html()
}

// choices makes a list to choose from of texts by their values, with "any" first.
func choices(texts map[string]string, chosen string) options {
	delete(texts, "")
	if chosen != "" && texts[chosen] == "" {
		texts[chosen] = chosen
	}
	list := options{{Text: "any"}}
	values := slices.SortedFunc(maps.Keys(texts), func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.ToLower(texts[a]), strings.ToLower(texts[b])), cmp.Compare(a, b))
	})
	for _, value := range values {
		list = append(list, option{value, texts[value], value == chosen})
	}
	return list
}
