package doctor

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"porchlight/connections"
)

// sight says whose processes a Porchlight can look into, to see which programs
// the connections of this machine belong to.
type sight struct {
	pid     int  // of one that runs; 0: it is about this process
	all     bool // everybody's
	inside  bool // at best those of its container
	service bool // systemd runs it
}

// readSight looks at the Porchlight that runs on the data directory, or at this
// process if there is none.
func readSight(dir string) sight {
	s, who := sight{}, "self"
	if pid := lockHolder(dir); pid != 0 && pid != os.Getpid() {
		s.pid, who = pid, strconv.Itoa(pid)
	}
	of := func(name string) string {
		b, _ := os.ReadFile("/proc/" + who + "/" + name)
		return string(b)
	}
	s.service = ofService(of("cgroup"))
	if s.all = mayLookIntoAll(of("status")); s.pid == 0 {
		s.all = seesAll()
	}
	pids, err := os.Readlink("/proc/" + who + "/ns/pid")
	s.inside = err == nil && pids != firstPIDs
	return s
}

// firstPIDs is the namespace of processes that the kernel begins with
// (PROC_PID_INIT_INO in include/linux/proc_ns.h).
const firstPIDs = "pid:[4026531836]"

// lockHolder is who has locked the data directory, as lockHeld has it; 0: nobody.
func lockHolder(dir string) int {
	info, err1 := os.Stat(filepath.Join(dir, "porchlight.lock"))
	locks, err2 := os.ReadFile("/proc/locks")
	if err1 != nil || err2 != nil {
		return 0
	}
	return holder(locks, info.Sys().(*syscall.Stat_t).Ino)
}

// holder reads /proc/locks (proc_locks(5)).
func holder(locks []byte, inode uint64) int {
	for line := range bytes.Lines(locks) {
		f := strings.Fields(string(line))
		if len(f) < 6 || f[1] != "FLOCK" || f[3] != "WRITE" || !strings.HasSuffix(f[5], ":"+strconv.FormatUint(inode, 10)) {
			continue
		}
		if pid, err := strconv.Atoi(f[4]); err == nil && pid > 0 {
			return pid
		}
	}
	return 0
}

// seesAll looks whether this process sees what each connection belongs to. What
// it may do is not all: a container's engine can forbid it all the same.
func seesAll() bool {
	s, err := connections.Take(nil)
	if err != nil {
		return false
	}
	return !s.Partial || !slices.ContainsFunc(s.Connections, func(c connections.Connection) bool { return c.Inode != 0 && c.Process == nil })
}

// mayLookIntoAll reads from a process's status (proc_pid_status(5)) whether it has
// the capabilities for that: to open the directory, and to read what is in it.
func mayLookIntoAll(status string) bool {
	_, caps, _ := strings.Cut(status, "\nCapEff:")
	caps, _, _ = strings.Cut(caps, "\n")
	set, err := strconv.ParseUint(strings.TrimSpace(caps), 16, 64)
	has := func(bit int) bool { return set&(1<<bit) != 0 }
	return err == nil && has(unix.CAP_SYS_PTRACE) && (has(unix.CAP_DAC_READ_SEARCH) || has(unix.CAP_DAC_OVERRIDE))
}

// ofService reports whether a control group (proc_pid_cgroup(5)) is a service's.
func ofService(groups string) bool {
	for line := range strings.Lines(groups) {
		if strings.HasSuffix(strings.TrimSpace(line), ".service") {
			return true
		}
	}
	return false
}

// checkConnections is about what is recorded of this machine's connections. app
// is whether Home Assistant runs it.
func checkConnections(s sight, p place, app bool, exe string) Finding {
	const check = "connections"
	who := "this program"
	if s.pid != 0 {
		who = fmt.Sprintf("the Porchlight that runs (process %d)", s.pid)
	}
	lacks := who + " may not look into their processes"
	engine := p.runtime != "" // not a system of its own in a container, such as LXC's
	if s.inside && engine {
		lacks = "the container of " + who + " does not have the host's processes"
	}
	text := "This machine's connections are recorded, without the programs of other users: " + lacks + "."
	switch {
	case s.all && !s.inside:
		return ok(check, "This machine's connections are recorded, with the programs of all users.")
	case app:
		return ok(check, "This machine's connections are recorded, without programs: an app of Home Assistant sees none but itself.")
	case p.runtime == "Kubernetes":
		return warn(check, text, "Set hostPID: true in the pod, and add the capabilities SYS_PTRACE and DAC_READ_SEARCH, which the program's file has to carry, too.")
	case engine:
		return warn(check, text, "docker compose -f compose.yaml -f packaging/compose.connections.yaml up -d --build (its comments say what that allows)")
	case s.all:
		return ok(check, "The connections of this container are recorded, with the programs of all users in it; what is outside of it is not seen.")
	case s.service:
		const dropIn = "/etc/systemd/system/porchlight.service.d/connections.conf"
		return warn(check, text, "sudo install -D -m 644 /usr/share/doc/porchlight/examples/connections.conf "+dropIn+
			" && sudo systemctl daemon-reload && sudo systemctl restart porchlight (its comments say what that allows)")
	}
	return warn(check, text, "sudo setcap cap_net_raw,cap_sys_ptrace,cap_dac_read_search=ep "+exe+" (or start it with sudo)")
}
