package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckDeviceFile(t *testing.T) {
	dir := t.TempDir()
	for i, c := range []struct {
		content string
		level   Level
		found   int
		text    string
	}{
		{"devices: [{mac: 02:00:5e:10:00:01}]", OK, 1, "speaks of one device"},
		{"devices: []", OK, 1, "speaks of 0 devices"},
		{"devices:\n  - mac: 02:00:5e:10:00:01\n    nmae: x\n    kind: y\n", Warn, 2, "line 3: nmae: no such field"},
		{"devices:\n" + strings.Repeat("  - {}\n", 50), Warn, maxFaults, "line 2: mac: is missing"},
		{"", Warn, 1, "it is empty"},
	} {
		path := filepath.Join(dir, fmt.Sprintf("%d.yaml", i))
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		found := checkDeviceFile(path)
		if len(found) != c.found || found[0].Level != c.level || !strings.Contains(found[0].Text, c.text) || !strings.Contains(found[0].Text, path) {
			t.Errorf("%q: %+v", c.content, found)
		}
	}
	for path, text := range map[string]string{
		filepath.Join(dir, "none.yaml"): "There is no device file",
		dir:                             "it is not a regular file",
	} {
		if found := checkDeviceFile(path); len(found) != 1 || found[0].Level != Warn || !strings.Contains(found[0].Text, text) || found[0].Remedy == "" {
			t.Errorf("%s: %+v", path, found)
		}
	}
	if found := checkDeviceFile(""); found != nil {
		t.Errorf("without one: %+v", found)
	}
}
