package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"porchlight/connections"
)

// connectionLine is a connection in the output. Bytes are of TCP's payload.
type connectionLine struct {
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

func newConnectionLine(c *connections.Connection) connectionLine {
	l := connectionLine{
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

// printConnections prints a list of connections in the form that is wanted.
func printConnections(a *app, f form, all []connections.Connection) error {
	if f.table() {
		return table(a.stdout, connectionRows(all))
	}
	out, err := newLines(a.stdout, f.CSV, connectionLine{})
	for i := range all {
		if err == nil {
			err = out.print(newConnectionLine(&all[i]))
		}
	}
	return err
}

// shownCommand is how much of a command line the table has room for.
const shownCommand = 60

func connectionRows(all []connections.Connection) [][]string {
	rows := [][]string{{"PROTO", "STATE", "LOCAL", "REMOTE", "DEVICE", "INTERFACE", "PID", "PROGRAM", "USER", "CONTAINER", "SINCE", "SENT", "RECEIVED", "RTT", "COMMAND"}}
	for i := range all {
		l := newConnectionLine(&all[i])
		pid, rtt := "", ""
		if l.PID != 0 {
			pid = strconv.Itoa(l.PID)
		}
		if l.RTT > 0 {
			rtt = fmt.Sprintf("%.1fms", l.RTT)
		}
		command := []rune(l.Command)
		if len(command) > shownCommand {
			command = append(command[:shownCommand-1], '…')
		}
		rows = append(rows, []string{
			l.Protocol, l.State, ending(all[i].Local), ending(all[i].Remote), l.Device, l.Interface, pid, l.Program, l.User,
			l.Container, when(l.Started), bytesText(l.Sent), bytesText(l.Received), rtt, string(command),
		})
	}
	return rows
}

// ending is an address and port, with * for any.
func ending(e netip.AddrPort) string {
	switch {
	case !e.Addr().IsValid():
		return "*"
	case e.Addr() == netip.IPv4Unspecified():
		return "*:" + strconv.Itoa(int(e.Port()))
	}
	return e.String()
}

// bytesText is a number of bytes for people; nothing for none.
func bytesText(n uint64) string {
	switch {
	case n == 0:
		return ""
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 1e6:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1e9:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}

// changeLine is a change in the output.
type changeLine struct {
	Time   time.Time `json:"time"`   // of the later snapshot
	Change string    `json:"change"` // opened, closed, changed, new_listener, new_program or new_remote_host
	What   []string  `json:"what,omitempty"`
	connectionLine
}

// changes prints what changed.
type changes struct {
	app   *app
	lines *lines // nil: for people
}

func newChanges(a *app, f form) (*changes, error) {
	if f.table() {
		return &changes{app: a}, nil
	}
	l, err := newLines(a.stdout, f.CSV, changeLine{})
	return &changes{a, l}, err
}

// diff prints all of d.
func (c *changes) diff(at time.Time, d connections.Diff) error {
	for _, line := range changeLines(at, d) {
		var err error
		if c.lines != nil {
			err = c.lines.print(line)
		} else {
			_, err = fmt.Fprintln(c.app.stdout, changeText(line))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func changeLines(at time.Time, d connections.Diff) (all []changeLine) {
	each := func(change string, these []connections.Connection) {
		for i := range these {
			all = append(all, changeLine{Time: at, Change: change, connectionLine: newConnectionLine(&these[i])})
		}
	}
	each("closed", d.Closed)
	each("opened", d.Opened)
	for i := range d.Changed {
		all = append(all, changeLine{Time: at, Change: "changed", What: d.Changed[i].What, connectionLine: newConnectionLine(&d.Changed[i].Now)})
	}
	each("new_listener", d.NewListeners)
	for _, name := range d.NewPrograms {
		all = append(all, changeLine{Time: at, Change: "new_program", connectionLine: connectionLine{Program: name}})
	}
	for _, host := range d.NewHosts {
		all = append(all, changeLine{Time: at, Change: "new_remote_host", connectionLine: connectionLine{Remote: host}})
	}
	return all
}

// changeText is a change for people, such as
//
//	18:12:01  opened           tcp ESTABLISHED 192.168.1.2:22 ↔ 192.168.1.20:50122 (Anna's phone)  sshd (812)
func changeText(l changeLine) string {
	text := fmt.Sprintf("%s  %-15s ", l.Time.Local().Format(time.TimeOnly), strings.ReplaceAll(l.Change, "_", " "))
	switch l.Change {
	case "new_program":
		return text + " " + l.Program
	case "new_remote_host":
		return text + " " + l.Remote.String()
	}
	text += fmt.Sprintf(" %s %s %s", l.Protocol, l.State, ending(netip.AddrPortFrom(l.Local, l.LocalPort)))
	if l.Remote.IsValid() {
		text += " ↔ " + ending(netip.AddrPortFrom(l.Remote, l.RemotePort))
	}
	if l.Device != "" {
		text += " (" + l.Device + ")"
	}
	if l.Program != "" {
		text += fmt.Sprintf("  %s (%d)", l.Program, l.PID)
	}
	if len(l.What) > 0 {
		text += "  " + strings.Join(l.What, ", ")
	}
	return text
}
