package supervisor

import (
	"fmt"
	"image/png"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The Supervisor takes each config.yaml, .yml or .json in a repository for an app.
func TestOneManifestOnly(t *testing.T) {
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (strings.HasPrefix(name, ".") && name != ".." || name == "rootfs" || name == "dist" || name == "node_modules"):
			return fs.SkipDir
		case regexp.MustCompile(`^config\.(yaml|yml|json)$`).MatchString(name) && path != filepath.Join(appDir, "config.yaml"):
			t.Errorf("%s would be taken for an app", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var repository struct{ Name string }
	readYAML(t, "../repository.yaml", &repository)
	if repository.Name == "" {
		t.Error("repository.yaml has no name")
	}
}

func TestPictures(t *testing.T) {
	for name, want := range map[string][2]int{"icon.png": {128, 128}, "logo.png": {250, 100}} {
		file, err := os.Open(filepath.Join(appDir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if got, err := png.DecodeConfig(file); err != nil || got.Width != want[0] || got.Height != want[1] {
			t.Errorf("%s is %d x %d, want %v; %v", name, got.Width, got.Height, want, err)
		}
	}
}

// The image's text, as far as it can be looked at without an engine.
func TestDockerfile(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(appDir, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"FROM scratch\n", "ARG BUILD_VERSION\n", "ARG BUILD_ARCH\n", `io.hass.version="${BUILD_VERSION}"`, `io.hass.type="app"`, `io.hass.arch="${BUILD_ARCH}"`,
		"COPY --chmod=0755 bin/${BUILD_ARCH}/porchlight /porchlight\n", "\nENTRYPOINT [\"/porchlight\"]\n",
	} {
		if !strings.Contains(string(content), want) {
			t.Errorf("%q is not in the Dockerfile", want)
		}
	}
}

// The Supervisor wants one profile, at the beginning of a line, which it gives
// the app's full name (supervisor/utils/apparmor.py).
func TestAppArmor(t *testing.T) {
	path := filepath.Join(appDir, "apparmor.txt")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	profiles := regexp.MustCompile(`(?m)^profile ([^ ]+).*$`).FindAllStringSubmatch(string(content), -1)
	if len(profiles) != 1 || profiles[0][1] != "porchlight" {
		t.Errorf("profiles %q", profiles)
	}
	parser, err := exec.LookPath("apparmor_parser")
	if err != nil {
		if parser = "/usr/sbin/apparmor_parser"; exec.Command(parser, "-V").Run() != nil {
			t.Skip("apparmor_parser is not installed")
		}
	}
	parse := func(text string) error {
		cmd := exec.Command(parser, "--skip-kernel-load", "--skip-cache", "--skip-read-cache", "--quiet")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	renamed := strings.Replace(string(content), "profile porchlight ", "profile local_porchlight ", 1)
	if err := parse(renamed); err != nil {
		t.Error(err)
	}
	if parse(strings.Replace(renamed, "network packet raw", "network packet row", 1)) == nil {
		t.Error("the parser finds nothing wrong")
	}
}

// scripts/app makes a folder that is complete.
func TestAppFolder(t *testing.T) {
	if _, err := os.Stat("/etc/ssl/certs/ca-certificates.crt"); err != nil {
		t.Skip("ca-certificates is not installed")
	}
	programs, out := t.TempDir(), filepath.Join(t.TempDir(), "repository")
	for _, arch := range []string{"amd64", "arm64"} {
		if err := os.WriteFile(filepath.Join(programs, "porchlight-linux-"+arch), []byte(arch), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, version := range []string{"v1.2.3", "v1.2.4"} { // the second time over the first
		if said, err := exec.Command("../scripts/app", version, out, programs).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	}
	var m manifest
	readYAML(t, filepath.Join(out, "porchlight/config.yaml"), &m)
	if m.Version != "1.2.4" || m.Slug != "porchlight" {
		t.Errorf("version %q of %q", m.Version, m.Slug)
	}
	dockerfile, _ := os.ReadFile(filepath.Join(out, "porchlight/Dockerfile"))
	for _, arch := range []string{"amd64", "aarch64"} {
		copies := regexp.MustCompile(`(?m)^COPY --chmod=0\d+ (\S+) \S+$`).FindAllStringSubmatch(strings.ReplaceAll(string(dockerfile), "${BUILD_ARCH}", arch), -1)
		if len(copies) != 2 {
			t.Errorf("the Dockerfile copies %q", copies)
		}
		for _, c := range copies {
			if _, err := os.Stat(filepath.Join(out, "porchlight", c[1])); err != nil {
				t.Error(err)
			}
		}
	}
	if program, _ := os.ReadFile(filepath.Join(out, "porchlight/bin/aarch64/porchlight")); string(program) != "arm64" {
		t.Errorf("the program for aarch64 is %q", program)
	}
	if _, err := os.Stat(filepath.Join(out, "repository.yaml")); err != nil {
		t.Error(err)
	}

	for i, args := range [][]string{{"1.2+3", out, programs}, {"1.2.3", programs, programs}, {"1.2.3"}} {
		if exec.Command("../scripts/app", args...).Run() == nil {
			t.Error("it takes the wrong arguments " + strconv.Itoa(i))
		}
	}
	if _, err := os.Stat(filepath.Join(programs, "porchlight-linux-amd64")); err != nil {
		t.Error("it has removed a folder that is not its own")
	}
}
