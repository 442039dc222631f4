package connections

import (
	"cmp"
	"net/netip"
	"strings"

	"porchlight/presence"
)

// programsNow takes in the programs that are online: that have a connection with
// another machine, or a socket that others may reach.
func (l *look) programsNow() {
	own := map[netip.Addr]bool{}
	for i := range l.now.Connections {
		own[l.now.Connections[i].Local.Addr()] = true
	}
	for i := range l.now.Connections {
		c := &l.now.Connections[i]
		name := c.Program()
		if c.Waiting() {
			name = waiter(c).program
		}
		if name == "" || !c.online(own) {
			continue
		}
		if _, usual := l.Programs[name]; !usual {
			l.newProgram(name, c)
		}
		l.Programs[name] = l.Clock
	}
}

// newProgram tells of one, unless it is one that listens: that is told as such.
func (l *look) newProgram(name string, c *Connection) {
	listens := c.Waiting() && l.listeners[waiter(c)] != nil
	learnt := l.Clock >= l.ProgramsFrom || l.ProgramLooks >= learnProgramLooks
	if learnt && !listens && l.may(name) {
		l.tell(NewProgramOnline, c, talks(c)+"; it had nothing to do with others in the "+presence.Words(l.Clock)+" that were watched")
	}
	if len(l.Programs) >= mostKnown {
		l.forgetOldest()
	}
	l.changed = true
}

// online reports whether others than this machine can be at the other end. own
// are its addresses.
func (c *Connection) online(own map[netip.Addr]bool) bool {
	if c.Remote.IsValid() {
		return !c.Remote.Addr().IsLoopback() && !own[c.Remote.Addr()]
	}
	return !c.Local.Addr().IsLoopback()
}

// forgetOldest makes room for one program more.
func (l *look) forgetOldest() {
	oldest := ""
	for name, at := range l.Programs {
		if oldest == "" || cmp.Or(cmp.Compare(at, l.Programs[oldest]), strings.Compare(name, oldest)) < 0 {
			oldest = name
		}
	}
	delete(l.Programs, oldest)
}
