package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"porchlight/connections"
)

// chosenConnections are the flags that choose connections. A connection is
// chosen when it fits one value of each flag that is given.
type chosenConnections struct {
	Program   []string  `short:"p" sep:"none" placeholder:"NAME" help:"Only those of this program."`
	PID       []int     `name:"pid" placeholder:"PID" help:"Only those of this process."`
	Device    []string  `short:"d" sep:"none" placeholder:"DEVICE" help:"Only those with this device of the LAN, by its name."`
	Remote    []network `placeholder:"ADDRESS" help:"Only those with this address or network, such as 192.168.1.0/24."`
	Port      []uint16  `placeholder:"PORT" help:"Only those with this port on either end."`
	Listening bool      `short:"l" help:"Only what waits for others to connect."`
}

// network is an address or a network on the command line.
type network struct {
	netip.Prefix
}

// UnmarshalText is called by kong.
func (n *network) UnmarshalText(b []byte) error {
	if a, err := netip.ParseAddr(string(b)); err == nil {
		a = a.Unmap().WithZone("")
		n.Prefix = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	p, err := netip.ParsePrefix(string(b))
	if err != nil {
		return fmt.Errorf("%q: want an address such as 192.168.1.20, or a network such as 192.168.1.0/24", b)
	}
	n.Prefix = p
	return nil
}

func (c chosenConnections) any() bool {
	return len(c.Program)+len(c.PID)+len(c.Device)+len(c.Remote)+len(c.Port) > 0 || c.Listening
}

// choose returns those that are wanted.
func (c chosenConnections) choose(all []connections.Connection) []connections.Connection {
	if !c.any() {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), func(x connections.Connection) bool { return !c.wants(&x) })
}

func (c chosenConnections) wants(x *connections.Connection) bool {
	return (len(c.Program) == 0 || slices.Contains(c.Program, x.Program())) &&
		(len(c.PID) == 0 || x.Process != nil && slices.Contains(c.PID, x.Process.PID)) &&
		(len(c.Device) == 0 || x.Device != "" && slices.ContainsFunc(c.Device, func(d string) bool { return strings.EqualFold(d, x.Device) })) &&
		(len(c.Remote) == 0 || slices.ContainsFunc(c.Remote, func(n network) bool { return n.Contains(x.Remote.Addr().WithZone("")) })) &&
		(len(c.Port) == 0 || slices.Contains(c.Port, x.Local.Port()) || x.Remote.IsValid() && slices.Contains(c.Port, x.Remote.Port())) &&
		(!c.Listening || x.Listening())
}
