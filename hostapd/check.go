package hostapd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Found is what Look found at a control socket.
type Found struct {
	Path     string
	Stations int // that are associated
	Err      error
}

// Look asks each access point once; see Config.Sockets.
func Look(ctx context.Context, sockets []string) (all []Found) {
	for _, path := range sockets {
		found, err := socketsAt(path)
		if err != nil {
			all = append(all, Found{Path: path, Err: err})
		}
		for _, socket := range found {
			n, err := count(ctx, socket)
			if errors.Is(err, errNoBSS) && socket != path {
				continue
			}
			all = append(all, Found{socket, n, err})
		}
	}
	return all
}

func count(ctx context.Context, path string) (n int, err error) {
	c, err := dial(ctx, path, usualPace.reply, func([]byte) {})
	if err != nil {
		return 0, err
	}
	defer c.close()
	stations, _, err := c.list()
	for _, authorized := range stations {
		if authorized {
			n++
		}
	}
	return n, err
}

// Explain says in words why nothing is heard from the control socket at path,
// and what to do.
func Explain(path string, err error) (text, remedy string) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no control socket of hostapd at " + path,
			"see that hostapd runs, and that its configuration has ctrl_interface=" + directory(path)
	case errors.Is(err, fs.ErrPermission):
		return "this user may not speak to hostapd at " + path,
			"set ctrl_interface_group in hostapd's configuration to a group of the user that Porchlight runs as; in a service, add the group by SupplementaryGroups="
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOTCONN):
		return "hostapd has ended, and its control socket " + path + " says nothing", "start hostapd"
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "hostapd does not answer at " + path, "restart hostapd, and see that it runs in the same network namespace as Porchlight"
	case errors.Is(err, errNoBSS):
		return path + " is not the control socket of an access point", "name the one that is called as the interface, or the directory of it"
	}
	return fmt.Sprintf("hostapd cannot be spoken to at %s: %v", path, err), "name hostapd's control socket in PORCHLIGHT_HOSTAPD_SOCKETS"
}

// directory is where a control socket lies; path may be the directory itself.
func directory(path string) string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return path
	}
	if filepath.Base(path) == "hostapd" {
		return path
	}
	return filepath.Dir(path)
}
