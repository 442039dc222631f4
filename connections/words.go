package connections

import (
	"fmt"
	"strings"
)

// who says whose a socket is. partial: not all processes were seen.
func who(c *Connection, partial bool) string {
	switch p := c.Process; {
	case p != nil && p.Container != "":
		return fmt.Sprintf("%s (user %s, container %s)", p.Name, p.User, p.Container)
	case p != nil:
		return fmt.Sprintf("%s (user %s)", p.Name, p.User)
	case partial:
		return fmt.Sprintf("a program of user %s, which cannot be seen from here,", c.User)
	}
	return "the kernel itself (as for WireGuard, VXLAN or NFS)"
}

// where says what a listener's port is.
func where(c *Connection) string {
	addr := c.Local.Addr()
	port := fmt.Sprintf("%s port %d", strings.ToUpper(c.Protocol), c.Local.Port())
	switch {
	case addr.IsUnspecified():
		return port + " of all addresses"
	case addr.IsLoopback():
		return port + " of " + addr.String() + ", for this machine only"
	}
	return port + " of " + addr.String()
}

func listens(c *Connection, partial bool) string { return who(c, partial) + " listens on " + where(c) }

func notListens(c *Connection, partial bool) string {
	return who(c, partial) + " listens no more on " + where(c)
}

// talks says what a program that is not a listener does.
func talks(c *Connection) string {
	if !c.Remote.IsValid() {
		return fmt.Sprintf("%s has a %s socket for other machines", who(c, false), strings.ToUpper(c.Protocol))
	}
	text := fmt.Sprintf("%s has a connection to %s port %d by %s", who(c, false), c.Remote.Addr(), c.Remote.Port(), strings.ToUpper(c.Protocol))
	if c.Device != "" {
		text += " (" + c.Device + ")"
	}
	return text
}
