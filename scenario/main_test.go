package scenario

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait most of the time, so more may run at once than there are cores.
	if f := flag.Lookup("test.parallel"); f.Value.String() < "8" {
		_ = flag.Set("test.parallel", "8")
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if binaryDir != "" {
			_ = os.RemoveAll(binaryDir)
		}
		os.Exit(code)
	}))
}

var binaryDir string

// program builds porchlight, once, and returns its path. The race detector is
// in it when it is in the tests.
var program = sync.OnceValues(func() (string, error) {
	var err error
	if binaryDir, err = os.MkdirTemp("", "porchlight-scenario-"); err != nil {
		return "", err
	}
	if err := os.Chmod(binaryDir, 0o755); err != nil { // other users run it too
		return "", err
	}
	path := filepath.Join(binaryDir, "porchlight")
	args := []string{"build", "-buildvcs=false", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "porchlight")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building porchlight: %w: %s", err, out)
	}
	return path, nil
})
