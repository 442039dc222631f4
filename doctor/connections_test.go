package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestCheckConnections(t *testing.T) {
	for _, test := range []struct {
		name   string
		s      sight
		p      place
		app    bool
		level  Level
		text   string
		remedy string
	}{
		{"root", sight{all: true}, place{}, false, OK, "with the programs of all users.", ""},
		{"the service with the drop-in", sight{pid: 812, all: true, service: true}, place{}, false, OK, "with the programs of all users.", ""},
		{"the service", sight{pid: 812, service: true}, place{}, false, Warn, "the Porchlight that runs (process 812) may not look into", "/usr/share/doc/porchlight/examples/connections.conf /etc/systemd/system/porchlight.service.d/connections.conf && sudo systemctl daemon-reload"},
		{"a user", sight{}, place{}, false, Warn, "this program may not look into their processes", "sudo setcap cap_net_raw,cap_sys_ptrace,cap_dac_read_search=ep /opt/porchlight"},
		{"Docker", sight{inside: true}, place{runtime: "Docker"}, false, Warn, "the container of this program does not have the host's processes", "docker compose -f compose.yaml -f packaging/compose.connections.yaml up -d --build"},
		{"Docker with the host's processes alone", sight{}, place{runtime: "Docker"}, false, Warn, "may not look into", "compose.connections.yaml"},
		{"a container with a system of its own", sight{all: true, inside: true}, place{}, false, OK, "with the programs of all users in it; what is outside of it is not seen", ""},
		{"a service of such a system", sight{pid: 812, inside: true, service: true}, place{}, false, Warn, "(process 812) may not look into", "examples/connections.conf"},
		{"Kubernetes", sight{inside: true}, place{runtime: "Kubernetes"}, false, Warn, "the host's processes", "hostPID: true"},
		{"the app", sight{inside: true}, place{runtime: "Docker"}, true, OK, "an app of Home Assistant sees none but itself", ""},
	} {
		got := checkConnections(test.s, test.p, test.app, "/opt/porchlight")
		if got.Level != test.level || !strings.Contains(got.Text, test.text) || !strings.Contains(got.Remedy, test.remedy) || (got.Remedy == "") != (test.level == OK) {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
}

func TestMayLookIntoAll(t *testing.T) {
	for status, want := range map[string]bool{
		"Name:\tporchlight\nCapInh:\t0000000000000000\nCapPrm:\t0000000000082004\nCapEff:\t0000000000082004\nCapBnd:\t0\n": true,
		"Name:\tporchlight\nCapEff:\t000001ffffffffff\n":                                                                   true,
		"Name:\tporchlight\nCapEff:\t0000000000002000\n":                                                                   false, // CAP_NET_RAW
		"Name:\tporchlight\nCapEff:\t0000000000080000\n":                                                                   false,
		"Name:\tporchlight\nCapEff:\t0000000000000004\n":                                                                   false,
		"Name:\tporchlight\nCapEff:\tx\n":                                                                                  false,
		"":                                                                                                                 false,
	} {
		if got := mayLookIntoAll(status); got != want {
			t.Errorf("%q: %t", status, got)
		}
	}
}

func TestOfService(t *testing.T) {
	for groups, want := range map[string]bool{
		"0::/system.slice/porchlight.service\n": true, "12:pids:/system.slice/porchlight.service\n0::/\n": true,
		"0::/user.slice/user-1000.slice/session-1.scope\n": false, "": false,
	} {
		if got := ofService(groups); got != want {
			t.Errorf("%q: %t", groups, got)
		}
	}
}

// Whoever has locked the data directory is found.
func TestLockHolder(t *testing.T) {
	const locks = "1: POSIX  ADVISORY  WRITE 700 fd:01:55 0 EOF\n2: FLOCK  ADVISORY  WRITE 812 fd:01:55 0 EOF\n2: -> FLOCK  ADVISORY  WRITE 900 fd:01:55 0 EOF\n3: FLOCK  ADVISORY  READ 901 fd:01:56 0 EOF\n4: FLOCK\n5: FLOCK  ADVISORY  WRITE x fd:01:57 0 EOF\n"
	for inode, want := range map[uint64]int{55: 812, 5: 0, 56: 0, 57: 0} {
		if got := holder([]byte(locks), inode); got != want {
			t.Errorf("%d: process %d, want %d", inode, got, want)
		}
	}
	dir := t.TempDir()
	if got := lockHolder(dir); got != 0 {
		t.Errorf("of nothing: process %d", got)
	}
	f, err := os.Create(filepath.Join(dir, "porchlight.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	if got := lockHolder(dir); got != os.Getpid() {
		t.Errorf("process %d, want %d", got, os.Getpid())
	}
	if s := readSight(dir); s.pid != 0 {
		t.Errorf("this process: %+v", s)
	}
}
