package labtest

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Porchlight builds the program into a directory of the test and returns its
// path.
func Porchlight(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "porchlight")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", path, "porchlight").CombinedOutput(); err != nil {
		tb.Fatalf("building porchlight: %v: %s", err, out)
	}
	return path
}
