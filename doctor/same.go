package doctor

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"porchlight/config"
)

// checkSame is about a Porchlight that runs with other settings than those that
// are looked at here: environ are ours, running those of process pid, as its
// environment has them (proc_pid_environ(5)). Only names are shown.
func checkSame(environ []string, pid int, running []byte, service bool) []Finding {
	if len(running) == 0 { // it may not be read
		return nil
	}
	other := settingsIn(strings.Split(string(running), "\x00"))
	for name, value := range settingsIn(environ) {
		if other[name] == value {
			delete(other, name)
		} else {
			other[name] = value
		}
	}
	if len(other) == 0 {
		return nil
	}
	remedy := "Give this command the same settings."
	if service {
		remedy = "sudo systemd-run --quiet --pipe -p EnvironmentFile=/etc/porchlight/porchlight.env porchlight doctor (and -p Environment= for what the unit sets besides)"
	}
	return []Finding{warn("settings", fmt.Sprintf("The Porchlight that runs (process %d) has other settings than this command, which looks at its own: %s.", pid, strings.Join(slices.Sorted(maps.Keys(other)), ", ")), remedy)}
}

// settingsIn are our variables that are not empty. The data directory is known to
// be the same one.
func settingsIn(environ []string) map[string]string {
	found := map[string]string{}
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, config.Prefix) && name != config.Prefix+"DATA_DIR" && value != "" {
			found[name] = value
		}
	}
	return found
}

// sameFindings looks at the Porchlight that runs on the data directory, as far as
// this user may.
func sameFindings(dir string) []Finding {
	pid := lockHolder(dir)
	if pid == 0 || pid == os.Getpid() {
		return nil
	}
	proc := "/proc/" + strconv.Itoa(pid)
	running, _ := os.ReadFile(proc + "/environ")
	groups, _ := os.ReadFile(proc + "/cgroup")
	return checkSame(os.Environ(), pid, running, ofService(string(groups)))
}
