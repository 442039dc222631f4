package discovery

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
)

var update = flag.Bool("update", false, "write the golden files anew")

var options = Options{
	Topics:  Topics{Prefix: "porchlight", Node: "home", HAPrefix: "homeassistant"},
	Zone:    "zone.home",
	Version: "1.2.3",
	URL:     "http://192.168.1.10:8580",
}

var at = time.Date(2026, 5, 1, 12, 30, 15, 999, time.FixedZone("CEST", 7200))

func pixel() presence.Device {
	mac := presence.MAC{0x00, 0x1b, 0x63, 0x84, 0x45, 0xe6}
	return presence.Device{
		ID: mac.ID(), MAC: mac, Interface: "eth0",
		Addr:     netip.MustParseAddr("192.168.1.23"),
		IPv6:     []netip.Addr{netip.MustParseAddr("fe80::21b:63ff:fe84:45e6")},
		HostName: "Pixel-8", Vendor: "Google, Inc.",
		State: presence.Home, Since: at, Why: "DHCP REQUEST", FirstSeen: at, LastSeen: at,
		AwayAfter: 95 * time.Second, Tracked: true,
		Settings: presence.Settings{Name: "Anna's phone", Groups: []string{"parents"}, Kind: presence.Phone, Important: true},
	}
}

func private() presence.Device {
	d := pixel()
	d.MAC = presence.MAC{0x6e, 0x1b, 0x63, 0x84, 0x45, 0xe6}
	d.ID, d.Vendor, d.HostName, d.Settings = d.MAC.ID(), "", "", presence.Settings{}
	d.State, d.Addr, d.IPv6, d.Why = presence.NotHome, netip.Addr{}, nil, "no answer to 6 probes in 74 s"
	return d
}

// laptop has a MAC of its own and two private ones.
func laptop() presence.Device {
	d := pixel()
	wire := d.MAC
	d.MAC = presence.MAC{0x6e, 0, 0, 0, 0, 1}
	d.MACs = []presence.MAC{wire, d.MAC, {0x6e, 0, 0, 0, 0, 2}}
	return d
}

var parents = presence.Group{Slug: "parents", Name: "Parents", State: presence.Home}

func summaryOf() presence.Summary {
	return presence.Summary{
		Home: 3, Known: 17,
		LastNew: &presence.NewFound{
			Found: presence.Found{ID: "6e1b638445e6", Addr: netip.MustParseAddr("192.168.1.77"), Name: "Private device 45:e6"},
			MAC:   presence.MAC{0x6e, 0x1b, 0x63, 0x84, 0x45, 0xe6}, Time: at.UTC(),
		},
		Sensing:  []presence.Sensing{{Interface: "eth0"}, {Interface: "wlan0", Blind: true, Why: "no carrier on wlan0"}},
		Problems: []string{"the disk is full"},
	}
}

func TestGolden(t *testing.T) {
	attributesOnly, hidden := options, options
	attributesOnly.AttributesOnly = true
	hidden.HideAddresses = true
	known, stranger, several, sum := pixel(), private(), laptop(), summaryOf()
	event := presence.Event{
		Type: presence.Arrived, Seq: 7, Time: at.UTC().Truncate(time.Second), ID: known.ID, MAC: known.MAC,
		Addr: known.Addr, Name: "Anna's phone", HostName: "Pixel-8", Vendor: "Google, Inc.", Why: "DHCP REQUEST",
	}
	suggestion := event
	suggestion.Type, suggestion.Other = presence.MergeSuggested, stranger.ID
	opened := presence.Event{
		Type: presence.ListenerOpened, Seq: 8, Time: at.UTC().Truncate(time.Second), Addr: netip.MustParseAddr("192.168.1.2"), Why: "nginx began to listen",
		Socket: &presence.Socket{Program: "nginx", User: "www-data", PID: 812, Protocol: "tcp", Port: 8443},
	}
	for name, payload := range map[string][]byte{
		"machine":                 options.Machine("nas"),
		"machine-counts":          MachineCounts(presence.Machine{Established: 12, Listening: 9, Programs: 14}),
		"event-of-a-socket":       Event(&opened),
		"device":                  options.Device(&known),
		"device-attributes-only":  attributesOnly.Device(&known),
		"device-private":          options.Device(&stranger),
		"group":                   options.Group(&parents),
		"group-attributes-only":   attributesOnly.Group(&parents),
		"bridge":                  options.Bridge([]string{"eth0", "wlan0.10"}, nil),
		"bridge-interface-gone":   options.Bridge([]string{"eth0"}, options.Bridge([]string{"eth0", "wlan0"}, nil)),
		"attributes-home":         options.Attributes(&known),
		"attributes-away":         options.Attributes(&stranger),
		"attributes-no-addresses": hidden.Attributes(&several),
		"attributes-several-macs": options.Attributes(&several),
		"device-several-macs":     options.Device(&several),
		"summary":                 Summary(&sum),
		"summary-empty":           Summary(&presence.Summary{}),
		"event":                   Event(&event),
		"event-about-two":         Event(&suggestion),
	} {
		t.Run(name, func(t *testing.T) {
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, payload, "", "  "); err != nil {
				t.Fatal(err)
			}
			pretty.WriteByte('\n')
			file := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(file, pretty.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), pretty.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPlainPayloads(t *testing.T) {
	home, away, unheard := pixel(), private(), presence.Device{}
	for _, c := range []struct {
		got  []byte
		want string
	}{
		{State(&home), "home"},
		{State(&away), "not_home"},
		{State(&unheard), "not_home"}, // never empty: that would delete the topic
		{Name(&home), "Anna's phone"},
		{Name(&away), "Private device 45:e6"},
		{Name(&unheard), "Device"},
		{LastSeen(&home), "2026-05-01T10:30:15Z"},
		{LastSeen(&unheard), ""},
	} {
		if string(c.got) != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

// The keys that Home Assistant's schemas know (homeassistant/components/mqtt,
// schemas.py, device_tracker.py, sensor.py, binary_sensor.py, event.py,
// button.py). An unknown one in the root, in device or in origin makes it
// reject the message; in a component it is dropped in silence.
var (
	rootKeys   = words("device origin components availability availability_mode availability_template availability_topic payload_available payload_not_available state_topic command_topic qos encoding")
	deviceKeys = words("identifiers connections manufacturer model model_id name hw_version serial_number sw_version via_device suggested_area configuration_url")
	originKeys = words("name sw_version support_url")
	commonKeys = words("platform unique_id name default_entity_id qos enabled_by_default entity_category entity_picture icon availability availability_mode availability_template availability_topic payload_available payload_not_available json_attributes_topic json_attributes_template")

	platformKeys = map[string][]string{
		"device_tracker": words("state_topic value_template payload_home payload_not_home payload_reset source_type"),
		"sensor":         words("state_topic encoding value_template device_class expire_after force_update last_reset_value_template options state_class suggested_display_precision unit_of_measurement"),
		"binary_sensor":  words("state_topic encoding value_template device_class expire_after force_update off_delay payload_on payload_off"),
		"event":          words("state_topic encoding value_template device_class event_types"),
		"button":         words("command_topic command_template encoding device_class payload_press retain"),
	}
	requiredKeys = map[string][]string{
		"device_tracker": words("json_attributes_topic source_type"),
		"sensor":         words("state_topic"),
		"binary_sensor":  words("state_topic"),
		"event":          words("state_topic event_types"),
		"button":         words("command_topic"),
	}
	categories = map[string][]string{
		"device_tracker": {""}, "sensor": {"", "diagnostic"}, "binary_sensor": {"", "diagnostic"}, "event": {""}, "button": {""},
	}
	// homeassistant/core.py, VALID_ENTITY_ID, without the look-arounds.
	entityIDForm = regexp.MustCompile(`^[a-z_]+\.[a-z0-9]+(_[a-z0-9]+)*$`)
	keyForm      = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)
)

func words(s string) []string { return strings.Fields(s) }

func unknown(m map[string]json.RawMessage, known ...[]string) (keys []string) {
	for k := range m {
		if !slices.Contains(slices.Concat(known...), k) {
			keys = append(keys, k)
		}
	}
	return keys
}

// checkMessage checks a discovery message against Home Assistant's schema.
func checkMessage(t *testing.T, payload []byte) {
	t.Helper()
	if !utf8.Valid(payload) {
		t.Error("not UTF-8")
	}
	if len(payload) > 16<<10 {
		t.Errorf("%d bytes", len(payload))
	}
	var root, dev, org map[string]json.RawMessage
	var components map[string]map[string]json.RawMessage
	for _, part := range []struct {
		raw  []byte
		into any
	}{{payload, &root}} {
		if err := json.Unmarshal(part.raw, part.into); err != nil {
			t.Fatal(err)
		}
	}
	for key, into := range map[string]any{"device": &dev, "origin": &org, "components": &components} {
		if err := json.Unmarshal(root[key], into); err != nil {
			t.Fatal(key, err)
		}
	}
	if u := slices.Concat(unknown(root, rootKeys), unknown(dev, deviceKeys), unknown(org, originKeys)); len(u) > 0 {
		t.Error("keys that reject the message:", u)
	}
	if len(dev["identifiers"]) < 5 || len(org["name"]) < 3 || len(components) == 0 {
		t.Error("identifiers, origin name or components missing")
	}
	for key, c := range components {
		checkComponent(t, key, c)
	}
}

func checkComponent(t *testing.T, key string, c map[string]json.RawMessage) {
	t.Helper()
	text := func(name string) (s string) { _ = json.Unmarshal(c[name], &s); return s }
	platform := text("platform")
	if !keyForm.MatchString(key) {
		t.Errorf("component key %q", key)
	}
	if platformKeys[platform] == nil {
		t.Fatalf("%s: platform %q", key, platform)
	}
	if len(c) == 1 {
		return // a removal
	}
	if u := unknown(c, commonKeys, platformKeys[platform]); len(u) > 0 {
		t.Errorf("%s: unknown keys %v", key, u)
	}
	for _, name := range slices.Concat(words("unique_id name default_entity_id qos"), requiredKeys[platform]) {
		if c[name] == nil {
			t.Errorf("%s: %s is missing", key, name)
		}
	}
	if string(c["qos"]) != "1" {
		t.Errorf("%s: qos %s", key, c["qos"])
	}
	if id := text("default_entity_id"); !entityIDForm.MatchString(id) || !strings.HasPrefix(id, platform+".") {
		t.Errorf("%s: default_entity_id %q", key, id)
	}
	if !slices.Contains(categories[platform], text("entity_category")) {
		t.Errorf("%s: entity_category %q", key, text("entity_category"))
	}
}

func TestSchema(t *testing.T) {
	attributesOnly := options
	attributesOnly.AttributesOnly = true
	known, stranger := pixel(), private()
	for _, payload := range [][]byte{
		options.Device(&known), options.Device(&stranger), attributesOnly.Device(&known),
		options.Group(&parents), attributesOnly.Group(&parents), options.Group(&presence.Group{Slug: "c0ffee00", Name: "\x00"}),
		options.Machine(""), options.Machine("nas.example\x00"), options.Bridge(nil, nil), options.Bridge([]string{"eth0", "eth0.1", "weird'}}name"}, options.Bridge([]string{"wlan0"}, nil)),
	} {
		checkMessage(t, payload)
	}
	if bytes.Contains(attributesOnly.Device(&known), []byte(`"payload_home"`)) {
		t.Error("attributes_only has payload_home")
	}
}

func TestTopics(t *testing.T) {
	id := presence.ID("001b638445e6")
	for _, c := range []struct{ got, want string }{
		{options.Status(), "porchlight/home/status"},
		{options.Topics.State(id), "porchlight/home/devices/001b638445e6/state"},
		{options.Topics.Attributes(id), "porchlight/home/devices/001b638445e6/attributes"},
		{options.Name(id), "porchlight/home/devices/001b638445e6/name"},
		{options.Topics.LastSeen(id), "porchlight/home/devices/001b638445e6/last_seen"},
		{options.Set(id), "porchlight/home/devices/001b638445e6/set"},
		{options.Topics.Summary(), "porchlight/home/summary"},
		{options.Topics.Event(), "porchlight/home/event"},
		{options.Topics.Machine(), "porchlight/home/machine"},
		{options.MachineConfig(), "homeassistant/device/home/machine/config"},
		{options.Scan(), "porchlight/home/scan/set"},
		{options.GroupState("kids"), "porchlight/home/groups/kids/state"},
		{options.AllGroupStates(), "porchlight/home/groups/+/state"},
		{options.GroupConfig("kids"), "homeassistant/device/home/group_kids/config"},
		{options.Config(id), "homeassistant/device/home/001b638445e6/config"},
		{options.BridgeConfig(), "homeassistant/device/home/bridge/config"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	for topic, parse := range map[string]func(string) (presence.ID, bool){
		options.Set(id): options.ParseSet, options.Config(id): options.ParseConfig,
		options.Topics.State(id): options.ParseState, options.Name(id): options.ParseState, options.Topics.LastSeen(id): options.ParseState,
	} {
		if got, ok := parse(topic); !ok || got != id {
			t.Errorf("%s: %q, %v", topic, got, ok)
		}
	}
	for _, topic := range []string{
		"", "/", "porchlight/home/devices/001b638445e6", "porchlight/home/devices/001B638445E6/set",
		"porchlight/home/devices/../set", "porchlight/away/devices/001b638445e6/set", options.BridgeConfig(), options.MachineConfig(),
	} {
		_, set := options.ParseSet(topic)
		_, config := options.ParseConfig(topic)
		if set || config {
			t.Errorf("%q was taken for a device's", topic)
		}
	}
	for topic, parse := range map[string]func(string) (string, bool){
		options.GroupState("kids_2"): options.ParseGroupState, options.GroupConfig("kids_2"): options.ParseGroupConfig,
	} {
		if got, ok := parse(topic); !ok || got != "kids_2" {
			t.Errorf("%s: %q, %v", topic, got, ok)
		}
	}
	for _, topic := range []string{
		"", options.Config(id), options.Topics.State(id), options.BridgeConfig(), options.MachineConfig(), options.GroupState(""), options.GroupState("Kids"), options.GroupState("kids_"),
		options.GroupState("a/b"), options.GroupState(strings.Repeat("x", 100)), options.GroupConfig(""), options.GroupConfig("#"),
	} {
		_, state := options.ParseGroupState(topic)
		_, config := options.ParseGroupConfig(topic)
		if state || config {
			t.Errorf("%q was taken for a group's", topic)
		}
	}
	for _, bad := range []Topics{
		{Prefix: "porchlight", Node: "a b", HAPrefix: "homeassistant"},
		{Prefix: "porchlight", Node: "a/b", HAPrefix: "homeassistant"},
		{Prefix: "porchlight", Node: "", HAPrefix: "homeassistant"},
		{Prefix: "a/#", Node: "home", HAPrefix: "homeassistant"},
		{Prefix: "/a", Node: "home", HAPrefix: "homeassistant"},
		{Prefix: "porchlight", Node: "home", HAPrefix: "+"},
	} {
		if bad.Check() == nil {
			t.Errorf("%+v passes", bad)
		}
	}
	if err := (Topics{"site/porchlight", "Home_1", "ha/discovery"}).Check(); err != nil {
		t.Error(err)
	}
}

// Whatever a stranger calls itself, every payload stays valid and bounded.
func FuzzHostile(f *testing.F) {
	for _, s := range []string{"", "phone", "\xff\xfe", "\"}{{7*7}}", strings.Repeat("ü", 300), "\u202egnp.exe", "a\x00b", "Фон", "__", "#/+"} {
		f.Add(s, s, s)
	}
	f.Add("eth0", `{"components":{"sensing_wlan0":{"platform":"binary_sensor","unique_id":"x"},"":{"platform":"sensor","unique_id":"x"},"a":{"platform":"fridge","unique_id":"x"},"b":{"platform":"","unique_id":"x"}}}`, "why")
	f.Fuzz(func(t *testing.T, hostName, vendor, why string) {
		d := private()
		d.HostName, d.Vendor, d.Why = hostName, vendor, why
		d.IPv6 = make([]netip.Addr, 50)
		d.Groups = []string{hostName, vendor}
		group := presence.CleanText(hostName, presence.MaxName) // as settings take it
		g := presence.Group{Slug: presence.GroupSlug(group), Name: group, State: presence.Home}
		checkMessage(t, options.Group(&g))
		if slug, ok := options.ParseGroupState(options.GroupState(g.Slug)); !ok || slug != g.Slug {
			t.Errorf("the slug of %q is %q", group, g.Slug)
		}
		checkMessage(t, options.Device(&d))
		checkMessage(t, options.Machine(hostName))
		if p := Name(&d); len(p) == 0 || len(p) > presence.MaxName || !utf8.Valid(p) {
			t.Errorf("name %q", p)
		}
		var a Attributes
		payload := options.Attributes(&d)
		if err := json.Unmarshal(payload, &a); err != nil || !utf8.Valid(payload) || len(payload) > 4<<10 {
			t.Error(err, len(payload))
		}
		sum := presence.Summary{LastNew: &presence.NewFound{Found: presence.Found{Name: hostName}, Vendor: vendor}, Problems: []string{why}}
		if p := Summary(&sum); !json.Valid(p) || !utf8.Valid(p) {
			t.Errorf("%q", p)
		}
		e := presence.Event{HostName: hostName, Vendor: vendor, Why: why, Socket: &presence.Socket{Program: hostName, User: vendor}}
		if p := Event(&e); !json.Valid(p) || !utf8.Valid(p) {
			t.Errorf("%q", p)
		}
		// The kernel bounds an interface's name, to 15 bytes.
		checkMessage(t, options.Bridge([]string{hostName[:min(15, len(hostName))]}, []byte(vendor)))
	})
}

func BenchmarkAttributes(b *testing.B) {
	d := pixel()
	for b.Loop() {
		options.Attributes(&d)
	}
}

func BenchmarkDevice(b *testing.B) {
	d := pixel()
	for b.Loop() {
		options.Device(&d)
	}
}
