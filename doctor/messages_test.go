package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"porchlight/notify"
	"porchlight/presence"
)

func TestCheckMessages(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "title.txt"), []byte("{{.Nonsense}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "devices.yaml")
	if err := os.WriteFile(file, []byte("devices:\n  - mac: 02:00:5e:10:00:01\n    name: Front door\n    groups: [Kids]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	known := knownDevices(t.Context(), t.TempDir(), file)
	const url = "phone=ntfy://user:hunter2pw@ntfy.example/topic"
	for _, test := range []struct {
		name  string
		cfg   notify.Config
		level Level
		want  []string
	}{
		{"well", notify.Config{URLs: url, On: "new, left/kids, gone/front door>phone!, arrived/02:00:5e:10:00:01"}, OK, []string{"Rules: 4; messages go by phone."}},
		{"an unknown service", notify.Config{URLs: url, On: "new>tablet"}, Fail, []string{`PORCHLIGHT_NOTIFY_ON: there is no service "tablet"; there are phone.`}},
		{"a wrong rule", notify.Config{URLs: url, On: "knew"}, Fail, []string{`PORCHLIGHT_NOTIFY_ON: "knew": want one of`}},
		{"two faults", notify.Config{URLs: "ntfys://hunter2", On: "new", Quiet: "night"}, Fail, []string{"PORCHLIGHT_NOTIFY_URLS: number 1: ", `PORCHLIGHT_NOTIFY_QUIET: "night": want the hours`}},
		{"a wrong template", notify.Config{URLs: url, On: "new", Templates: dir}, Fail, []string{"PORCHLIGHT_NOTIFY_TEMPLATES: ", "title.txt"}},
		{"nobody of that name", notify.Config{URLs: url, On: "new, left/Kidz"}, Warn, []string{`names "Kidz"`}},
		{"a program", notify.Config{URLs: url, On: "machine/nginx"}, OK, []string{"Rules: 1"}},
		{"the group of guests", notify.Config{URLs: url, On: "new/" + presence.GuestGroup}, OK, []string{"Rules: 1"}},
		{"no rules", notify.Config{URLs: url, On: " "}, Warn, []string{"nothing is told"}},
		{"no messages", notify.Config{On: "new"}, "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var text strings.Builder
			worst := Level("")
			for _, f := range checkMessages(test.cfg, known, true) {
				text.WriteString(f.Text + f.Remedy + "\n")
				if worst == "" || f.Level != OK {
					worst = f.Level
				}
			}
			if worst != test.level {
				t.Errorf("it is %q: %s", worst, text.String())
			}
			for _, want := range test.want {
				if !strings.Contains(text.String(), want) {
					t.Errorf("%q is not in %s", want, text.String())
				}
			}
			if strings.Contains(text.String(), "hunter2") {
				t.Errorf("it shows a secret: %s", text.String())
			}
		})
	}
}

// Of a machine whose connections are not recorded there is nothing to tell.
func TestCheckMessagesOfMachine(t *testing.T) {
	for on, want := range map[string]Level{"new": OK, "new, machine": Warn, "new_program_online": Warn} {
		found := checkMessages(notify.Config{URLs: "ntfy://ntfy.example/topic", On: on}, nil, false)
		if found[0].Level != want || (want == Warn) != strings.Contains(found[0].Remedy, "PORCHLIGHT_CONNECTIONS_INTERVAL") {
			t.Errorf("%s: %+v", on, found)
		}
	}
}
