package config

import (
	"fmt"
	"strings"
)

// Faults is what is wrong with the settings, a line each.
type Faults []string

// Error returns all lines.
func (f Faults) Error() string { return strings.Join(f, "\n") }

// faults collects them while the settings are read, one for each variable: the
// first is the one to put right.
type faults struct {
	settings []setting
	vars     map[string]string
	seen     map[string]bool
	lines    Faults
}

func newFaults(settings []setting, vars map[string]string) *faults {
	return &faults{settings: settings, vars: vars, seen: map[string]bool{}}
}

// add says that the variable name is wrong, and what would be right.
func (f *faults) add(name, want string) {
	if f.seen[name] {
		return
	}
	f.seen[name] = true
	f.lines = append(f.lines, fmt.Sprintf("%s: want %s", f.shown(name), want))
}

// expect adds a fault unless ok. The name may be without Prefix.
func (f *faults) expect(name string, ok bool, want string) {
	if !ok {
		f.add(Prefix+strings.TrimPrefix(name, Prefix), want)
	}
}

// fine reports whether nothing is wrong so far with any of the variables, so
// that they can be compared with one another.
func (f *faults) fine(names ...string) bool {
	for _, name := range names {
		if f.seen[Prefix+name] {
			return false
		}
	}
	return true
}

// shown is the variable with its value, or without when the value is a secret.
// A default can be wrong too, beside another value.
func (f *faults) shown(name string) string {
	const limit = 100
	value := f.vars[name]
	for _, s := range f.settings {
		if s.name != name {
			continue
		}
		if d := s.field.Tag.Get("envDefault"); value == "" && d != "" {
			return fmt.Sprintf("%s (by default %q)", name, d)
		}
		if s.secret() {
			return name
		}
	}
	if value == "" {
		return name
	}
	if value = hideSecrets(value); len(value) > limit {
		value = strings.ToValidUTF8(value[:limit], "") + "…"
	}
	return fmt.Sprintf("%s=%q", name, value)
}

// hideSecrets takes what can be a secret out of a URL, also out of one that
// cannot be parsed: the user name, the password and the query.
func hideSecrets(value string) string {
	if at := strings.LastIndexByte(value, '@'); at >= 0 {
		scheme, _, found := strings.Cut(value[:at], "://")
		if value = "…" + value[at:]; found {
			value = scheme + "://" + value
		}
	}
	if before, _, query := strings.Cut(value, "?"); query {
		value = before + "?…"
	}
	return value
}
