package history

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps the first size bytes of f, which has room for them on the disk
// from now on: a mapping of a file with holes would fault when the disk is full.
func mapFile(f *os.File, size int) ([]byte, error) {
	if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(size)); err != nil {
		return nil, os.NewSyscallError("fallocate", err)
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	_ = unix.Mlock(mem) // helps where it is allowed
	return mem, nil
}

func unmap(mem []byte) { _ = unix.Munmap(mem) }
