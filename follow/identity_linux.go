package follow

import (
	"fmt"
	"io/fs"
	"syscall"
)

// identity changes when the file is replaced by another, with who may read it,
// and with each change of it, even where its time is put back.
func identity(info fs.FileInfo) string {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprint(s.Dev, s.Ino, s.Uid, s.Gid, s.Ctim)
}
