package connections

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"

	"porchlight/presence"
)

// owner is who holds a socket.
type owner struct {
	process *Process
	others  int
}

// walk looks through /proc once for who holds the wanted sockets.
type walk struct {
	proc   string
	wanted map[uint64]bool // inodes
	users  map[uint32]string

	owners  map[uint64]owner
	denied  int // processes that may not be looked into
	outside int // processes in other network namespaces
	link    [64]byte
}

// owners finds who holds the sockets.
func findOwners(proc string, all []Connection, users map[uint32]string) (*walk, error) {
	w := &walk{proc: proc, wanted: make(map[uint64]bool, len(all)), users: users, owners: make(map[uint64]owner, len(all))}
	for i := range all {
		if all[i].Inode != 0 {
			w.wanted[all[i].Inode] = true
		}
	}
	dir, err := os.Open(proc)
	if err != nil {
		return nil, fmt.Errorf("looking for processes: %w", err)
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("looking for processes: %w", err)
	}
	mine := netNamespace(proc + "/thread-self")
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid <= 0 {
			continue
		}
		if err := w.process(pid, mine); scarce(err) {
			return nil, fmt.Errorf("looking into process %d: %w", pid, err)
		}
	}
	return w, nil
}

// scarce reports whether err says nothing about what was to be read, but that this
// program or the machine can open no more files.
func scarce(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}

// process looks at one process. All is read through one open directory, which
// stays that of this process: when it ends there is no more to read, even if
// another gets its number. The error is why there is nothing to be known of it.
func (w *walk) process(pid int, mine string) error {
	dir, err := unix.Open(w.proc+"/"+strconv.Itoa(pid), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err // it has ended, or is hidden: see hidden
	}
	defer func() { _ = unix.Close(dir) }()
	task := "" // where the process's files and arguments are
	inodes, none, err := w.sockets(dir, task)
	if none { // its first thread has ended and others go on, or it is a kernel's
		if task = otherThread(dir, pid); task != "" {
			inodes, _, err = w.sockets(dir, task)
		}
	}
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		w.denied++
		return err
	}
	if len(inodes) == 0 {
		if n, err := unix.Readlinkat(dir, "ns/net", w.link[:]); err == nil && mine != "" && string(w.link[:n]) != mine {
			w.outside++
		}
		return err
	}
	p, err := w.read(dir, task, pid)
	if err != nil {
		return err
	}
	for inode := range inodes {
		w.hold(inode, p)
	}
	return nil
}

// otherThread is the directory of a thread other than the first one, within that
// of its process; empty: there is none.
func otherThread(dir, pid int) string {
	fd, err := unix.Openat(dir, "task", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	list := os.NewFile(uintptr(fd), "task")
	defer func() { _ = list.Close() }()
	names, _ := list.Readdirnames(2)
	for _, name := range names {
		if name != strconv.Itoa(pid) {
			return "task/" + name + "/"
		}
	}
	return ""
}

// sockets lists which of the wanted sockets a process holds. None says that it
// has no open files at all.
func (w *walk) sockets(dir int, task string) (inodes map[uint64]bool, none bool, err error) {
	fd, err := unix.Openat(dir, task+"fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false, err
	}
	list := os.NewFile(uintptr(fd), "fd")
	defer func() { _ = list.Close() }()
	none = true
	for {
		names, err := list.Readdirnames(1024)
		none = none && len(names) == 0
		for _, name := range names {
			n, err := unix.Readlinkat(fd, name, w.link[:])
			if err != nil {
				if errors.Is(err, unix.EACCES) {
					return nil, false, err
				}
				continue // closed meanwhile
			}
			if inode := socketInode(w.link[:n]); w.wanted[inode] {
				if inodes == nil {
					inodes = map[uint64]bool{}
				}
				inodes[inode] = true
			}
		}
		if err != nil {
			return inodes, none, nil //nolint:nilerr // the end, or the process has ended
		}
	}
}

// socketInode reads "socket:[123]" (proc_pid_fd(5)); 0: something else.
func socketInode(link []byte) uint64 {
	digits, is := bytes.CutPrefix(link, []byte("socket:["))
	if !is || len(digits) < 2 || digits[len(digits)-1] != ']' {
		return 0
	}
	n, err := strconv.ParseUint(string(digits[:len(digits)-1]), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// read reads what is known of a process.
func (w *walk) read(dir int, task string, pid int) (*Process, error) {
	stat, err := readAt(dir, "stat", 4096)
	if err != nil {
		return nil, err
	}
	p := &Process{PID: pid}
	if p.Name, p.Ticks, err = parseStat(stat); err != nil {
		return nil, err
	}
	// What cannot be read of the rest stays empty.
	command, _ := readAt(dir, task+"cmdline", 4*maxCommand)
	p.Command = commandLine(command)
	status, _ := readAt(dir, "status", 4096)
	if uid, ok := parseUID(status); ok {
		p.UID, p.User = uid, userName(w.users, uid)
	}
	groups, _ := readAt(dir, "cgroup", 16<<10)
	p.Container = containerOf(groups)
	return p, nil
}

func readAt(dir int, name string, limit int64) ([]byte, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, limit))
}

// hold notes that p holds a socket.
func (w *walk) hold(inode uint64, p *Process) {
	o, held := w.owners[inode]
	if held {
		o.others++
	}
	if !held || before(p, o.process) {
		o.process = p
	}
	w.owners[inode] = o
}

// before reports whether p is the owner rather than q: the one that was there
// first, but process 1 last, which opens sockets to pass them on.
func before(p, q *Process) bool {
	if (p.PID == 1) != (q.PID == 1) {
		return q.PID == 1
	}
	if p.Ticks != q.Ticks {
		return p.Ticks < q.Ticks
	}
	return p.PID < q.PID
}

// userName is what a user is called; the number for one without a name.
func userName(known map[uint32]string, uid uint32) string {
	name, is := known[uid]
	if !is {
		name = strconv.FormatUint(uint64(uid), 10)
		if u, err := user.LookupId(name); err == nil {
			name = cmp.Or(presence.CleanText(u.Username, presence.MaxName), name) // a directory's administrator chose it
		}
		known[uid] = name
	}
	return name
}

// netNamespace names the network namespace of a process, empty when that may
// not be known.
func netNamespace(process string) string {
	name, err := os.Readlink(process + "/ns/net")
	if err != nil {
		return ""
	}
	return name
}
