package lab

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// memFile is a file without a name, for children to read (or write) by its
// path in /proc. It is gone with this process, whichever way that ends.
type memFile struct{ *os.File }

// newMemFile makes a file with the text. A file that is to be executed must be
// readOnly: the kernel runs nothing that is open for writing.
func newMemFile(name, text string, readOnly bool) (*memFile, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making a file in memory for %s: %w", name, err)
	}
	f := &memFile{os.NewFile(uintptr(fd), name)}
	if _, err := f.WriteString(text); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("writing %s: %w", name, err)
	}
	if !readOnly {
		return f, nil
	}
	defer f.Close()
	r, err := os.Open(f.path())
	if err != nil {
		return nil, fmt.Errorf("opening %s again: %w", name, err)
	}
	return &memFile{r}, nil
}

// path names the file to this process and its children.
func (f *memFile) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }
