package devicefile

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
)

func ptr[T any](v T) *T { return &v }

var (
	first  = presence.MAC{2, 0, 0x5e, 0x10, 0, 1}
	second = presence.MAC{2, 0, 0x5e, 0x10, 0, 2}
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		want       []presence.Declaration
	}{
		{"none", "devices: []", nil},
		{"none, with a comment", "# mine\ndevices:\n", nil},
		{"a name", "devices:\n  - mac: 02:00:5E:10:00:01\n    name: Anna's phone\n", []presence.Declaration{
			{MAC: first, Change: presence.Change{Name: ptr("Anna's phone")}},
		}},
		{"everything, and a byte order mark", "\xef\xbb\xbf" + `devices:
  - mac: "02005e100001"
    name: "  Ännas\tPhone 📱 "
    kind: phone
    icon: mdi:cellphone-nfc
    groups: [Parents, "Étage 1"]
    track: no
    known: true
    important: true
    away_after: 1d12h
    ignore_arp_replies: yes
    nudge: on
    notes: |
      Two
      lines.
`, []presence.Declaration{{MAC: first, Change: presence.Change{
			Name: ptr("Ännas Phone 📱"), Kind: ptr(presence.Phone), Icon: ptr("mdi:cellphone-nfc"), Groups: ptr([]string{"Parents", "Étage 1"}),
			Track: ptr(false), Known: ptr(true), Important: ptr(true), AwayAfter: ptr(36 * time.Hour), IgnoreARPReplies: ptr(true), Nudge: ptr(true), Notes: ptr("Two lines."),
		}}}},
		{"nothing said, and said to be nothing", "devices:\n- {mac: 02-00-5e-10-00-01, name: , groups: ~, kind: null}\n- {mac: 02:00:5e:10:00:02, name: '', groups: [], away_after: 0}", []presence.Declaration{
			{MAC: first},
			{MAC: second, Change: presence.Change{Name: ptr(""), Groups: ptr([]string{}), AwayAfter: ptr(time.Duration(0))}},
		}},
		{"several MACs", "devices: [{macs: [02:00:5e:10:00:01, 02-00-5E-10-00-02]}]", []presence.Declaration{{MAC: first, MACs: []presence.MAC{second}}}},
		{"several MACs, and the first apart", "devices: [{macs: [02:00:5e:10:00:02], mac: 02:00:5e:10:00:01}]", []presence.Declaration{{MAC: first, MACs: []presence.MAC{second}}}},
		{"one of several MACs", "devices: [{macs: [02:00:5e:10:00:01]}]", []presence.Declaration{{MAC: first}}},
		{"what is followed", `devices:
- {mac: 02:00:5e:10:00:01, follow: {host_name: Annas-iPhone, client_id: "01:02", fingerprint: "1,3,6"}}
- {mac: 02:00:5e:10:00:02, follow: yes}`, []presence.Declaration{
			{MAC: first, Change: presence.Change{Follow: &presence.Follow{HostName: "Annas-iPhone", ClientID: "0102", Fingerprint: "1,3,6"}}},
			{MAC: second, Change: presence.Change{Follow: &presence.Follow{Same: true}}},
		}},
		{"what is not followed, and one name told apart", `devices:
- {mac: 02:00:5e:10:00:01, follow: no}
- {mac: 02:00:5e:10:00:02, follow: {host_name: iPhone, fingerprint: "1"}}
- {mac: 02:00:5e:10:00:03, follow: {host_name: iphone, fingerprint: "2"}}`, []presence.Declaration{
			{MAC: first, Change: presence.Change{Follow: &presence.Follow{}}},
			{MAC: second, Change: presence.Change{Follow: &presence.Follow{HostName: "iPhone", Fingerprint: "1"}}},
			{MAC: presence.MAC{2, 0, 0x5e, 0x10, 0, 3}, Change: presence.Change{Follow: &presence.Follow{HostName: "iphone", Fingerprint: "2"}}},
		}},
		{"a number of seconds, a single group", "devices: [{mac: 02:00:5e:10:00:01, away_after: 90, groups: Kids}]", []presence.Declaration{
			{MAC: first, Change: presence.Change{AwayAfter: ptr(90 * time.Second), Groups: ptr([]string{"Kids"})}},
		}},
		{"where it is reached", "devices:\n- {mac: 02:00:5e:10:00:01, reach: ping 10.1.2.3}\n- {name: NAS, reach: [tcp 10.1.2.4:22, 'tcp [fd00::4]:22']}", []presence.Declaration{
			{MAC: first, Change: presence.Change{Reach: ptr(reaches("ping 10.1.2.3"))}},
			{MAC: presence.ReachMAC(netip.MustParseAddr("10.1.2.4")), Change: presence.Change{
				Name: ptr("NAS"), Reach: ptr(reaches("tcp 10.1.2.4:22", "tcp [fd00::4]:22")),
			}},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Parse([]byte(c.yaml))
			if diff := cmp.Diff(c.want, got, cmp.Comparer(func(a, b presence.Reach) bool { return a == b })); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// reaches are these ways to reach a device.
func reaches(texts ...string) (list []presence.Reach) {
	for _, s := range texts {
		r, ok := presence.ParseReach(s)
		if !ok {
			panic(s)
		}
		list = append(list, r)
	}
	return list
}

func TestParseFaults(t *testing.T) {
	const mac = "devices:\n  - mac: 02:00:5e:10:00:01\n"
	many := func(n int, entry func(int) string) string {
		var b strings.Builder
		b.WriteString("devices:\n")
		for i := range n {
			b.WriteString(entry(i))
		}
		return b.String()
	}
	numbered := func(i int) string {
		return fmt.Sprintf("- {mac: 02:00:00:%02x:%02x:%02x}\n", i>>16, i>>8&0xff, i&0xff)
	}
	for _, c := range []struct{ name, yaml, want string }{
		{"empty", "", `it is empty: to declare no devices, write "devices: []"`},
		{"only a comment", "# nothing\n", `it is empty`},
		{"not YAML", "devices: [", "line 1: did not find expected node content"},
		{"tabs", "devices:\n\t- mac: x\n", "line 2: found character that cannot start any token"},
		{"a list", "- mac: 02:00:5e:10:00:01\n", `line 1: want "devices:" with a list of devices`},
		{"a text", "hello\n", `line 1: want "devices:" with a list of devices`},
		{"another field beside", "devices: []\ngroups: []\n", `line 2: groups: no such field; want "devices:"`},
		{"two documents", "devices: []\n---\ndevices: []\n", "more than one YAML document"},
		{"not a list", "devices:\n  phone: x\n", `line 2: devices: want a list, each device after a "-"`},
		{"no fields", "devices:\n  - 02:00:5e:10:00:01\n", `line 2: devices: want fields such as "mac:"`},
		{"no MAC", "devices:\n  - name: x\n", "line 2: mac: is missing"},
		{"a wrong MAC", "devices:\n  - mac: 02:00:5e:10:00\n", `line 2: mac: want an address such as 02:00:5e:10:00:01, not "02:00:5e:10:00"`},
		{"a group's MAC", "devices:\n  - mac: ff:ff:ff:ff:ff:ff\n", "line 2: mac: ff:ff:ff:ff:ff:ff is an address of no single device"},
		{"the same MAC twice", mac + "    name: a\n  - name: b\n    mac: 02-00-5E-10-00-01\n", "line 5: mac: 02:00:5e:10:00:01 has an entry in line 2 already"},
		{"an unknown field", mac + "    nmae: Anna\n", "line 3: nmae: no such field; there are mac, macs, away_after, follow, groups, icon, ignore_arp_replies, important, kind, known, name, notes, nudge, reach, track"},
		{"reached by a name", mac + "    reach: ping nas.lan\n", `line 3: reach: want "ping 10.1.2.3" or "tcp 10.1.2.3:22", with an IP address, or a list of those, not "ping nas.lan"`},
		{"reached at too many", mac + "    reach: [ping 10.0.0.1, ping 10.0.0.2, ping 10.0.0.3, ping 10.0.0.4, ping 10.0.0.5]\n", "line 3: reach: want at most 4"},
		{"neither MAC nor name", "devices:\n  - reach: ping 10.1.2.3\n", "line 2: name: is missing: a device without a mac needs one"},
		{"reached nowhere", "devices:\n  - {name: x, reach: []}\n", "line 2: mac: is missing"},
		{"reached by a field without a value", "devices:\n  - {name: x, reach: }\n", "line 2: mac: is missing"},
		{"reached twice", "devices:\n  - {name: x, reach: ping 10.1.2.3}\n  - {name: y, reach: \"tcp 10.1.2.3:22\"}\n", "line 3: reach: 10.1.2.3 has an entry in line 2 already"},
		{"reached alike", mac + "    reach: [ping 10.1.2.3, ping 10.1.2.3]\n  - {name: x, reach: ['tcp 10.1.2.4:22', 'ping ::ffff:10.1.2.3']}\n", "line 4: reach: ping 10.1.2.3 is where the device in line 2 is asked already"},
		{"reached alike, with MACs", mac + "    reach: tcp 10.1.2.3:22\n  - {mac: 02:00:5e:10:00:02, reach: 'tcp 10.1.2.3:22'}\n", "line 4: reach: tcp 10.1.2.3:22 is where the device in line 2 is asked already"},
		{"a MAC twice in one device", "devices:\n  - macs:\n    - 02:00:5e:10:00:01\n    - 02:00:5e:10:00:01\n", "line 4: macs: 02:00:5e:10:00:01 has an entry in line 3 already"},
		{"a MAC in two devices", mac + "  - mac: 02:00:5e:10:00:02\n    macs: [02:00:5e:10:00:01]\n", "line 4: macs: 02:00:5e:10:00:01 has an entry in line 2 already"},
		{"MACs that are no list", "devices:\n  - macs: 02:00:5e:10:00:01\n", "line 2: macs: want a list such as [02:00:5e:10:00:01, 02:00:5e:10:00:02]"},
		{"no MACs", "devices:\n  - macs: []\n", "line 2: macs: want a list"},
		{"a wrong MAC among them", "devices:\n  - macs: [02:00:5e:10:00:01, phone]\n", `line 2: macs: want an address such as 02:00:5e:10:00:01, not "phone"`},
		{"too many MACs", "devices:\n  - macs: [" + strings.Repeat("02:00:5e:10:00:01,", 33) + "]\n", "line 2: macs: want at most 32"},
		{"one host name for two", mac + "    follow: {host_name: Annas-iPhone}\n  - mac: 02:00:5e:10:00:02\n    follow: {host_name: annas-IPHONE, client_id: '01'}\n", "line 4: follow: the host name annas-IPHONE is what the device in line 2 follows already"},
		{"one fingerprint for two", mac + "    follow: {fingerprint: '1,3'}\n  - mac: 02:00:5e:10:00:02\n    follow: {fingerprint: '1,3'}\n", "line 4: follow: the client id or fingerprint is what the device in line 2 follows already"},
		{"to follow anything", mac + "    follow: maybe\n", `line 3: follow: want true, or any of host_name, client_id and fingerprint, such as {host_name: Annas-iPhone}, not "maybe"`},
		{"to follow a list", mac + "    follow: [a]\n", "line 3: follow: want true"},
		{"to follow nothing", mac + "    follow: {}\n", "line 3: follow: want true"},
		{"one client id for two, written in two ways", mac + "    follow: {client_id: '01:0A'}\n  - mac: 02:00:5e:10:00:02\n    follow: {client_id: 010a}\n", "line 4: follow: the client id or fingerprint is what the device in line 2 follows already"},
		{"to follow nothing that can be heard", mac + "    follow: {client_id: ':'}\n", "line 3: follow: want true"},
		{"to follow an empty name", mac + "    follow: {host_name: ''}\n", "line 3: follow: want true"},
		{"to follow something else", mac + "    follow: {vendor: x}\n", "line 3: follow: want true"},
		{"to follow control characters", mac + `    follow: {host_name: "a\u0007"}`, "line 3: follow: host_name: want no control characters"},
		{"a field twice", mac + "    name: a\n    name: b\n", "line 4: name: is given twice"},
		{"an unknown kind", mac + "    kind: fridge\n", `line 3: kind: want one of phone, tablet`},
		{"no icon", mac + "    icon: cellphone\n", `line 3: icon: want an icon such as mdi:cellphone, not "cellphone"`},
		{"a wrong duration", mac + "    away_after: soon\n", `line 3: away_after: want a duration from 1s to 7d such as 20m, or 0 to have it learned, not "soon"`},
		{"a long duration", mac + "    away_after: 8d\n", "line 3: away_after: want"},
		{"a negative duration", mac + "    away_after: -5m\n", "line 3: away_after: want"},
		{"a flag", mac + "    track: maybe\n", `line 3: track: want true or false, not "maybe"`},
		{"a name of 10 kB", mac + "    name: " + strings.Repeat("x", 10<<10), "line 3: name: want at most 63 bytes, not 10240"},
		{"a name with control characters", mac + `    name: "a\u0007b\e[31m"`, "line 3: name: want no control characters in it"},
		{"a name that is a list", mac + "    name: [a]\n", "line 3: name: want a text, not a list or fields of its own"},
		{"groups with fields", mac + "    groups: {a: b}\n", "line 3: groups: want names such as [Parents, Phones]"},
		{"a group without a name", mac + "    groups: [a, ]\n    name: x\n    track: 1\n", `line 5: track: want true or false, not "1"`},
		{"an empty group", mac + `    groups: [a, " "]`, "line 3: groups: want names"},
		{"many groups", mac + "    groups: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q]\n", "line 3: groups: want at most 16"},
		{"too many groups in all", many(129, func(i int) string { return strings.TrimSuffix(numbered(i), "}\n") + fmt.Sprintf(", groups: g%d}\n", i) }), "line 130: groups: want at most 128 different groups in the file"},
		{"an alias", "devices:\n  - &a {mac: 02:00:5e:10:00:01}\n  - *a\n", `line 3: devices: want fields`},
		{"an alias as a value", mac + "    name: &n Anna\n    notes: *n\n", "line 4: notes: aliases are not supported"},
		{"a merge", "devices:\n  - &a {mac: 02:00:5e:10:00:01}\n  - {<<: *a, name: x}\n", "line 3: <<: aliases are not supported"},
		{"invalid UTF-8", mac + "    name: M\xfcller\n", "line 3: this is not UTF-8"},
		{"UTF-16", "\xff\xfed\x00e\x00v\x00", "line 1: this is not UTF-8"},
		{"a NUL", mac + "    name: a\x00b\n", "control characters are not allowed"},
		{"too many devices", many(MaxDevices+1, numbered), "line 10002: devices: want at most 10000"},
		{"too long", "devices: []\n#" + strings.Repeat("x", MaxSize), "it is longer than 2 MB"},
		{"three faults", mac + "    name: [a]\n    kind: x\n    track: x\n", "line 3: name: want a text, not a list or fields of its own; line 4: kind:"},
		{"many faults", many(100, func(int) string { return "- {}\n" }), "line 6: mac: is missing; and 95 more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Parse([]byte(c.yaml))
			var faults Faults
			if got != nil || !errors.As(err, &faults) || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %d devices, error %v\nwant %s", len(got), err, c.want)
			}
			if text := err.Error(); len(text) > 2000 || strings.ContainsAny(text, "\n\r\x1b\x00") {
				t.Errorf("the error is %q", text)
			}
		})
	}
}

// The example of the README is this file, and has no fault.
func TestExample(t *testing.T) {
	content, err := os.ReadFile("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	list, err := Parse(content)
	if err != nil || len(list) != 6 {
		t.Fatalf("%d devices, %v", len(list), err)
	}
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```yaml\n"+string(content)+"```") {
		t.Error("the README does not have devicefile/example.yaml as it is")
	}
}

func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("example.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add([]byte("devices: [{mac: 02:00:5e:10:00:01, away_after: 90, groups: Kids}]"))
	f.Add([]byte("devices:\n- &a {mac: 02:00:5e:10:00:01, name: \"\\u0007\"}\n- {<<: *a}\n"))
	f.Add([]byte("a: &a [*a, *a]"))
	f.Add([]byte("devices: [{macs: [02:00:5e:10:00:01, 02005e100002], follow: {host_name: x, client_id: '01:02'}, notes: !!str }, {mac: 02:00:5e:10:00:03, follow: no, icon: mdi:car, kind: car, track: ~}]"))
	f.Add([]byte("devices: [{name: NAS, reach: ping 10.1.2.3}, {name: x, reach: }]"))
	f.Fuzz(func(t *testing.T, content []byte) {
		list, err := Parse(content)
		if err != nil {
			if text := err.Error(); list != nil || text == "" || strings.Contains(text, "\n") || len(text) > 5000 {
				t.Errorf("%d devices, error %q", len(list), text)
			}
			return
		}
		seen, asked := map[presence.MAC]bool{}, map[presence.Reach]int{}
		for i, d := range list {
			for _, m := range append([]presence.MAC{d.MAC}, d.MACs...) {
				if !m.Station() || seen[m] {
					t.Errorf("device %s", m)
				}
				seen[m] = true
			}
			if len(d.MACs) > presence.MaxMACs {
				t.Errorf("%d MACs", len(d.MACs))
			}
			if d.Name != nil && *d.Name != presence.CleanText(*d.Name, presence.MaxName) {
				t.Errorf("name %q", *d.Name)
			}
			if d.Notes != nil && *d.Notes != presence.CleanText(*d.Notes, presence.MaxNotes) {
				t.Errorf("notes %q", *d.Notes)
			}
			if d.Icon != nil && !presence.ValidIcon(*d.Icon) || d.Kind != nil && !slices.Contains(presence.DeviceKinds(), *d.Kind) {
				t.Errorf("icon %v, kind %v", d.Icon, d.Kind)
			}
			if d.AwayAfter != nil && *d.AwayAfter != 0 && (*d.AwayAfter < presence.MinAwayAfter || *d.AwayAfter > presence.MaxAwayAfter) {
				t.Errorf("away after %s", *d.AwayAfter)
			}
			if d.Groups != nil && (len(*d.Groups) > presence.MaxDeviceGroups || slices.Contains(*d.Groups, "")) {
				t.Errorf("groups %q", *d.Groups)
			}
			if d.Follow != nil && *d.Follow != d.Follow.Clean() {
				t.Errorf("follow %+v", *d.Follow)
			}
			if d.Reach != nil {
				for _, r := range *d.Reach {
					again, ok := presence.ParseReach(r.String())
					if other, twice := asked[r]; !ok || again != r || len(*d.Reach) > presence.MaxReach || twice && other != i {
						t.Errorf("reach %s", r)
					}
					asked[r] = i
				}
			}
		}
	})
}
