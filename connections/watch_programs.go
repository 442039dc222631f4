package connections

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
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
	serving := map[string]bool{}
	for key, k := range l.listeners {
		serving[key.program] = serving[key.program] || k.outside
	}
	for _, inode := range slices.Sorted(maps.Keys(l.doubtful)) {
		c := l.doubtful[inode]
		if _, still := l.unsureOf[inode]; !still && !serving[c.Program()] {
			l.program(c.Program(), &c, false) // a client's, after all
		}
	}
	l.doubtful = l.unsureOf
	for _, c := range l.unsureOf {
		serving[c.Program()] = true
	}
	called := map[uint64]bool{}
	for i := range l.now.Connections {
		c := &l.now.Connections[i]
		name := c.Program()
		if c.Waiting() {
			name = waiter(c).program
		}
		if name == "" || !c.online(own) {
			continue
		}
		l.program(name, c, serving[name])
		if _, usual := l.Programs[name]; !usual && c.Remote.IsValid() && len(called) < mostSockets {
			called[c.Inode] = true
		}
	}
	l.called = called
}

// program takes in one that is online, and tells of it if it is not usual: of one
// that serves only when it calls others, as it is told as a listener. What called it
// may last longer than the listener.
func (l *look) program(name string, c *Connection, serves bool) {
	learnt := l.Clock >= l.ProgramsFrom || l.ProgramLooks >= learnProgramLooks
	if _, usual := l.Programs[name]; !usual {
		if learnt && (serves && !l.goesOut(c) || l.called[c.Inode]) {
			return
		}
		if learnt && l.may(name) {
			l.tell(NewProgramOnline, c, talks(c)+"; it called no others in the "+presence.Words(l.Clock)+" that were watched")
		}
		if len(l.Programs) >= mostKnown {
			l.forgetOldest()
		}
		l.changed = true
	}
	l.Programs[name] = l.Clock
}

// goesOut reports whether a program that listens has this connection on its own
// account, rather than as the one that was called.
func (l *look) goesOut(c *Connection) bool {
	return c.Remote.IsValid() && l.listeners[c.listener()] == nil
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
