package config

import "strings"

// Table returns the settings as a Markdown table, in the order of Config.
func Table() string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for _, s := range allSettings() {
		name := "`" + s.name + "`"
		if s.secret() {
			name += ", `" + s.fileName() + "`"
		}
		b.WriteString("| " + name + " | " + s.shownDefault() + " | " + backticks(s.field.Tag.Get("meaning")) + " |\n")
	}
	return b.String()
}

func (s setting) shownDefault() string {
	if d := s.field.Tag.Get("envDefault"); d != "" {
		return "`" + d + "`"
	}
	if words := s.field.Tag.Get("shown"); words != "" {
		return backticks(words)
	}
	return "none"
}

func backticks(s string) string { return strings.ReplaceAll(s, "|", "`") }
