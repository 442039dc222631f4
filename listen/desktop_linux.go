package listen

import (
	"errors"
	"fmt"
	"os"
)

// icon is a stock icon (Icon Naming Specification).
const icon = "network-wired"

// desktopThere returns why there is no desktop to show something on. Without a
// session bus the library would start one that outlives us.
func desktopThere() error {
	if a := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); a != "" && a != "autolaunch:" {
		return nil
	}
	if _, err := os.Stat(fmt.Sprintf("/run/user/%d/bus", os.Getuid())); err == nil {
		return nil
	}
	return errors.New("there is no desktop session: DBUS_SESSION_BUS_ADDRESS is not set; run this as the user of the desktop, without sudo")
}
