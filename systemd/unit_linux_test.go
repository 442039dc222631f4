package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const unit = "../packaging/porchlight.service"

// exposure is the most that systemd-analyze security may say of the unit, in
// tenths; 100 is a service that may do everything.
const exposure = "20"

// analyze runs systemd-analyze, without asking a systemd that runs.
func analyze(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip(err)
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", args...).CombinedOutput()
	return string(out), err
}

// tree puts the unit, and what it runs, into a folder. change may be nil.
func tree(t *testing.T, change func(unit string) string) (root string) {
	t.Helper()
	content, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		content = []byte(change(string(content)))
	}
	root = t.TempDir()
	for path, content := range map[string][]byte{
		"etc/systemd/system/porchlight.service": content,
		"etc/systemd/system/sysinit.target":     []byte("[Unit]\n"), // every service wants it
		"usr/bin/porchlight":                    nil,
		"bin/kill":                              nil,
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if content == nil { // a program
			mode = 0o755
		}
		if err := os.WriteFile(path, content, mode); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// withDropIn adds what lets the service see the programs of all users.
func withDropIn(t *testing.T, root string) string {
	t.Helper()
	content, err := os.ReadFile("../packaging/connections.conf")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "etc/systemd/system/porchlight.service.d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "connections.conf"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestUnitIsValid(t *testing.T) {
	verify := func(root string) (string, error) {
		return analyze(t, "verify", "--root="+root, "--man=no", "--generators=no", "porchlight.service")
	}
	if out, err := verify(tree(t, nil)); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	if out, err := verify(withDropIn(t, tree(t, nil))); err != nil || strings.TrimSpace(out) != "" {
		t.Errorf("with connections.conf: %v\n%s", err, out)
	}
	if out, err := verify(tree(t, func(s string) string { return strings.ReplaceAll(s, "ExecStart=", "ExecBegin=") })); err == nil {
		t.Errorf("a unit without ExecStart passed: %s", out)
	}
}

func TestUnitIsHardened(t *testing.T) {
	security := func(root string) (string, error) {
		return analyze(t, "security", "--offline=true", "--root="+root, "--threshold="+exposure, "porchlight.service")
	}
	out, err := security(tree(t, nil))
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
	t.Log(regexp.MustCompile(`Overall exposure.*`).FindString(out))
	// The rights to look into other programs are given by the drop-in alone.
	for name, root := range map[string]string{"✓": tree(t, nil), "✗": withDropIn(t, tree(t, nil))} {
		out, _ := security(root)
		ptrace := regexp.MustCompile(`(.) CapabilityBoundingSet=~CAP_SYS_PTRACE`).FindStringSubmatch(out)
		if ptrace == nil || ptrace[1] != name {
			t.Errorf("CAP_SYS_PTRACE: %q, want %s", ptrace, name)
		}
		t.Log(name, regexp.MustCompile(`Overall exposure.*`).FindString(out))
	}
	if out, err := security(tree(t, func(s string) string { return strings.Replace(s, "CapabilityBoundingSet=", "#", 1) })); err == nil {
		t.Errorf("a unit that may have every capability passed: %s", out)
	}
}
