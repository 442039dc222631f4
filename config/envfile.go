package config

import "strings"

// Words are short enough for a terminal.
const envFileWidth = 78

const envFileHead = `# Settings of the porchlight service, each with its default. Take the # away
# before a line to set it, and then: systemctl restart porchlight
#
# Only root can read this file, so a password may stand in it; in 'single
# quotes' if it holds blanks or other special characters. To have it in a file
# of its own: systemctl edit porchlight
#
#   [Service]
#   LoadCredential=mqtt-password:/etc/porchlight/mqtt-password
#   Environment=PORCHLIGHT_MQTT_PASSWORD_FILE=/run/credentials/porchlight.service/mqtt-password
#
# The database is in /var/lib/porchlight; the service can write nowhere else.
`

// EnvFile returns the settings as a file of environment variables for systemd
// (systemd.exec(5), EnvironmentFile=), each commented out and with its default.
// The directory of the database is not among them: the service's unit sets it.
func EnvFile() string {
	var b strings.Builder
	b.WriteString(envFileHead)
	for _, s := range allSettings() {
		if s.field.Name == "DataDir" {
			continue
		}
		words := strings.ReplaceAll(s.field.Tag.Get("meaning"), "|", "")
		if shown := s.field.Tag.Get("shown"); shown != "" {
			words += " Default: " + strings.ReplaceAll(shown, "|", "") + "."
		}
		b.WriteString("\n")
		for _, line := range wrap(words, envFileWidth-2) {
			b.WriteString("# " + line + "\n")
		}
		b.WriteString("#" + s.name + "=" + s.field.Tag.Get("envDefault") + "\n")
	}
	return b.String()
}

// wrap breaks text into lines of at most width bytes, as far as its words let it.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}
