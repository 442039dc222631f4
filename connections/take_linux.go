package connections

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// firstPIDs is the namespace of processes that the kernel begins with
// (PROC_PID_INIT_INO in include/linux/proc_ns.h).
const firstPIDs = "pid:[4026531836]"

// Take looks at the sockets of the calling thread's network namespace now.
// Names may be nil. What may not be seen, Missing says; an error is returned
// when there would be nothing to show.
func Take(names DeviceNames) (*Snapshot, error) { return takeFrom("/proc", names) }

// Now is a snapshot of no connections, which says the time and the boot only.
func Now() *Snapshot { return nowFrom("/proc") }

func nowFrom(proc string) *Snapshot {
	s := &Snapshot{Time: time.Now().Round(0), Uptime: uptime()}
	if b, err := os.ReadFile(proc + "/sys/kernel/random/boot_id"); err == nil {
		s.Boot = string(bytes.TrimSpace(b))
	}
	return s
}

func takeFrom(proc string, names DeviceNames) (*Snapshot, error) {
	s := nowFrom(proc)
	all, missing, err := sockets(proc)
	if err != nil {
		return nil, err
	}
	users := map[uint32]string{}
	w, err := findOwners(proc, all, users)
	if err != nil {
		return nil, err
	}
	nobody := 0
	for i := range all {
		c := &all[i]
		if c.Inode == 0 { // it was closed: the kernel ends it by itself, for nobody
			continue
		}
		c.User = userName(users, c.UID)
		o := w.owners[c.Inode]
		c.Process, c.Others = o.process, o.others
		if c.Process == nil {
			nobody++
		}
	}
	names.name(all)
	s.Partial = w.partial()
	b, _ := os.ReadFile(proc + "/sys/net/ipv4/ip_local_port_range")
	first, last := parseRange(b)
	var kernels map[uint64]bool
	if !s.Partial {
		kernels = kernelsOwn(proc, all, first)
	}
	markGiven(all, first, last, kernels)
	s.Connections = all
	s.Missing = append(missing, w.missing(nobody)...)
	s.settle()
	return s, nil
}

// kernelsOwn finds the UDP sockets from a port on that the kernel has for itself:
// of all processes nobody holds them, and they are still there.
func kernelsOwn(proc string, all []Connection, first uint16) map[uint64]bool {
	found := map[uint64]bool{}
	for i := range all {
		if c := &all[i]; c.State == Unconnected && c.Process == nil && c.Inode != 0 && c.Local.Port() >= first {
			found[c.Inode] = true
		}
	}
	if len(found) == 0 {
		return nil
	}
	still := map[uint64]bool{}
	for _, t := range tables {
		if t.protocol != UDP {
			continue
		}
		now, _, _ := t.list(proc, ifaces{}) // if that fails there is nothing to say
		for i := range now {
			if found[now[i].Inode] {
				still[now[i].Inode] = true
			}
		}
	}
	return still
}

// uptime is the time since the boot, with what the machine slept.
func uptime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano()).Truncate(time.Millisecond)
}

// missing says what could not be seen. Sockets of the kernel itself have no
// process either, so nobody alone proves nothing.
func (w *walk) missing(nobody int) (said []string) {
	if w.denied > 0 && nobody > 0 {
		remedy := "run this as root to see them"
		if os.Geteuid() == 0 {
			remedy = "root has no right to them here (CAP_SYS_PTRACE, or more than that)"
		}
		said = append(said, fmt.Sprintf("connections that are shown without their process: %d. There is no permission to look into %d of the processes: %s", nobody, w.denied, remedy))
	}
	if hidden(w.proc) {
		said = append(said, "other users' processes are hidden from this user (hidepid of /proc, or ProtectProc of systemd): run this as root to see them; porchlight doctor says what the service needs")
	}
	if w.inside() {
		said = append(said, "this runs in a container that does not have the host's processes: those outside are not seen (--pid=host gives them), and unless it has the host's network (--network=host) neither are the host's connections")
	}
	if w.outside > 0 {
		said = append(said, fmt.Sprintf("%d processes are in other networks than this one, as those of containers are: their connections are not among these", w.outside))
	}
	return said
}

// partial reports whether there may be processes that hold sockets and were not
// looked into.
func (w *walk) partial() bool { return w.denied > 0 || hidden(w.proc) || w.inside() }

// inside reports whether the processes are those of a container.
func (w *walk) inside() bool {
	pids, err := os.Readlink(w.proc + "/self/ns/pid")
	return err == nil && pids != firstPIDs
}

// hidden reports whether /proc keeps processes from this user: process 1, which
// is always there, is not.
func hidden(proc string) bool {
	_, err := os.Stat(proc + "/1")
	return err != nil
}
