package supervisor

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"porchlight/config"
)

// notOptions are the settings that an app's user cannot choose, and why.
var notOptions = map[string]string{
	"DATA_DIR":           "the app's own folder",
	"BROKER_LISTEN":      "Home Assistant's broker is an app of its own",
	"BROKER_USERNAME":    "as above",
	"BROKER_PASSWORD":    "as above",
	"DEVICES_FILE":       "devices.yaml in the app's folder",
	"HOSTAPD_SOCKETS":    "Home Assistant OS is no access point, and an app sees no sockets of other programs",
	"HOSTAPD_AWAY_AFTER": "the same",
	"LEASE_FILES":        "an app sees no files of other programs",
	"HOSTS_FILES":        "as above",
	"INGRESS_PORTS":      "the Supervisor gives them out",
	"NOTIFY_TEMPLATES":   "an app has no place for them",
	"TRAFFIC_ROUND":      "a minute is right for its page",
	"TRAFFIC_TOP":        "the same",
	"LOG_FORMAT":         "Home Assistant shows the log to people",
}

// The options are the settings: each has a type that goes with its setting, a
// default that is the setting's, and words in every language.
func TestOptionsAreSettings(t *testing.T) {
	var m manifest
	readYAML(t, filepath.Join(appDir, "config.yaml"), &m)
	settings := map[string]reflect.StructField{}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[config.Config]()) {
		settings[field.Tag.Get("env")] = field
	}
	for name := range settings {
		_, isOption := m.Schema[strings.ToLower(name)]
		if _, isNot := notOptions[name]; isOption == isNot {
			t.Errorf("%s is to be either an option of the app or among those that are none", name)
		}
	}
	for name, element := range m.Schema {
		field, ok := settings[strings.ToUpper(name)]
		if !ok {
			t.Errorf("the option %s is no setting", name)
			continue
		}
		checkOption(t, name, element, m.Options[name], field)
	}
	for name := range m.Options {
		if m.Schema[name] == nil {
			t.Errorf("the option %s has a default and no type", name)
		}
	}

	files, err := filepath.Glob(filepath.Join(appDir, "translations", "*.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("translations: %q, %v", files, err)
	}
	for _, path := range files {
		var words struct {
			Configuration map[string]struct{ Name, Description string }
		}
		readYAML(t, path, &words)
		got, want := slices.Sorted(maps.Keys(words.Configuration)), slices.Sorted(maps.Keys(m.Schema))
		if !slices.Equal(got, want) {
			t.Errorf("%s has %q\nwant %q", path, got, want)
		}
		for name, w := range words.Configuration {
			if w.Name == "" || w.Description == "" {
				t.Errorf("%s: %s has no name or no description", path, name)
			}
		}
	}
}

func checkOption(t *testing.T, name string, element, value any, field reflect.StructField) {
	t.Helper()
	_, isList := element.([]any)
	if isList {
		element = element.([]any)[0]
	}
	if isList != (field.Type.Kind() == reflect.Slice) {
		t.Errorf("the option %s is a list: %t", name, isList)
	}
	kind, _, _ := strings.Cut(strings.TrimSuffix(element.(string), "?"), "(")
	kinds := map[string][]string{
		"string": {"str", "match", "list"}, "[]string": {"match", "str", "list"}, "[]netip.Prefix": {"match"}, "*url.URL": {"match"}, "config.Secret": {"password"},
		"bool": {"bool"}, "int": {"int"}, "float64": {"float"}, "time.Duration": {"match"}, "config.Size": {"match"}, "config.Rate": {"int"},
	}
	if !slices.Contains(kinds[field.Type.String()], kind) {
		t.Errorf("the option %s is a %s, and the setting a %s", name, kind, field.Type)
	}
	form := schemaElement.FindStringSubmatch(element.(string))
	if form == nil {
		return // TestManifest says so
	}
	if list := field.Tag.Get("oneof"); strings.ReplaceAll(list, ",", "|") != form[2] {
		t.Errorf("the option %s is one of %q, the setting of %q", name, form[2], list)
	}
	if optional := form[3] == "?"; optional != (value == nil) { // with a default it is required
		t.Errorf("the option %s is optional: %t; its default is %v", name, optional, value)
	}
	usual := field.Tag.Get("envDefault")
	if value != nil && fmt.Sprint(value) != usual {
		t.Errorf("the default of the option %s is %v, that of the setting %q", name, value, usual)
	}
	if pattern := regexp.MustCompile(form[1]); usual != "" && !pattern.MatchString(usual) {
		t.Errorf("the option %s does not take the setting's default %q", name, usual)
	}
}

// A duration that the form of an option lets through is one for the setting.
func TestDurationOptions(t *testing.T) {
	var m manifest
	readYAML(t, filepath.Join(appDir, "config.yaml"), &m)
	form := regexp.MustCompile(schemaElement.FindStringSubmatch(m.Schema["away_after"].(string))[1])
	for text, want := range map[string]bool{"20m": true, "1h30m": true, "7d": true, "1.5d": true, "1d12h": true, "20": false, "m": false, "": false, "-5m": false, "20 m": false, "10x": false} {
		_, err := config.ParseDuration(text)
		if got := form.MatchString(text); got != want || want && err != nil {
			t.Errorf("%q is taken: %t; as a setting: %v", text, got, err)
		}
	}
}
