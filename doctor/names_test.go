package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"porchlight/leases"
)

func TestCheckNames(t *testing.T) {
	const lease = "1795190400 00:16:3e:00:00:01 192.168.1.50 kettle *\n"
	for _, test := range []struct {
		name, text string // no text: no file
		hosts      bool
		level      Level
		want       string
	}{
		{"lease file", lease, false, OK, "(dnsmasq): names read: 1."},
		{"missing", "", false, Warn, "waited for"},
		{"missing hosts file", "", true, Warn, "PORCHLIGHT_HOSTS_FILES"},
		{"some nonsense", lease + "what?\n", false, Warn, "no room for: 1."},
		{"all nonsense", "what?\n", false, Warn, "PORCHLIGHT_LEASE_FILES"},
		{"no leases yet", "\n", false, OK, "empty"},
		{"hosts file", "192.168.1.9 printer\n", true, OK, "(hosts): names read: 1."},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			if test.text != "" {
				if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			found := checkNames([]string{path}, nil)
			if test.hosts {
				found = checkNames(nil, []string{path})
			}
			if len(found) != 1 || found[0].Level != test.level || !strings.Contains(found[0].Text+found[0].Remedy, test.want) || !strings.Contains(found[0].Text, path) {
				t.Errorf("%+v", found)
			}
		})
	}
	if f := checkNameFile("lease", "/x", leases.File{}, os.ErrPermission); f.Level != Warn || !strings.Contains(f.Remedy, "SupplementaryGroups") {
		t.Errorf("%+v", f)
	}
	if found := checkNames(nil, nil); found != nil {
		t.Errorf("nothing is set: %+v", found)
	}
}
