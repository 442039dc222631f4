package doctor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// openPacketSocket tries what every watcher does first: it needs CAP_NET_RAW
// (packet(7)).
func openPacketSocket() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// executable is the file that setcap must be given.
func executable() string {
	path, err := os.Executable()
	if err != nil {
		return "porchlight"
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real // setcap refuses links
	}
	return path
}

func checkCapability(err error, exe string, container bool) Finding {
	const check = "capability"
	const deaf = "This program may not open a packet socket (CAP_NET_RAW is missing), so it cannot hear the network."
	switch {
	case err == nil:
		return ok(check, "This program may open packet sockets (CAP_NET_RAW).")
	case !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EACCES):
		return fail(check, fmt.Sprintf("A packet socket cannot be opened: %v.", err), "Run this on a Linux kernel with packet sockets (CONFIG_PACKET), outside a sandbox.")
	case container:
		return fail(check, deaf, "Add cap_add: [NET_RAW] to the container (docker run --cap-add NET_RAW).")
	}
	return fail(check, deaf, "sudo setcap cap_net_raw=ep "+exe+" (or start it with sudo; in Docker: cap_add: [NET_RAW])")
}
