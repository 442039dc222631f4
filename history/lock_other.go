//go:build !unix

package history

import (
	"errors"
	"os"
	"path/filepath"
)

// ErrInUse means that another process has the database open for writing.
var ErrInUse = errors.New("is used by another Porchlight")

// lockDir only marks the place where there is no flock.
func lockDir(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, "porchlight.lock"), os.O_RDWR|os.O_CREATE, 0o600)
}
