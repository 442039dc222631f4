package connections

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// Line is a connection as programs get it. Bytes are of TCP's payload.
type Line struct {
	Protocol      string     `json:"protocol,omitempty"` // tcp or udp
	State         string     `json:"state,omitempty"`    // as RFC 9293 has it; of UDP CONNECTED or UNCONNECTED
	Local         netip.Addr `json:"local,omitzero"`
	LocalPort     uint16     `json:"local_port,omitempty"`
	Remote        netip.Addr `json:"remote,omitzero"`
	RemotePort    uint16     `json:"remote_port,omitempty"`
	Device        string     `json:"device,omitempty"` // at the remote end
	Interface     string     `json:"interface,omitempty"`
	Program       string     `json:"program,omitempty"`
	PID           int        `json:"pid,omitempty"`
	Command       string     `json:"command,omitempty"`
	User          string     `json:"user,omitempty"` // whose process it is, or who made the socket
	Started       time.Time  `json:"started,omitzero"`
	Container     string     `json:"container,omitempty"`
	Others        int        `json:"other_processes,omitempty"` // that hold the socket too
	Inode         uint64     `json:"inode,omitempty"`
	Sent          uint64     `json:"sent_bytes,omitempty"`
	Received      uint64     `json:"received_bytes,omitempty"`
	Retransmitted uint64     `json:"retransmitted_bytes,omitempty"`
	RTT           float64    `json:"rtt_ms,omitempty"`
	SendQueue     uint64     `json:"send_queue,omitempty"`    // bytes; of a listener: how many may wait
	ReceiveQueue  uint64     `json:"receive_queue,omitempty"` // bytes; of a listener: how many do
}

// NewLine returns c for programs.
func NewLine(c *Connection) Line {
	l := Line{
		Protocol: c.Protocol, State: string(c.State),
		Local: c.Local.Addr(), LocalPort: c.Local.Port(), Remote: c.Remote.Addr(), RemotePort: c.Remote.Port(),
		Device: c.Device, Interface: c.Interface, User: c.User, Others: c.Others, Inode: c.Inode,
		Sent: c.Sent, Received: c.Received, Retransmitted: c.Retransmitted, RTT: float64(c.RTT) / 1000,
		SendQueue: c.SendQueue, ReceiveQueue: c.ReceiveQueue,
	}
	if p := c.Process; p != nil {
		l.Program, l.PID, l.Command, l.Started, l.Container = p.Name, p.PID, p.Command, p.Started, p.Container
		if p.User != "" {
			l.User = p.User
		}
	}
	return l
}

// ChangeLine is a change as programs get it.
type ChangeLine struct {
	Time   time.Time `json:"time"`   // of the later snapshot
	Change string    `json:"change"` // opened, closed, changed, new_listener, new_program or new_remote_host
	What   []string  `json:"what,omitempty"`
	Line
}

// Lines returns all of d for programs. At is the time of the later snapshot.
func (d *Diff) Lines(at time.Time) (all []ChangeLine) {
	each := func(change string, these []Connection) {
		for i := range these {
			all = append(all, ChangeLine{Time: at, Change: change, Line: NewLine(&these[i])})
		}
	}
	each("closed", d.Closed)
	each("opened", d.Opened)
	for i := range d.Changed {
		all = append(all, ChangeLine{Time: at, Change: "changed", What: d.Changed[i].What, Line: NewLine(&d.Changed[i].Now)})
	}
	each("new_listener", d.NewListeners)
	for _, name := range d.NewPrograms {
		all = append(all, ChangeLine{Time: at, Change: "new_program", Line: Line{Program: name}})
	}
	for _, host := range d.NewHosts {
		all = append(all, ChangeLine{Time: at, Change: "new_remote_host", Line: Line{Remote: host}})
	}
	return all
}

// EndText is an address and port for people, with * for any.
func EndText(e netip.AddrPort) string {
	switch {
	case !e.Addr().IsValid():
		return "*"
	case e.Addr() == netip.IPv4Unspecified():
		return "*:" + strconv.Itoa(int(e.Port()))
	}
	return e.String()
}

// BytesText is a number of bytes for people; nothing for none.
func BytesText(n uint64) string {
	switch {
	case n == 0:
		return ""
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1e6:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1e9:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n < 1e12:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	}
	return fmt.Sprintf("%.1f TB", float64(n)/1e12)
}
