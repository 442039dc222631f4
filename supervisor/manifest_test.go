package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const appDir = "../app"

// manifest is what these tests look at in config.yaml.
type manifest struct {
	Version, Slug, Watchdog string
	Ingress                 bool
	IngressPort             *int `yaml:"ingress_port"`
	Privileged, Services    []string
	HostNetwork             bool `yaml:"host_network"`
	Options                 map[string]any
	Schema                  map[string]any
}

// documented are the keys of config.yaml and what a value looks like: the type,
// a regular expression for a text, or the values that it may have.
// (developers.home-assistant.io, "App configuration"; where the page names no
// form, the Supervisor's own check in supervisor/apps/validate.py.)
var documented = map[string]any{
	// required
	"name":        regexp.MustCompile(`^.+$`),
	"version":     regexp.MustCompile(`^[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}$`), // it becomes a Docker tag
	"slug":        regexp.MustCompile(`^[-_.A-Za-z0-9]+$`),
	"description": regexp.MustCompile(`^.+$`),
	"arch":        []string{"aarch64", "amd64"},
	// optional
	"machine":           "list",
	"url":               regexp.MustCompile(`^https?://`),
	"startup":           []string{"initialize", "system", "services", "application", "once"},
	"webui":             regexp.MustCompile(`^(https?|\[PROTO:\w+\])://\[HOST\]:\[PORT:\d+\].*$`),
	"boot":              []string{"auto", "manual", "manual_only"},
	"ports":             "dict",
	"ports_description": "dict",
	"host_network":      "bool",
	"host_ipc":          "bool",
	"host_dbus":         "bool",
	"host_pid":          "bool",
	"host_uts":          "bool",
	"devices":           "list",
	"homeassistant":     regexp.MustCompile(`^\d{4}\.\d{1,2}\.\d+$`),
	"hassio_role":       []string{"default", "homeassistant", "backup", "manager", "admin"},
	"hassio_api":        "bool",
	"homeassistant_api": "bool",
	"docker_api":        "bool",
	"privileged": []string{
		"BPF", "CHECKPOINT_RESTORE", "DAC_READ_SEARCH", "IPC_LOCK", "NET_ADMIN", "NET_RAW", "PERFMON", "SYS_ADMIN",
		"SYS_MODULE", "SYS_NICE", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME",
	},
	"full_access":       "bool",
	"apparmor":          "bool",
	"map":               "map",
	"environment":       "dict",
	"audio":             "bool",
	"video":             "bool",
	"gpio":              "bool",
	"usb":               "bool",
	"uart":              "bool",
	"udev":              "bool",
	"devicetree":        "bool",
	"kernel_modules":    "bool",
	"stdin":             "bool",
	"legacy":            "bool",
	"options":           "dict",
	"schema":            "dict",
	"image":             regexp.MustCompile(`^[a-z0-9.:/{}_-]+$`),
	"timeout":           "int",
	"tmpfs":             "bool",
	"discovery":         "list",
	"services":          []string{"mqtt:provide", "mqtt:want", "mqtt:need", "mysql:provide", "mysql:want", "mysql:need"},
	"auth_api":          "bool",
	"ingress":           "bool",
	"ingress_port":      "int",
	"ingress_entry":     regexp.MustCompile(`^.*$`),
	"ingress_stream":    "bool",
	"panel_icon":        regexp.MustCompile(`^mdi:[a-z0-9-]+$`),
	"panel_title":       regexp.MustCompile(`^.+$`),
	"panel_admin":       "bool",
	"backup":            []string{"hot", "cold"},
	"backup_pre":        regexp.MustCompile(`^.+$`),
	"backup_post":       regexp.MustCompile(`^.+$`),
	"backup_exclude":    "list",
	"stage":             []string{"stable", "experimental", "deprecated"},
	"init":              "bool",
	"watchdog":          regexp.MustCompile(`^(https?|\[PROTO:\w+\]|tcp)://\[HOST\]:(\[PORT:\d+\]|\d+).*$`),
	"realtime":          "bool",
	"journald":          "bool",
	"breaking_versions": "list",
	"ulimits":           "dict",
}

// mapTypes are the folders that an app can have. addon_config is the name that
// every Supervisor knows for what the documentation calls app_config since 2026.
var mapTypes = []string{
	"addon_config", "homeassistant_config", "app_config", "all_app_configs", "local_apps", "ssl", "backup", "share", "media", "data",
}

// schemaElement is the type of an option (supervisor/apps/options.py).
var schemaElement = regexp.MustCompile(`^(?:bool|email|url|port|device(?:\(subsystem=[a-z]+\))?|(?:str|password)(?:\(\d*,\d*\))?|` +
	`int(?:\((?:-?\d+)?,(?:-?\d+)?\))?|float(?:\((?:-?\d*\.?\d+)?,(?:-?\d*\.?\d+)?\))?|match\((.*)\)|list\((.+)\))(\?)?$`)

// wrong returns what is wrong with a manifest, a line each.
func wrong(doc map[string]any) (lines []string) {
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	for _, key := range []string{"name", "version", "slug", "description", "arch"} {
		if _, ok := doc[key]; !ok {
			add("%s is missing", key)
		}
	}
	for key, value := range doc {
		want, ok := documented[key]
		if !ok {
			add("%s is no key", key)
			continue
		}
		text := fmt.Sprint(value)
		switch want := want.(type) {
		case *regexp.Regexp:
			if _, isText := value.(string); !isText || !want.MatchString(text) {
				add("%s is %q", key, text)
			}
		case []string:
			items, isList := value.([]any)
			if !isList {
				items = []any{value}
			}
			if isList != slices.Contains([]string{"arch", "privileged", "services"}, key) {
				add("%s is a %T", key, value)
			}
			for _, item := range items {
				if !slices.Contains(want, fmt.Sprint(item)) {
					add("%s has %v", key, item)
				}
			}
		case string:
			lines = append(lines, wrongType(key, want, value)...)
		}
	}
	schema, _ := doc["schema"].(map[string]any)
	for name, element := range schema {
		if list, ok := element.([]any); ok && len(list) == 1 {
			element = list[0]
		}
		form := schemaElement.FindStringSubmatch(fmt.Sprint(element))
		if form == nil {
			add("the option %s has the type %v", name, element)
			continue
		}
		if _, err := regexp.Compile(form[1]); err != nil {
			add("the option %s: %v", name, err)
		}
	}
	slices.Sort(lines)
	return lines
}

func wrongType(key, want string, value any) (lines []string) {
	kinds := map[string]reflect.Kind{"bool": reflect.Bool, "int": reflect.Int, "list": reflect.Slice, "map": reflect.Slice, "dict": reflect.Map}
	if value == nil || reflect.TypeOf(value).Kind() != kinds[want] {
		return []string{fmt.Sprintf("%s is a %T", key, value)}
	}
	if want != "map" {
		return nil
	}
	for _, entry := range value.([]any) {
		folder, _ := entry.(map[string]any)
		for k, v := range folder {
			_, isBool := v.(bool)
			if k == "type" && !slices.Contains(mapTypes, fmt.Sprint(v)) || k == "read_only" && !isBool || !slices.Contains([]string{"type", "read_only", "path"}, k) {
				lines = append(lines, fmt.Sprintf("map has %s: %v", k, v))
			}
		}
		if folder["type"] == nil {
			lines = append(lines, fmt.Sprintf("map has %v", entry))
		}
	}
	return lines
}

func readYAML(t *testing.T, path string, into any) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return string(content)
}

func TestManifest(t *testing.T) {
	var doc map[string]any
	text := readYAML(t, filepath.Join(appDir, "config.yaml"), &doc)
	for _, line := range wrong(doc) {
		t.Error("config.yaml:", line)
	}
	var m manifest
	readYAML(t, filepath.Join(appDir, "config.yaml"), &m)
	if !m.Ingress || m.IngressPort == nil || *m.IngressPort != 0 || !m.HostNetwork ||
		!slices.Equal(m.Privileged, []string{"NET_RAW"}) || !slices.Equal(m.Services, []string{"mqtt:want"}) {
		t.Errorf("the manifest is %+v", m)
	}
	if want := fmt.Sprintf("http://[HOST]:[PORT:%d]/livez", WatchdogPort); m.Watchdog != want {
		t.Errorf("the watchdog asks at %s, want %s", m.Watchdog, want)
	}

	// The check itself: each slip is found.
	for from, to := range map[string]string{
		"host_network: true": "host_netwrok: true", "NET_RAW\n": "NET_RWA\n", "mqtt:want": "mqtt:wants", "startup: services": "startup: service",
		"boot: auto": "boot: yes", "  - amd64\n": "  - x86_64\n", "arch:\n  - aarch64\n  - amd64": "arch: amd64", "ingress_port: 0": "ingress_port: any",
		"backup: hot": "backup: warm", "type: addon_config": "type: config_folder", "read_only: true": "readonly: true", "init: false": "init: never",
		"slug: porchlight": "slug: porch light", "name: Porchlight": "title: Porchlight", "watchdog: http://[HOST]:": "watchdog: http://localhost:",
		"panel_icon: mdi:": "panel_icon: ", "homeassistant: 2024.11.0": "homeassistant: 2024.11", "track: list(": "track: lists(", "password?": "passwort?",
		"int(0,10000)?": "int(0-10000)?", "match(^[0-9.]+/": "match(^([0-9.]+/", "services:\n  - mqtt:want": "services: mqtt:want",
	} {
		broken := strings.Replace(text, from, to, 1)
		if broken == text {
			t.Errorf("%q is not in config.yaml", from)
		}
		var doc map[string]any
		if err := yaml.Unmarshal([]byte(broken), &doc); err == nil && wrong(doc) == nil {
			t.Errorf("%q instead of %q is not found", to, from)
		}
	}
}
