package presence

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
)

// MaxGroups is how many groups there can be; more have no state.
const MaxGroups = 128

// Group is several devices under one name: home when any of them is.
type Group struct {
	Slug  string // names it in topics; see GroupSlug
	Name  string
	State State
}

// group is a Group with what only the Engine needs.
type group struct {
	slug    string
	names   map[string]int // how many members call it so
	members int
	home    int // members that are home
}

func (g *group) state() State {
	if g.home > 0 {
		return Home
	}
	return NotHome
}

// Groups returns all groups that have a member, by slug.
func (e *Engine) Groups() []Group {
	all := make([]Group, 0, len(e.groups))
	for _, g := range e.groups {
		all = append(all, Group{Slug: g.slug, Name: slices.Min(slices.Collect(maps.Keys(g.names))), State: g.state()})
	}
	slices.SortFunc(all, func(a, b Group) int { return cmp.Compare(a.Slug, b.Slug) })
	return all
}

// join counts d into those of its groups that it is not counted in yet. It is
// called after, and part before, its groups or its state change.
func (e *Engine) join(d *device) {
	delete(e.outside, d.ID)
	for _, name := range d.Groups {
		slug := GroupSlug(name)
		g := e.groups[slug]
		if g != nil && slices.Contains(d.groups, g) {
			continue
		}
		if g == nil {
			if len(e.groups) >= MaxGroups {
				e.outside[d.ID] = struct{}{}
				continue
			}
			g = &group{slug: slug, names: map[string]int{}}
			e.groups[slug] = g
		}
		g.members++
		g.names[name]++
		if d.State == Home {
			g.home++
		}
		d.groups = append(d.groups, g)
		e.out.GroupsChanged = true
	}
}

// letIn counts those in for whose groups there is room by now.
func (e *Engine) letIn() {
	for _, id := range sortedIDs(e.outside) {
		e.join(e.devices[id])
	}
}

// part undoes join.
func (e *Engine) part(d *device) {
	delete(e.outside, d.ID)
	for i, g := range d.groups {
		name := d.Groups[slices.IndexFunc(d.Groups, func(name string) bool { return GroupSlug(name) == g.slug })]
		if g.names[name]--; g.names[name] == 0 {
			delete(g.names, name)
		}
		if d.State == Home {
			g.home--
		}
		if g.members--; g.members == 0 {
			delete(e.groups, g.slug)
		}
		d.groups[i] = nil
		e.out.GroupsChanged = true
	}
	d.groups = d.groups[:0]
}

// GroupSlug makes the name of a group fit for a topic level and for a part of
// an entity id: lower-case letters, digits and single underscores, at most
// about twice as long as the name, never empty. Upper case, accents, blanks
// and punctuation make no difference: "Kids" and "kids!" are one group. What
// has no such letters, as other alphabets, is told apart by a number that is
// always the same for the same name.
func GroupSlug(name string) string {
	var b strings.Builder
	gap, lost := false, false
	for _, r := range strings.ToLower(name) {
		letters := string(r)
		if r >= 0x80 {
			letters = latin[r]
			lost = lost || letters == ""
		} else if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			letters = ""
		}
		if letters == "" {
			gap = b.Len() > 0
			continue
		}
		if gap {
			b.WriteByte('_')
			gap = false
		}
		b.WriteString(letters)
	}
	if lost || b.Len() == 0 {
		h := fnv.New32a()
		_, _ = h.Write([]byte(strings.ToLower(name)))
		if b.Len() > 0 {
			b.WriteByte('_')
		}
		fmt.Fprintf(&b, "%08x", h.Sum32())
	}
	return b.String()
}

// latin has the letters of European languages that are written with a to z
// where there is nothing else.
var latin = func() map[rune]string {
	m := map[rune]string{}
	for to, from := range map[string]string{
		"a": "àáâãäåāăą", "ae": "æ", "c": "çćĉċč", "d": "ďđð", "e": "èéêëēĕėęě", "g": "ĝğġģ", "h": "ĥħ",
		"i": "ìíîïĩīĭįı", "j": "ĵ", "k": "ķ", "l": "ĺļľŀł", "n": "ñńņňŋ", "o": "òóôõöøōŏő", "oe": "œ", "r": "ŕŗř",
		"s": "śŝşšș", "ss": "ß", "t": "ţťŧț", "th": "þ", "u": "ùúûüũūŭůűų", "w": "ŵ", "y": "ýÿŷ", "z": "źżž",
	} {
		for _, r := range from {
			m[r] = to
		}
	}
	return m
}()
