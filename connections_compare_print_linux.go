package main

import (
	"cmp"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"porchlight/connections"
	"porchlight/flows"
	"porchlight/presence"
)

// flowLine is a flow of a dump, or an idle connection, in the output. Bytes are
// on the wire, with the link's header.
type flowLine struct {
	// Group is unexplained; others: between ends that are not this machine's;
	// idle: a connection without traffic; explained; or portless: what no snapshot
	// can have.
	Group           string     `json:"group"`
	Protocol        string     `json:"protocol"`
	Local           netip.Addr `json:"local,omitzero"` // of others: who sent the first packet
	LocalPort       uint16     `json:"local_port,omitempty"`
	Remote          netip.Addr `json:"remote,omitzero"`
	RemotePort      uint16     `json:"remote_port,omitempty"`
	Name            string     `json:"name,omitempty"`   // of the remote end, by the DNS answers in the dump
	Device          string     `json:"device,omitempty"` // at the remote end
	Interface       string     `json:"interface,omitempty"`
	Opened          string     `json:"opened_by,omitempty"` // of TCP: local or remote
	First           time.Time  `json:"first,omitzero"`      // packet
	Last            time.Time  `json:"last,omitzero"`
	SentPackets     uint64     `json:"sent_packets,omitempty"` // by the local end
	Sent            uint64     `json:"sent_bytes,omitempty"`
	ReceivedPackets uint64     `json:"received_packets,omitempty"`
	Received        uint64     `json:"received_bytes,omitempty"`
	How             string     `json:"how,omitempty"` // connection, listener (only that is known) or socket (UDP without remote end)
	State           string     `json:"state,omitempty"`
	Program         string     `json:"program,omitempty"`
	PID             int        `json:"pid,omitempty"`
	Command         string     `json:"command,omitempty"`
	User            string     `json:"user,omitempty"`
	Container       string     `json:"container,omitempty"`
	RemoteProgram   string     `json:"remote_program,omitempty"` // when that end is this machine's too
	RemotePID       int        `json:"remote_pid,omitempty"`
	Snapshot        int64      `json:"snapshot,omitempty"`            // that has the socket
	Meanwhile       int        `json:"snapshots_meanwhile,omitempty"` // how many were taken while the flow lasted
	Why             string     `json:"why,omitempty"`
	Tcpdump         string     `json:"tcpdump,omitempty"` // the filter for an unexplained flow
	Wireshark       string     `json:"wireshark,omitempty"`

	flows int          // of how many it is the sum; in tables only
	entry *flows.Entry // nil: of an idle connection
}

func newFlowLine(group string, x *flows.Entry, d *flows.Dump) flowLine {
	l := flowLine{
		Group: group, Protocol: x.Protocol, Local: x.Local.Addr(), LocalPort: x.Local.Port(), Remote: x.Remote.Addr(), RemotePort: x.Remote.Port(),
		Name: d.Names[x.Remote.Addr()], Device: x.Device, Interface: x.Interface, Opened: x.Opened, First: x.First, Last: x.Last,
		SentPackets: x.SentBy.Packets, Sent: x.SentBy.Bytes, ReceivedPackets: x.SentTo.Packets, Received: x.SentTo.Bytes,
		How: string(x.How), State: string(x.State), Snapshot: x.Snapshot, Meanwhile: x.Meanwhile, Why: x.Why, flows: 1, entry: x,
	}
	if p := x.Process; p != nil {
		l.Program, l.PID, l.Command, l.User, l.Container = p.Name, p.PID, p.Command, p.User, p.Container
	}
	if p := x.Peer; p != nil {
		l.RemoteProgram, l.RemotePID = p.Name, p.PID
	}
	return l
}

// filter fills in what chooses the packets of an unexplained flow.
func (l *flowLine) filter() {
	if l.Group != "unexplained" {
		return
	}
	if f, err := flows.Filter([]flows.Entry{*l.entry}); err == nil {
		l.Tcpdump, l.Wireshark = f.Tcpdump, f.Wireshark
	}
}

func newIdleLine(c *connections.Connection, d *flows.Dump) flowLine {
	f := connections.NewLine(c)
	return flowLine{
		Group: "idle", Protocol: f.Protocol, State: f.State, Local: f.Local, LocalPort: f.LocalPort, Remote: f.Remote, RemotePort: f.RemotePort,
		Name: d.Names[f.Remote], Device: f.Device, Interface: f.Interface, Program: f.Program, PID: f.PID, Command: f.Command, User: f.User, Container: f.Container,
	}
}

// flowGroup is a group in the output.
type flowGroup struct {
	name, title string
	count       int
	lines       iter.Seq[flowLine] // made when they are asked for: there may be many
}

// groups are all that there are, in the order in which they are shown.
func (c connectionsCompareCmd) groups(d *flows.Dump, r *flows.Report, names connections.DeviceNames) []flowGroup {
	of := func(name, title string, entries []flows.Entry) flowGroup {
		return flowGroup{name, title, len(entries), func(yield func(flowLine) bool) {
			for i := range entries {
				l := newFlowLine(name, &entries[i], d)
				l.Device = cmp.Or(l.Device, names[l.Remote])
				if !yield(l) {
					return
				}
			}
		}}
	}
	all := []flowGroup{
		of("unexplained", "flows that no snapshot explains", r.Unexplained),
		of("others", "flows between others: neither end is this machine, no snapshot explains them either", r.Others),
		{"idle", "connections without traffic", len(r.Idle), func(yield func(flowLine) bool) {
			for i := range r.Idle {
				if !yield(newIdleLine(&r.Idle[i], d)) {
					return
				}
			}
		}},
		of("explained", "flows with their programs", r.Explained),
		of("portless", "what snapshots do not have: no TCP and no UDP socket", r.Portless),
	}
	return slices.DeleteFunc(all, func(g flowGroup) bool { return len(c.Only) > 0 && !slices.Contains(c.Only, g.name) })
}

// print prints the report.
func (c connectionsCompareCmd) print(a *app, d *flows.Dump, r *flows.Report) error {
	names, err := a.deviceNames()
	if err != nil {
		names = nil // a dump is explained without a history too
	}
	groups := c.groups(d, r, names)
	if !c.table() {
		out, err := newLines(a.stdout, c.CSV, flowLine{})
		for _, g := range groups {
			for l := range g.lines {
				if err != nil {
					return err
				}
				l.filter()
				err = out.print(l)
			}
		}
		return err
	}
	for _, g := range groups {
		if g.count == 0 && g.name != "unexplained" {
			continue
		}
		if err := c.printGroup(a, g); err != nil {
			return err
		}
		if g.name == "unexplained" && g.count > 0 {
			if err := printFilter(a, r.Unexplained); err != nil {
				return err
			}
		}
	}
	if r.Elsewhere > 0 {
		_, _ = fmt.Fprintf(a.stderr, "%d more connections without traffic are of addresses that are nowhere in the dump, or pass another interface than those of the dump\n", r.Elsewhere)
	}
	seen := 0
	for i := range r.Unexplained {
		seen += min(r.Unexplained[i].Meanwhile, 1)
	}
	_, _ = fmt.Fprintf(a.stderr, "%d packets, %s, in %s of dump: %d flows explained, %d not (%d of them though snapshots were taken meanwhile), %d between others, %d without ports; %d connections without traffic\n",
		d.Packets, cmp.Or(bytesText(d.Bytes), "0 B"), presence.Words(d.To.Sub(d.From)), len(r.Explained), len(r.Unexplained), seen, len(r.Others), len(r.Portless), len(r.Idle))
	return nil
}

// printFilter prints what chooses the unexplained flows in the dump.
func printFilter(a *app, all []flows.Entry) error {
	f, err := flows.Filter(all)
	if err != nil {
		_, err = fmt.Fprintf(a.stdout, "no filter for them: %s\n\n", err)
		return err
	}
	if f.Wide != "" {
		_, _ = fmt.Fprintf(a.stderr, "porchlight: the filter for the unexplained flows: %s\n", f.Wide)
	}
	if err = showFilter(a, f); err == nil {
		_, err = fmt.Fprintln(a.stdout)
	}
	return err
}

// printGroup prints a table in which like flows are one row.
func (c connectionsCompareCmd) printGroup(a *app, g flowGroup) error {
	like, count := merge(g.lines, c.Rows)
	if _, err := fmt.Fprintf(a.stdout, "%s (%d)\n", strings.ToUpper(g.title[:1])+g.title[1:], g.count); err != nil || len(like) == 0 {
		return err
	}
	rows := [][]string{{"PROTO", "LOCAL", "REMOTE", "NAME", "FLOWS", "FIRST", "LAST", "SENT", "RECEIVED", "PROGRAM", "WHY"}}
	for i := range like {
		rows = append(rows, flowRow(&like[i]))
	}
	if err := table(a.stdout, rows); err != nil {
		return err
	}
	if more := count - len(like); more > 0 {
		_, _ = fmt.Fprintf(a.stdout, "… and %d more rows (--rows 0 shows all)\n", more)
	}
	_, err := fmt.Fprintln(a.stdout)
	return err
}

func flowRow(l *flowLine) []string {
	who := func(program string, pid int) string {
		if pid == 0 {
			return program
		}
		return fmt.Sprintf("%s (%d)", program, pid)
	}
	program := who(l.Program, l.PID)
	if l.RemoteProgram != "" {
		program = cmp.Or(program, "?") + " ↔ " + who(l.RemoteProgram, l.RemotePID)
	}
	many := ""
	if l.flows > 0 {
		many = strconv.Itoa(l.flows)
	}
	return []string{
		l.Protocol, flowEnd(l.Local, l.LocalPort), flowEnd(l.Remote, l.RemotePort), cmp.Or(l.Device, l.Name), many,
		clock(l.First), clock(l.Last), bytesText(l.Sent), bytesText(l.Received), program, l.Why,
	}
}

func flowEnd(a netip.Addr, port uint16) string {
	switch {
	case !a.IsValid():
		return ""
	case port == 0:
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}

// clock is a time to the millisecond.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05.000")
}
