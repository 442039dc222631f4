//go:build unix

package history

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrInUse means that another process has the database open for writing.
var ErrInUse = errors.New("is used by another Porchlight")

// lockDir takes the lock that one writer at a time holds; it goes with the
// returned file, or with the process. The file names its holder.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "porchlight.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		b, _ := io.ReadAll(io.LimitReader(f, 32)) // only to say more
		_ = f.Close()
		who := ""
		if pid := strings.TrimSpace(string(b)); pid != "" {
			who = " (process " + pid + ")"
		}
		return nil, fmt.Errorf("%s %w%s: stop it, or give this one its own PORCHLIGHT_DATA_DIR", dir, ErrInUse, who)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("locking %q: %w", f.Name(), err)
	}
	if f.Truncate(0) == nil { // on a full disk the lock holds without a name
		_, _ = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	return f, nil
}
