package attendance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"github.com/godbus/dbus/v5"
)

// connect connects to the bus of this address; empty: the system bus. The error
// names the remedy.
func connect(ctx context.Context, bus string) (conn *dbus.Conn, err error) {
	if bus == "" {
		conn, err = dbus.ConnectSystemBus(dbus.WithContext(ctx))
	} else {
		conn, err = dbus.Connect(bus, dbus.WithContext(ctx))
	}
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("connecting to the system bus: %w (in a container it needs /run/dbus/system_bus_socket of the host)", err)
	case errors.Is(err, io.EOF), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		// dbus-daemon looks the user up, and its way to systemd's dynamic users
		// is closed (SYSTEMD_NSS_DYNAMIC_BYPASS). systemd takes a user of the
		// service's name if there is one.
		return nil, fmt.Errorf("connecting to the system bus: it refuses user %[1]d, whom it does not know: for the service run "+
			"`systemctl stop porchlight; useradd --system porchlight; systemctl start porchlight`, for a container `useradd --system --uid %[1]d porchlight` on its host", os.Geteuid())
	}
	return nil, fmt.Errorf("connecting to the system bus: %w", err)
}
