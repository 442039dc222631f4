package devicefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"porchlight/presence"
)

// Bounds of a device file.
const (
	MaxSize    = 2 << 20 // bytes
	MaxDevices = 10_000
)

// maxFaults is how many faults are told one by one.
const maxFaults = 5

// Fault is one thing that is wrong.
type Fault struct {
	Line  int    // from 1; 0: the file as a whole
	Field string // empty: none in particular
	Text  string
}

// String returns the fault in a line: "line 7: away_after: want …".
func (f Fault) String() string {
	var parts []string
	if f.Line > 0 {
		parts = append(parts, fmt.Sprintf("line %d", f.Line))
	}
	if f.Field != "" {
		parts = append(parts, f.Field)
	}
	return strings.Join(append(parts, f.Text), ": ")
}

// Faults is the error of Parse, in the order of lines.
type Faults []Fault

// Error implements error. It is one line.
func (f Faults) Error() string {
	var parts []string
	for _, fault := range f[:min(len(f), maxFaults)] {
		parts = append(parts, fault.String())
	}
	if more := len(f) - maxFaults; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}

// Parse reads a device file. The error is of type Faults. The declarations are
// in the order of the file; no MAC is in two of them.
func Parse(content []byte) ([]presence.Declaration, error) {
	whole := func(line int, format string, args ...any) ([]presence.Declaration, error) {
		return nil, Faults{{Line: line, Text: fmt.Sprintf(format, args...)}}
	}
	if len(content) > MaxSize {
		return whole(0, "it is longer than %d MB", MaxSize>>20)
	}
	if line := notUTF8(content); line > 0 {
		return whole(line, "this is not UTF-8: save the file with that encoding")
	}
	dec := yaml.NewDecoder(bytes.NewReader(content))
	var doc yaml.Node
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return whole(0, `it is empty: to declare no devices, write "devices: []"`)
	case err != nil:
		return whole(0, "%s", yamlWords(err))
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return whole(0, `there is more than one YAML document in it: take out the lines "---"`)
	}
	p := parser{lines: map[presence.MAC]int{}, names: map[string]bool{}, claims: map[string][]claim{}, ways: map[presence.Reach]*yaml.Node{}}
	p.root(doc.Content)
	if len(p.faults) > 0 {
		slices.SortStableFunc(p.faults, func(a, b Fault) int { return a.Line - b.Line })
		return nil, p.faults
	}
	return p.list, nil
}

// notUTF8 returns the line of the first byte that is no UTF-8; 0: none is.
func notUTF8(content []byte) int {
	if utf8.Valid(content) {
		return 0
	}
	line := 1
	for len(content) > 0 {
		r, n := utf8.DecodeRune(content)
		if r == utf8.RuneError && n == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		content = content[n:]
	}
	return line
}

// yamlWords is what the YAML library says, as one line.
func yamlWords(err error) string {
	return presence.CleanText(strings.TrimPrefix(err.Error(), "yaml: "), 200)
}

// parser gathers what a file says and what is wrong with it.
type parser struct {
	list   []presence.Declaration
	lines  map[presence.MAC]int // where each device begins
	names  map[string]bool      // slugs of the groups
	claims map[string][]claim   // what devices follow, by the host name in lower case
	ways   map[presence.Reach]*yaml.Node
	faults Faults
}

func (p *parser) fault(n *yaml.Node, field, format string, args ...any) {
	p.faults = append(p.faults, Fault{n.Line, field, fmt.Sprintf(format, args...)})
}

func (p *parser) root(content []*yaml.Node) {
	if len(content) != 1 || content[0].Kind != yaml.MappingNode {
		p.faults = append(p.faults, Fault{1, "", `want "devices:" with a list of devices`})
		return
	}
	found := false
	p.fields(content[0], func(key, value *yaml.Node) {
		switch {
		case key.Value != "devices":
			p.fault(key, shown(key.Value), `no such field; want "devices:"`)
		case isNull(value): // nothing below it
			found = true
		case value.Kind != yaml.SequenceNode:
			found = true
			p.fault(value, "devices", `want a list, each device after a "-"`)
		default:
			found = true
			p.devices(value.Content)
		}
	})
	if !found && len(p.faults) == 0 {
		p.fault(content[0], "devices", "is missing")
	}
}

// fields calls f for each field of a mapping, and tells of those that are given
// twice.
func (p *parser) fields(mapping *yaml.Node, f func(key, value *yaml.Node)) {
	seen := map[string]bool{}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode:
			p.fault(key, "", "want the name of a field")
		case value.Kind == yaml.AliasNode:
			p.fault(key, shown(key.Value), "aliases are not supported: write it out")
		case seen[key.Value]:
			p.fault(key, shown(key.Value), "is given twice")
		default:
			seen[key.Value] = true
			f(key, value)
		}
	}
}

func (p *parser) devices(nodes []*yaml.Node) {
	for i, n := range nodes {
		if i >= MaxDevices {
			p.fault(n, "devices", "want at most %d", MaxDevices)
			return
		}
		if n.Kind != yaml.MappingNode {
			p.fault(n, "devices", `want fields such as "mac:" and "name:" for each device`)
			continue
		}
		p.device(n)
	}
}

// device reads one entry of the list.
func (p *parser) device(n *yaml.Node) {
	var d presence.Declaration
	hasMAC, hasReach := false, false
	p.fields(n, func(key, value *yaml.Node) {
		hasReach = hasReach || key.Value == "reach" && !isNull(value)
		switch key.Value {
		case "mac":
			hasMAC = true
			d.MAC = p.mac(value, "mac")
			return
		case "macs":
			hasMAC = true
			p.macList(value, &d)
			return
		}
		read := readers[key.Value]
		switch {
		case read == nil:
			p.fault(key, shown(key.Value), "no such field; there are %s", strings.Join(fieldNames, ", "))
		case isNull(value): // as if it were not there
		default:
			if want := read(value, &d.Change); want != "" {
				p.fault(value, key.Value, "%s", want)
			}
		}
	})
	switch {
	case hasMAC:
		p.countWays(n, d.Reach)
	case hasReach:
		d.MAC = p.madeUp(n, &d)
	default:
		p.fault(n, "mac", "is missing")
	}
	if d.MAC == (presence.MAC{}) && len(d.MACs) > 0 {
		d.MAC, d.MACs = d.MACs[0], d.MACs[1:]
	}
	if len(d.MACs) == 0 {
		d.MACs = nil
	}
	p.countGroups(n, d.Groups)
	p.countClaims(n, d.Follow)
	p.list = append(p.list, d)
}

// mac reads an address of a device, which no other in the file has.
func (p *parser) mac(n *yaml.Node, field string) presence.MAC {
	m, err := presence.ParseMAC(n.Value)
	switch {
	case n.Kind != yaml.ScalarNode || err != nil:
		p.fault(n, field, "want an address such as 02:00:5e:10:00:01%s", got(n))
	case !m.Station():
		p.fault(n, field, "%s is an address of no single device", m)
	case p.lines[m] > 0:
		p.fault(n, field, "%s has an entry in line %d already", m, p.lines[m])
	default:
		p.lines[m] = n.Line
	}
	return m
}

// countGroups holds the number of groups of all devices together.
func (p *parser) countGroups(n *yaml.Node, names *[]string) {
	if names == nil {
		return
	}
	for _, name := range *names {
		p.names[presence.GroupSlug(name)] = true
		if len(p.names) == presence.MaxGroups+1 {
			p.fault(n, "groups", "want at most %d different groups in the file", presence.MaxGroups)
			p.names[""] = true // told once
		}
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// shown is a text from the file, fit for an error.
func shown(s string) string {
	if s = presence.CleanText(s, 40); s == "" {
		return `""`
	}
	return s
}

// got repeats a value in an error.
func got(n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode {
		return ", not a list or fields of its own"
	}
	return fmt.Sprintf(", not %q", presence.CleanText(n.Value, 40))
}
