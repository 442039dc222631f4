package web

import (
	"html/template"
	"strings"

	"porchlight/presence"
)

// markup builds the long lists of the pages, such as 250 rows or 10,000 bars,
// for which html/template takes ten times as long. It escapes as that does: what
// is not a literal goes in by text alone.
type markup struct{ b []byte }

// literal is text that stands in the program: nothing that anybody has chosen
// becomes one.
type literal string

// add writes HTML, with a text in the place of each % of it.
func (m *markup) add(html literal, texts ...string) {
	rest := string(html)
	for _, text := range texts {
		before, after, _ := strings.Cut(rest, "%")
		m.b = append(m.b, before...)
		m.text(text)
		rest = after
	}
	m.b = append(m.b, rest...)
}

// text writes s, escaped for the content of an element and for an attribute in
// quotes.
func (m *markup) text(s string) {
	done := 0
	for i := range len(s) {
		var instead string
		switch s[i] {
		case '&':
			instead = "&amp;"
		case '<':
			instead = "&lt;"
		case '>':
			instead = "&gt;"
		case '"':
			instead = "&#34;"
		case '\'':
			instead = "&#39;"
		case 0:
			instead = "\ufffd"
		default:
			continue
		}
		m.b = append(append(m.b, s[done:i]...), instead...)
		done = i + 1
	}
	m.b = append(m.b, s[done:]...)
}

// device is a link to the page of a device; without an id it has none.
func (m *markup) device(root string, id presence.ID, name string) {
	if id == "" {
		m.add("<bdi>%</bdi>", name)
		return
	}
	m.add(`<a href="%devices/%"><bdi>%</bdi></a>`, root, string(id), name)
}

// html is what was built.
func (m *markup) html() template.HTML { return template.HTML(m.b) }
