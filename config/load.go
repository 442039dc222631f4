package config

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/caarlos0/env/v10"
)

// Load reads the settings from environ, which has the form of os.Environ. An
// empty value counts as none. warnings are lines about variables with our
// prefix that are no setting. err is of type Faults.
func Load(environ []string) (cfg Config, warnings []string, err error) {
	return load(environ, os.Geteuid() == 0)
}

func load(environ []string, root bool) (cfg Config, warnings []string, err error) {
	vars := env.ToMap(environ)
	settings := allSettings()
	f := newFaults(settings, vars)
	readSecretFiles(settings, vars, f)
	trimLists(settings, vars)
	parse(&cfg, settings, vars, f)
	if cfg.DataDir == "" {
		cfg.DataDir = dataDir(vars, root)
	}
	cfg.check(f)
	if len(f.lines) > 0 {
		return Config{}, unknown(settings, vars), f.lines
	}
	return cfg, unknown(settings, vars), nil
}

// setting is one field of Config.
type setting struct {
	name  string // of the variable, with Prefix
	field reflect.StructField
}

func allSettings() (settings []setting) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		settings = append(settings, setting{Prefix + field.Tag.Get("env"), field})
	}
	return settings
}

func (s setting) secret() bool { return s.field.Type == reflect.TypeFor[Secret]() }

// fileName is the variable that names a file with the secret.
func (s setting) fileName() string { return s.name + "_FILE" }

// readSecretFiles puts the content of the files that hold secrets into vars.
func readSecretFiles(settings []setting, vars map[string]string, f *faults) {
	for _, s := range settings {
		path := vars[s.fileName()]
		if !s.secret() || path == "" {
			continue
		}
		content, err := os.ReadFile(path)
		secret := strings.TrimRight(text(content), "\r\n")
		switch {
		case vars[s.name] != "":
			f.add(s.fileName(), "only one of it and "+s.name)
		case err != nil:
			f.add(s.fileName(), "a file that can be read ("+reason(err)+")")
		case secret == "":
			f.add(s.fileName(), "a file with the secret in it; it is empty")
		default:
			vars[s.name] = secret
		}
	}
}

// text returns what is in a text file. Windows' own tools begin it with a byte
// order mark; what PowerShell's > writes is UTF-16.
func text(content []byte) string {
	if rest, ok := bytes.CutPrefix(content, []byte("\xff\xfe")); ok {
		units := make([]uint16, len(rest)/2)
		for i := range units {
			units[i] = binary.LittleEndian.Uint16(rest[2*i:])
		}
		return string(utf16.Decode(units))
	}
	return string(bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")))
}

// reason is what the system says is wrong with a file, without its path.
func reason(err error) string {
	if p := new(os.PathError); errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// trimLists takes blanks and empty items out of comma-separated values.
func trimLists(settings []setting, vars map[string]string) {
	for _, s := range settings {
		if s.field.Type.Kind() != reflect.Slice || vars[s.name] == "" {
			continue
		}
		var items []string
		for item := range strings.SplitSeq(vars[s.name], ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
		vars[s.name] = strings.Join(items, ",")
	}
}

// parse fills cfg, with a fault for each value that is not of its type or not
// one of those allowed.
func parse(cfg *Config, settings []setting, vars map[string]string, f *faults) {
	err := env.ParseWithOptions(cfg, env.Options{Environment: vars, Prefix: Prefix, FuncMap: parsers})
	var all env.AggregateError
	if err != nil && !errors.As(err, &all) {
		all.Errors = []error{err}
	}
	wrong := map[string]bool{} // by the field's name
	for _, err := range all.Errors {
		var e env.ParseError
		if !errors.As(err, &e) {
			panic(err) // the tags of Config are wrong
		}
		wrong[e.Name] = true
	}
	values := reflect.ValueOf(cfg).Elem()
	for _, s := range settings {
		if wrong[s.field.Name] {
			f.add(s.name, wants[s.field.Type])
			continue
		}
		if list := s.field.Tag.Get("oneof"); list != "" {
			f.expect(s.name, oneOf(values.FieldByIndex(s.field.Index), list), strings.ReplaceAll(list, ",", ", "))
		}
	}
}

// oneOf reports whether a text, or each of a list of them, is in list.
func oneOf(value reflect.Value, list string) bool {
	if value.Kind() == reflect.Slice {
		for i := range value.Len() {
			if !oneOf(value.Index(i), list) {
				return false
			}
		}
		return true
	}
	return slices.Contains(strings.Split(list, ","), value.String())
}

// dataDir is where the database goes by default: for a user, where the XDG
// Base Directory Specification puts state, or where Windows does. It is empty
// when that is unknown.
func dataDir(vars map[string]string, root bool) string {
	const name = "porchlight"
	switch state, home := vars["XDG_STATE_HOME"], vars["HOME"]; {
	case root:
		return filepath.Join("/var/lib", name)
	case filepath.IsAbs(state): // the specification says to ignore others
		return filepath.Join(state, name)
	case home != "":
		return filepath.Join(home, ".local/state", name)
	case vars["LOCALAPPDATA"] != "": // Windows
		return filepath.Join(vars["LOCALAPPDATA"], name)
	}
	return ""
}
