package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"porchlight/connections"
)

// printConnections prints a list of connections in the form that is wanted.
func printConnections(a *app, f form, all []connections.Connection) error {
	if f.table() {
		return table(a.stdout, connectionRows(all))
	}
	out, err := newLines(a.stdout, f.CSV, connections.Line{})
	for i := range all {
		if err == nil {
			err = out.print(connections.NewLine(&all[i]))
		}
	}
	return err
}

// shownCommand is how much of a command line the table has room for.
const shownCommand = 60

func connectionRows(all []connections.Connection) [][]string {
	rows := [][]string{{"PROTO", "STATE", "LOCAL", "REMOTE", "DEVICE", "INTERFACE", "PID", "PROGRAM", "USER", "CONTAINER", "SINCE", "SENT", "RECEIVED", "RTT", "COMMAND"}}
	for i := range all {
		l := connections.NewLine(&all[i])
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
			l.Protocol, l.State, connections.EndText(all[i].Local), connections.EndText(all[i].Remote), l.Device, l.Interface, pid, l.Program, l.User,
			l.Container, when(l.Started), bytesText(l.Sent), bytesText(l.Received), rtt, string(command),
		})
	}
	return rows
}

// bytesText is a number of bytes for people; nothing for none.
func bytesText(n uint64) string { return connections.BytesText(n) }

// changes prints what changed.
type changes struct {
	app   *app
	lines *lines // nil: for people
}

func newChanges(a *app, f form) (*changes, error) {
	if f.table() {
		return &changes{app: a}, nil
	}
	l, err := newLines(a.stdout, f.CSV, connections.ChangeLine{})
	return &changes{a, l}, err
}

// diff prints all of d.
func (c *changes) diff(at time.Time, d connections.Diff) error {
	for _, line := range d.Lines(at) {
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

// changeText is a change for people, such as
//
//	18:12:01  opened           tcp ESTABLISHED 192.168.1.2:22 ↔ 192.168.1.20:50122 (Anna's phone)  sshd (812)
func changeText(l connections.ChangeLine) string {
	text := fmt.Sprintf("%s  %-15s ", l.Time.Local().Format(time.TimeOnly), strings.ReplaceAll(l.Change, "_", " "))
	switch l.Change {
	case "new_program":
		return text + " " + l.Program
	case "new_remote_host":
		return text + " " + l.Remote.String()
	}
	text += fmt.Sprintf(" %s %s %s", l.Protocol, l.State, connections.EndText(netip.AddrPortFrom(l.Local, l.LocalPort)))
	if l.Remote.IsValid() {
		text += " ↔ " + connections.EndText(netip.AddrPortFrom(l.Remote, l.RemotePort))
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
