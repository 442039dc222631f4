package labtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Porchlight builds the program into a directory of the test and returns its
// path.
func Porchlight(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "porchlight")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", path, "porchlight")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it is released
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("building porchlight: %v: %s", err, out)
	}
	return path
}
