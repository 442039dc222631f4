package follow

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// followed is a File with what was seen of it.
type followed struct {
	File
	behind string // the directory of what it is a link to, or was when it was last there; empty: none

	done    print     // as it was when it was last taken
	seen    print     // as it was last looked at
	since   time.Time // when it was first seen so
	restive time.Time // since when it differs from done; zero: it does not
	readAt  time.Time
}

// concerned reports whether a change at path may be one of the file. Behind a
// link that is any in its directories.
func (f *followed) concerned(path string) bool {
	rest, ok := strings.CutPrefix(path, f.Path)
	return f.behind != "" || ok && (rest == "" || rest[0] == '.')
}

// look reads the file if it has changed and is quiet now. waits is whether it is
// to be looked at again soon.
func (f *followed) look(cfg *Config, now time.Time) (took, waits bool) {
	p := f.print()
	if p == f.done {
		f.restive = time.Time{}
		return false, false
	}
	if f.restive.IsZero() {
		f.restive = now
	}
	if p != f.seen {
		f.seen, f.since = p, now
	}
	first := f.readAt.IsZero() && f.old(cfg.Quiet)
	impatient := now.Sub(f.restive) >= cfg.Patience
	if !first && (now.Sub(f.since) < cfg.Quiet && !impatient || now.Sub(f.readAt) < cfg.Gap) {
		return false, true
	}
	f.readAt = now
	take, whole := f.Read()
	if !impatient && (!whole || f.print() != p) {
		return false, true
	}
	take()
	f.done, f.restive = p, time.Time{}
	return true, false
}

// old reports whether the file is there and was left alone for quiet: it need
// not be watched before it is read for the first time.
func (f *followed) old(quiet time.Duration) bool {
	info, err := os.Stat(f.Path)
	return err == nil && time.Since(info.ModTime()).Abs() >= quiet
}

// print tells one state of a file, and of those beside it, from another.
type print string

// print looks at the file without opening it.
func (f *followed) print() print {
	var b strings.Builder
	for _, end := range append([]string{""}, f.Beside...) {
		info, err := os.Stat(f.Path + end)
		if err != nil {
			fmt.Fprintf(&b, "%v;", Reason(err))
			continue
		}
		fmt.Fprintf(&b, "%s %d %d %v;", identity(info), info.Size(), info.ModTime().UnixNano(), info.Mode())
	}
	return print(b.String())
}

// ErrNotRegular is the error of Open for what is no file.
var ErrNotRegular = errors.New("it is not a regular file")

// Open opens a file, but nothing that could keep its reader waiting. Errors do
// not repeat the path.
func Open(path string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, Reason(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNotRegular
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Reason is err without the path, for those who tell it anyway.
func Reason(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}
