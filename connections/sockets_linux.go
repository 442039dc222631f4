package connections

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"porchlight/presence"
)

// table is one of the kernel's four tables of sockets.
type table struct {
	file, protocol string
	family         uint8
}

var tables = []table{
	{"tcp", TCP, unix.AF_INET},
	{"tcp6", TCP, unix.AF_INET6},
	{"udp", UDP, unix.AF_INET},
	{"udp6", UDP, unix.AF_INET6},
}

// interrupted is how often a table is asked for that changes while it is read.
const interrupted = 3

// sockets lists the sockets of the calling thread's network namespace, without
// their processes. Where the kernel has no sock_diag(7) they come from
// /proc/net, without counters, which missing says.
func sockets(proc string) (all []Connection, missing []string, err error) {
	names := interfaces()
	plain := false
	for _, t := range tables {
		found, uncounted, err := t.list(proc, names)
		if err != nil {
			return nil, nil, fmt.Errorf("listing the %s sockets: %w", t.file, err)
		}
		all, plain = append(all, found...), plain || uncounted
	}
	if plain {
		missing = append(missing, "this kernel does not tell the counters of all connections: it has no sock_diag, or may not load tcp_diag and udp_diag")
	}
	for i := range all {
		if all[i].Interface == "" {
			all[i].Interface = names.of(all[i].Local.Addr())
		}
	}
	return all, missing, nil
}

// list asks the kernel, or where it does not answer that reads its table.
func (t table) list(proc string, names ifaces) (all []Connection, plain bool, err error) {
	all, err = t.ask(names)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		all, err = t.read(proc)
		return all, true, err
	}
	return all, false, err
}

// ask asks by sock_diag(7). A list that the kernel says is inconsistent is
// still the best there is.
func (t table) ask(names ifaces) (all []Connection, err error) {
	for range interrupted {
		if all, err = t.once(names); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return all, nil
}

func (t table) once(names ifaces) (all []Connection, err error) {
	if t.protocol == UDP {
		sockets, err := netlink.SocketDiagUDP(t.family)
		for _, s := range sockets {
			all = append(all, t.connection(s, nil, names))
		}
		return all, err
	}
	sockets, err := netlink.SocketDiagTCPInfo(t.family)
	for _, s := range sockets {
		all = append(all, t.connection(s.InetDiagMsg, s.TCPInfo, names))
	}
	return all, err
}

func (t table) connection(s *netlink.Socket, info *netlink.TCPInfo, names ifaces) Connection {
	c := Connection{
		Protocol: t.protocol, State: stateOf(t.protocol, s.State),
		Local:     end(s.ID.Source, s.ID.SourcePort),
		Remote:    end(s.ID.Destination, s.ID.DestinationPort),
		Interface: names.name[int(s.ID.Interface)],
		UID:       s.UID, Inode: uint64(s.INode),
		Counters: Counters{SendQueue: uint64(s.WQueue), ReceiveQueue: uint64(s.RQueue)},
	}
	if info != nil && c.State != Listen {
		c.Sent, c.Received = info.Bytes_acked, info.Bytes_received
		switch {
		case info.Bytes_sent > 0: // since Linux 4.19
			c.Sent = info.Bytes_sent - min(info.Bytes_retrans, info.Bytes_sent)
		case c.Sent <= 2: // the SYN and the FIN
			c.Sent = 0
		}
		if c.State.heardFIN() && c.Received > 0 {
			c.Received-- // the kernel counts it
		}
		c.Retransmitted, c.RTT = info.Bytes_retrans, uint64(info.Rtt)
	}
	c.ends()
	return c
}

func end(ip net.IP, port uint16) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a, port)
}

// read reads /proc/net, of the calling thread's namespace. A table that is not
// there is one of a protocol that is switched off.
func (t table) read(proc string) ([]Connection, error) {
	f, err := os.Open(proc + "/thread-self/net/" + t.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	all, _, err := parseNet(f, t.protocol)
	return all, err
}

// ifaces are the interfaces, by index and by address.
type ifaces struct {
	name map[int]string
	addr map[netip.Addr]string
}

// interfaces lists them. What cannot be listed has no name.
func interfaces() ifaces {
	i := ifaces{map[int]string{}, map[netip.Addr]string{}}
	links, err := net.Interfaces()
	if err != nil {
		return i
	}
	for _, link := range links {
		// The kernel allows all but blanks, slashes and colons in it.
		name := presence.CleanText(link.Name, unix.IFNAMSIZ)
		i.name[link.Index] = name
		addrs, err := link.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				i.addr[p.Addr().Unmap()] = name
			}
		}
	}
	return i
}

func (i ifaces) of(a netip.Addr) string {
	if name, is := i.addr[a]; is || !a.IsLoopback() {
		return name
	}
	return i.name[1] // all of 127.0.0.0/8 is the loopback's, which is the first (net/core/dev.c)
}
