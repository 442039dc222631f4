package devicefile

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"porchlight/presence"
)

// Known is a device to be put into a device file.
type Known struct {
	MAC  presence.MAC
	Name string // empty: none
}

// Outcome is what Merge did about one device.
type Outcome string

// The outcomes.
const (
	Added     Outcome = "added"     // it had no entry
	Named     Outcome = "named"     // it had an entry without a name
	Unchanged Outcome = "unchanged" // it has an entry, and its name stays
)

// Merge puts devices into the content of a device file; empty content is a new
// file. What is there stays as it is, names included: lines are only added, and
// comments and the order are kept. It returns what was done, in the order of
// devices. The error is of type Faults when the file has faults.
func Merge(content []byte, devices []Known) (merged []byte, outcomes []Outcome, err error) {
	if len(bytes.TrimSpace(content)) == 0 {
		content = []byte("devices:\n")
	}
	before, err := Parse(content)
	if err != nil {
		return nil, nil, err
	}
	want, outcomes := mergeLists(before, devices)
	if !slices.ContainsFunc(outcomes, func(o Outcome) bool { return o != Unchanged }) {
		return content, outcomes, nil
	}
	for _, write := range []func([]byte, []Known, []Outcome) ([]byte, error){mergeText, mergeNodes} {
		merged, err = write(content, devices, outcomes)
		if err != nil {
			continue
		}
		var got []presence.Declaration
		if got, err = Parse(merged); err == nil && !reflect.DeepEqual(got, want) {
			err = errors.New("it would not say what it should")
		}
		if err == nil {
			return merged, outcomes, nil
		}
	}
	return nil, nil, fmt.Errorf("putting devices into the file: %w", err)
}

// mergeLists is Merge for what files say.
func mergeLists(list []presence.Declaration, devices []Known) (merged []presence.Declaration, outcomes []Outcome) {
	merged = slices.Clone(list)
	places := map[presence.MAC]int{}
	for i, d := range merged {
		places[d.MAC] = i
		for _, m := range d.MACs {
			places[m] = i
		}
	}
	for _, k := range devices {
		i, found := places[k.MAC]
		switch {
		case !found:
			places[k.MAC] = len(merged)
			d := presence.Declaration{MAC: k.MAC}
			if k.Name != "" {
				d.Name = &k.Name
			}
			merged, outcomes = append(merged, d), append(outcomes, Added)
		case k.Name != "" && (merged[i].Name == nil || *merged[i].Name == ""):
			merged[i].Name = &k.Name
			outcomes = append(outcomes, Named)
		default:
			outcomes = append(outcomes, Unchanged)
		}
	}
	return merged, outcomes
}

// entryLines are the lines of a device, each after its indentation.
func entryLines(k Known, indent string) (lines string, err error) {
	lines = indent + "- mac: " + k.MAC.String() + "\n"
	if k.Name != "" {
		line, err := nameLine(k.Name)
		if err != nil {
			return "", err
		}
		lines += indent + "  " + line
	}
	return lines, nil
}

func nameLine(name string) (string, error) {
	b, err := yaml.Marshal(map[string]string{"name": name})
	return string(b), err
}

// mergeText adds lines to the text of the file. It is for files that are written
// as in the README; others are caught by the comparison in Merge.
func mergeText(content []byte, devices []Known, outcomes []Outcome) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(content, &doc); err != nil {
		return nil, err
	}
	list := deviceList(&doc)
	lines := strings.SplitAfter(string(content), "\n")
	if end := &lines[len(lines)-1]; *end != "" {
		*end += "\n"
	}
	indent := "  "
	if list.Line > len(lines) || strings.ContainsAny(strings.ReplaceAll(string(content), "\r\n", "\n"), "\r\u0085\u2028\u2029") {
		return nil, errors.New("it is written in another way") // "? devices" has no line; YAML knows more line ends
	}
	if len(list.Content) > 0 {
		first := list.Content[0]
		before, _, _ := strings.Cut(lines[first.Line-1], "-")
		if strings.TrimSpace(strings.TrimPrefix(before, "\ufeff")) != "" {
			return nil, errors.New("it is written in another way")
		}
		indent = strings.TrimPrefix(before, "\ufeff")
	} else if key := &lines[list.Line-1]; strings.HasPrefix(strings.TrimPrefix(*key, "\ufeff"), "devices:") {
		before, _, _ := strings.Cut(*key, "devices:") // devices: []
		*key = before + "devices:\n"
	}
	for i, k := range devices {
		switch outcomes[i] {
		case Named:
			at, column := macLine(list, k.MAC)
			name, err := nameLine(k.Name)
			if err != nil || at == 0 {
				return nil, errors.Join(err, errors.New("its entry is not found"))
			}
			lines[at-1] += strings.Repeat(" ", column-1) + name
		case Added:
			entry, err := entryLines(k, indent)
			if err != nil {
				return nil, err
			}
			lines = append(lines, entry)
		}
	}
	return []byte(strings.Join(lines, "")), nil
}

// deviceList returns the node of the list in a file that has no faults.
func deviceList(doc *yaml.Node) *yaml.Node { return doc.Content[0].Content[1] }

// macField returns the field of an entry that has m, mac or macs, and the last
// line of its value; nil: the entry is of another device.
func macField(entry *yaml.Node, m presence.MAC) (key *yaml.Node, end int) {
	for i := 0; i+1 < len(entry.Content); i += 2 {
		key, values := entry.Content[i], entry.Content[i+1:i+2]
		switch key.Value {
		case "mac":
		case "macs":
			values = values[0].Content
		default:
			continue
		}
		for _, value := range values {
			if got, err := presence.ParseMAC(value.Value); err == nil && got == m {
				return key, values[len(values)-1].Line
			}
		}
	}
	return nil, 0
}

// macLine returns the line after which a device's name can stand, and the column
// of its fields.
func macLine(list *yaml.Node, m presence.MAC) (line, column int) {
	for _, entry := range list.Content {
		if key, end := macField(entry, m); key != nil {
			return end, key.Column
		}
	}
	return 0, 0
}

// mergeNodes writes the file anew, with its comments.
func mergeNodes(content []byte, devices []Known, outcomes []Outcome) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(content, &doc); err != nil {
		return nil, err
	}
	list := deviceList(&doc)
	if list.Kind != yaml.SequenceNode {
		*list = yaml.Node{Kind: yaml.SequenceNode, HeadComment: list.HeadComment, LineComment: list.LineComment, FootComment: list.FootComment}
	}
	list.Style &^= yaml.FlowStyle
	for _, entry := range list.Content {
		for _, n := range entry.Content {
			if isNull(n) && n.Value == "" && entry.Style&yaml.FlowStyle != 0 {
				n.Value = "null" // for nothing the library writes an empty text here
			}
		}
	}
	for i, k := range devices {
		switch outcomes[i] {
		case Named:
			nameEntry(list, k)
		case Added:
			entry := &yaml.Node{Kind: yaml.MappingNode}
			entry.Content = append(entry.Content, scalar("mac"), scalar(k.MAC.String()))
			if k.Name != "" {
				entry.Content = append(entry.Content, scalar("name"), scalar(k.Name))
			}
			list.Content = append(list.Content, entry)
		}
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	err := enc.Encode(&doc)
	return b.Bytes(), errors.Join(err, enc.Close())
}

// nameEntry gives a device's entry a name, in place of an empty one.
func nameEntry(list *yaml.Node, k Known) {
	for _, entry := range list.Content {
		if key, _ := macField(entry, k.MAC); key == nil {
			continue
		}
		at := -1
		for i := 0; i+1 < len(entry.Content); i += 2 {
			if entry.Content[i].Value == "name" {
				at = i
			}
		}
		if at >= 0 {
			entry.Content[at+1] = scalar(k.Name)
		} else {
			entry.Content = append(entry.Content, scalar("name"), scalar(k.Name))
		}
	}
}

// scalar is a text as a node.
func scalar(s string) *yaml.Node {
	n := &yaml.Node{}
	n.SetString(s)
	return n
}
