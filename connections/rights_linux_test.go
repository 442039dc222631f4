package connections

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// capabilities are those that packaging gives, by name (capabilities(7)).
var capabilities = map[string]int{"CAP_SYS_PTRACE": unix.CAP_SYS_PTRACE, "CAP_DAC_READ_SEARCH": unix.CAP_DAC_READ_SEARCH}

// become makes of this thread alone another user, with these capabilities, in a
// mount namespace whose /proc hides others' processes, as systemd does it.
func become(uid uintptr, names []string) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unsharing the mounts: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making the mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, "hidepid=invisible"); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keeping capabilities: %w", err)
	}
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
		return errno
	}
	var sets [2]unix.CapUserData
	for _, name := range names {
		bit, known := capabilities[name]
		if !known {
			return fmt.Errorf("the test does not know %s", name)
		}
		sets[bit/32].Effective |= 1 << (bit % 32)
		sets[bit/32].Permitted |= 1 << (bit % 32)
	}
	return unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &sets[0])
}

// The service sees nobody's programs but its own, unless it gets the rights of
// packaging/connections.conf, which are enough and none too many.
func TestRightsOfTheService(t *testing.T) {
	unit, err := os.ReadFile("../packaging/porchlight.service")
	must(t, err)
	dropIn, err := os.ReadFile("../packaging/connections.conf")
	must(t, err)
	if !strings.Contains(string(unit), "ProtectProc=invisible") {
		t.Error("the unit does not hide processes as this test does")
	}
	given := regexp.MustCompile(`(?m)^AmbientCapabilities=(.*)`).FindStringSubmatch(string(dropIn))
	bound := regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)`).FindStringSubmatch(string(dropIn))
	if len(given) == 0 || len(bound) == 0 || given[1] != bound[1] {
		t.Fatalf("the drop-in gives %q of %q", given, bound)
	}
	all := strings.Fields(given[1])
	for _, test := range []struct {
		names []string
		sees  bool
	}{
		{nil, false}, {all, true}, {all[:1], false}, {all[1:], false},
	} {
		t.Run(strings.Join(test.names, " "), func(t *testing.T) {
			inNamespace(t, func() error {
				if _, err := served(t); err != nil {
					return err
				}
				root, err := Take(nil) // who may be in a container
				if err != nil {
					return err
				}
				if err := become(65534, test.names); err != nil {
					return err
				}
				s, err := Take(nil)
				if err != nil {
					return err
				}
				found := false
				for i := range s.Connections {
					found = found || s.Connections[i].Program() == "sleep"
				}
				said := strings.Join(s.Missing, "\n")
				told := strings.Contains(said, "hidden from this user") || strings.Contains(said, "no permission")
				if len(s.Connections) != 3 || found != test.sees || s.Partial != (!test.sees || root.Partial) || told == test.sees {
					t.Errorf("%d connections, found %t, partial %t, missing %q", len(s.Connections), found, s.Partial, s.Missing)
				}
				return nil
			})
		})
	}
}

// The kernel's own sockets are found where all processes are seen, whatever their
// port, and a client's is none of them.
func TestKernelsOwn(t *testing.T) {
	inNamespace(t, func() error {
		if err := vxlan(51820); err != nil {
			t.Skipf("no VXLAN here: %v", err)
		}
		client, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer func() { _ = client.Close() }()
		both, err := net.ListenPacket("udp6", "[::1]:0")
		if err != nil {
			return err
		}
		defer func() { _ = both.Close() }()
		port := netip.MustParseAddrPort(both.LocalAddr().String()).Port()
		other, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			return err
		}
		defer func() { _ = other.Close() }()
		all, _, err := sockets("/proc") // this may run in a container, so that Take would be careful
		if err != nil {
			return err
		}
		w, err := findOwners("/proc", all, map[uint32]string{})
		if err != nil {
			return err
		}
		for i := range all {
			all[i].Process = w.owners[all[i].Inode].process
		}
		gone := Connection{Protocol: UDP, State: Unconnected, Local: netip.MustParseAddrPort("0.0.0.0:45000"), Inode: 1} // closed meanwhile
		all = append(all, gone)
		markGiven(all, firstGiven, lastGiven, kernelsOwn("/proc", all, firstGiven))
		listening := map[uint16]int{}
		for i := range all {
			if c := &all[i]; c.Listening() {
				listening[c.Local.Port()]++
			}
		}
		if listening[51820] == 0 || listening[port] != 2 || len(listening) != 2 {
			t.Errorf("listening: %v, of %+v", listening, all)
		}
		return nil
	})
}

// vxlan makes an interface for which the kernel listens on a UDP port.
func vxlan(port int) error {
	link := &netlink.Vxlan{LinkAttrs: netlink.LinkAttrs{Name: "vx0"}, VxlanId: 5, Port: port, SrcAddr: net.IPv4(127, 0, 0, 1), Group: net.IPv4(127, 0, 0, 2)}
	if err := netlink.LinkAdd(link); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}
