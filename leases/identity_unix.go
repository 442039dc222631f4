//go:build unix

package leases

import (
	"fmt"
	"io/fs"
	"syscall"
)

// identity changes when the file is replaced by another, and with who may read it.
func identity(info fs.FileInfo) string {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprint(s.Ino, s.Uid, s.Gid, s.Mode)
}
