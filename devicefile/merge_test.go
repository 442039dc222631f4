package devicefile

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"porchlight/presence"

	"github.com/google/go-cmp/cmp"
)

func TestMerge(t *testing.T) {
	known := []Known{{first, "Anna's phone"}, {second, "yes"}, {presence.MAC{0, 0x16, 0x3e, 0, 0, 3}, ""}}
	const added = "  - mac: 02:00:5e:10:00:01\n    name: Anna's phone\n  - mac: 02:00:5e:10:00:02\n    name: \"yes\"\n  - mac: 00:16:3e:00:00:03\n"
	new3 := []Outcome{Added, Added, Added}
	for _, c := range []struct {
		name, content, want string
		outcomes            []Outcome
	}{
		{"no file", "", "devices:\n" + added, new3},
		{"an empty list", "# mine\ndevices: []  # none\n", "# mine\ndevices:\n" + added, new3},
		{"a list of nothing", "devices:\n# nothing yet\n", "devices:\n# nothing yet\n" + added, new3},
		{
			"a file as people write it", "# Mine.\ndevices:\n\n  # The family.\n  - name: Ben   # his own\n    mac: 02-00-5E-10-00-02\n    groups: [Kids]\n\n  - mac: 02:00:5e:10:00:01  # Anna\n    kind: phone",
			"# Mine.\ndevices:\n\n  # The family.\n  - name: Ben   # his own\n    mac: 02-00-5E-10-00-02\n    groups: [Kids]\n\n  - mac: 02:00:5e:10:00:01  # Anna\n    name: Anna's phone\n    kind: phone\n  - mac: 00:16:3e:00:00:03\n",
			[]Outcome{Named, Unchanged, Added},
		},
		{
			"without indentation", "devices:\n- mac: 02:00:5e:10:00:01\n  name: Ann\n- mac: 00:16:3e:00:00:03\n",
			"devices:\n- mac: 02:00:5e:10:00:01\n  name: Ann\n- mac: 00:16:3e:00:00:03\n- mac: 02:00:5e:10:00:02\n  name: \"yes\"\n",
			[]Outcome{Unchanged, Added, Unchanged},
		},
		{
			"in one line", "devices: [{mac: 02:00:5e:10:00:01, name: ''}, {mac: 02:00:5e:10:00:02, name: Ben}]",
			"devices:\n  - {mac: '02:00:5e:10:00:01', name: Anna's phone}\n  - {mac: '02:00:5e:10:00:02', name: Ben}\n  - mac: 00:16:3e:00:00:03\n",
			[]Outcome{Named, Unchanged, Added},
		},
		{
			"with nothing as its name", "devices:\n  - mac: 02:00:5e:10:00:01 # hers\n    name:\n  - {mac: 00:16:3e:00:00:03}\n",
			"devices:\n  - mac: 02:00:5e:10:00:01 # hers\n    name: Anna's phone\n  - {mac: '00:16:3e:00:00:03'}\n  - mac: 02:00:5e:10:00:02\n    name: yes\n",
			[]Outcome{Named, Added, Unchanged},
		},
		{
			"with fields that say nothing", "devices:\n  - {kind: , mac: 02:00:5e:10:00:01, groups: ~}\n  - {mac: 00:16:3e:00:00:03}\n  - {mac: 02:00:5e:10:00:02, name: Ben}\n",
			"devices:\n  - {kind: null, mac: '02:00:5e:10:00:01', groups: ~, name: Anna's phone}\n  - {mac: '00:16:3e:00:00:03'}\n  - {mac: '02:00:5e:10:00:02', name: Ben}\n",
			[]Outcome{Named, Unchanged, Unchanged},
		},
		{
			"several MACs of one device", "devices:\n  - macs: [00:16:3e:00:00:03, 02:00:5e:10:00:02] # Ben\n    kind: phone\n  - mac: 00:16:3e:00:00:04\n    macs:\n      - 00:16:3e:00:00:05 # by cable\n      - 02:00:5e:10:00:01\n",
			"devices:\n  - macs: [00:16:3e:00:00:03, 02:00:5e:10:00:02] # Ben\n    name: \"yes\"\n    kind: phone\n  - mac: 00:16:3e:00:00:04\n    macs:\n      - 00:16:3e:00:00:05 # by cable\n      - 02:00:5e:10:00:01\n    name: Anna's phone\n",
			[]Outcome{Named, Named, Unchanged},
		},
		{
			"a list of MACs over several lines", "devices:\n  - macs: [\n      02:00:5e:10:00:01,\n      00:16:3e:00:00:03,\n    ]\n  - mac: 02:00:5e:10:00:02\n    name: Ben\n",
			"devices:\n  - macs: ['02:00:5e:10:00:01', '00:16:3e:00:00:03']\n    name: Anna's phone\n  - mac: 02:00:5e:10:00:02\n    name: Ben\n",
			[]Outcome{Named, Unchanged, Unchanged},
		},
		{
			"all known", "devices: [{mac: 02:00:5e:10:00:01, name: A}, {mac: 02:00:5e:10:00:02, name: B}, {mac: 00:16:3e:00:00:03}]\n...\n",
			"devices: [{mac: 02:00:5e:10:00:01, name: A}, {mac: 02:00:5e:10:00:02, name: B}, {mac: 00:16:3e:00:00:03}]\n...\n",
			[]Outcome{Unchanged, Unchanged, Unchanged},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, outcomes, err := Merge([]byte(c.content), known)
			if diff := cmp.Diff(c.want, string(got)); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if diff := cmp.Diff(c.outcomes, outcomes); diff != "" {
				t.Error(diff)
			}
			if again, outcomes, err := Merge(got, known); err != nil || string(again) != string(got) || slices.ContainsFunc(outcomes, func(o Outcome) bool { return o != Unchanged }) {
				t.Errorf("once more: %v, %v\n%s", outcomes, err, again)
			}
		})
	}
}

func TestMergeRefusesFaults(t *testing.T) {
	_, _, err := Merge([]byte("devices:\n  - mac: nonsense\n"), []Known{{first, ""}})
	var faults Faults
	if !errors.As(err, &faults) {
		t.Errorf("%v", err)
	}
}

// Whatever a file is like, it says afterwards what it said before, and the new.
func FuzzMerge(f *testing.F) {
	for _, s := range []string{
		"", "devices: []", "devices:\n  - mac: 02:00:5e:10:00:01\n    name:\n", "devices: [{mac: 02:00:5e:10:00:02}]\n# end\n...\n",
		"\ufeffdevices:\n- {mac: 02:00:5e:10:00:02, notes: \"a\\nb\"}\n", "? devices\n: - mac: 02:00:5e:10:00:01\n", "{devices: [{mac: 02:00:5e:10:00:01}]}",
		"? devices", "devices:\n  - macs: [02:00:5e:10:00:02, 02:00:5e:10:00:01]\n", "devices: [\r{mac: 02:00:5e:10:00:01}]", "devices:\r- mac: 02:00:5e:10:00:01\r",
	} {
		f.Add([]byte(s), "Anna's phone: #1")
	}
	f.Fuzz(func(t *testing.T, content []byte, name string) {
		known := []Known{{first, presence.CleanText(name, presence.MaxName)}, {second, ""}}
		before, err := Parse(content)
		if err != nil && strings.TrimSpace(string(content)) != "" {
			return
		}
		merged, outcomes, err := Merge(content, known)
		if err != nil {
			return // it says that it could not, and nothing is written
		}
		want, _ := mergeLists(before, known)
		if got, err := Parse(merged); err != nil || !reflect.DeepEqual(got, want) || len(outcomes) != len(known) {
			t.Errorf("%v\n%s\nbecame\n%s", err, content, merged)
		}
	})
}
