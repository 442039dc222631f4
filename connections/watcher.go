package connections

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const (
	// learnLooks is in how many looks listeners are learned before any is told;
	// settledUptime how long after a boot services still start, so that learning
	// goes on and nothing is taken for closed.
	learnLooks    = 3
	settledUptime = 3 * time.Minute
	// learnPrograms is for how long programs are learned: they talk now and then
	// only.
	learnPrograms = 10 * time.Minute
	// A listener is closed when it was missing in so many looks in a row, for so
	// long: one that is started again is back by then.
	missingLooks = 2
	missingFor   = time.Minute
	// settledFor is for how long a program had a port that it was given, when
	// another one of its is taken for the same listener.
	settledFor = 10 * time.Minute
	// mostKnown bounds what is known, of listeners and of programs each, and
	// mostSockets the sockets that are known again at the next look.
	mostKnown   = 2000
	mostSockets = 20_000
	// privileged are the ports below: who has one is no client (ip(7)).
	privileged = 1024
)

// Watcher learns what is usual on this machine, and then tells what is new. It
// is told all that it knows by the snapshots: their uptime is its clock, so that
// nothing depends on what the clock on the wall says.
//
// What is usual: the ports that programs listen on, and the programs that have a
// socket that is not for this machine only. A port of another program is
// another listener; further sockets at the same port are not.
type Watcher struct {
	usual

	begun   bool          // it has looked since the start
	uptime  time.Duration // at the last look
	sockets map[uint64]socket
	full    bool          // there are more listeners than can be known
	untold  int           // events that there were too many of
	untilOK time.Duration // by the clock: when that is long ago
}

// listener is a port that a program waits on, with however many sockets.
type listener struct {
	protocol, program string // the program is empty when it is not known
	port              uint16
}

func (c *Connection) listener() listener {
	return listener{c.Protocol, c.Program(), c.Local.Port()}
}

// known is a listener that is there.
type known struct {
	listener
	conn    Connection // of its sockets the one that reaches furthest, as seen last
	outside bool       // others than this machine can reach it
	quiet   bool       // its opening was not told, nor is its end

	since  time.Duration // by the clock; 0: it was learned
	seen   time.Duration // by the clock
	missed int           // looks since
}

// socket is one that waited at the last look.
type socket struct {
	listener
	usual bool // it was there while all was learned, or was not taken for a listener
}

// port is what sockets of several programs can have in common.
type port struct {
	protocol string
	number   uint16
}

func (l listener) at() port { return port{l.protocol, l.port} }

// present is what a look sees of a listener.
type present struct {
	listener
	conn      *Connection
	listening bool // not a client's port only
	outside   bool
}

// NewWatcher goes on with the baseline that another one left, of any age; nil:
// there is none.
func NewWatcher(baseline []byte) (*Watcher, error) {
	w := &Watcher{usual: newUsual(), sockets: map[uint64]socket{}}
	return w, w.read(baseline)
}

// Look takes in a snapshot and returns what is new. When again is set, somebody
// may be opening a port or be a client who asks something: another look in a
// moment tells.
func (w *Watcher) Look(s *Snapshot) (events []Event, again bool) {
	l := &look{Watcher: w, now: s, ports: map[port][]listener{}}
	l.advance()
	l.listenersNow()
	l.closings()
	l.programsNow()
	w.uptime, w.begun = s.Uptime, true
	w.Boot, w.Partial = s.Boot, s.Partial
	if w.Looks++; w.Looks >= learnLooks && s.Uptime >= settledUptime && !w.Learnt {
		w.Learnt, w.changed = true, true
	}
	return l.events, l.again
}

// look is one look of a Watcher.
type look struct {
	*Watcher
	now      *Snapshot
	learning bool // all listeners that are there are usual
	ports    map[port][]listener
	events   []Event
	again    bool
}

// advance takes account of the time since the last look.
func (l *look) advance() {
	s := l.now
	first := l.Looks == 0
	rebooted := !first && (s.Boot != l.Boot || l.begun && s.Uptime < l.uptime)
	sighted := !first && l.Partial && !s.Partial // what was there all along is seen now
	if l.begun && !rebooted {
		l.Clock += s.Uptime - l.uptime
	}
	if rebooted || !l.begun {
		for _, k := range l.listeners {
			k.seen, k.missed = l.Clock, 0
		}
		clear(l.sockets)
	}
	if first || sighted {
		l.ProgramsFrom = l.Clock + learnPrograms
	}
	l.learning = !l.Learnt || sighted
	l.changed = l.changed || s.Partial != l.Partial
}

// listenersNow takes in the ports that are waited on.
func (l *look) listenersNow() {
	for key := range l.listeners {
		l.ports[key.at()] = append(l.ports[key.at()], key)
	}
	seen := map[*known]bool{}
	var fresh []*present
	for _, p := range l.present() {
		found := l.find(p)
		for _, k := range found {
			seen[k] = true
			l.update(k, p)
		}
		if len(found) == 0 && p.listening {
			fresh = append(fresh, p)
		}
	}
	gone := l.gone(seen)
	l.full = false
	for _, p := range fresh {
		if k := l.moved(p, gone); k != nil {
			delete(gone, k)
			seen[k] = true
		} else if l.unsure(p) {
			l.again = true
		} else if k := l.open(p); k != nil {
			seen[k] = true
		}
	}
	for _, k := range l.listeners {
		if seen[k] {
			k.seen, k.missed = l.Clock, 0
		} else {
			k.missed++
		}
	}
	l.remember()
}

// present gathers the sockets that wait.
func (l *look) present() (all []*present) {
	of := map[listener]*present{}
	for i := range l.now.Connections {
		c := &l.now.Connections[i]
		if !c.Waiting() {
			continue
		}
		key := waiter(c)
		p := of[key]
		if p == nil {
			p = &present{listener: key, conn: c}
			of[key], all = p, append(all, p)
		}
		if outside := !c.Local.Addr().IsLoopback(); outside && !p.outside {
			p.conn, p.outside = c, true
		}
		p.listening = p.listening || c.Listening()
	}
	return all
}

// waiter is the listener that a socket is of. Process 1 waits for others, to
// whom it hands the socket on, so that its program is not known.
func waiter(c *Connection) listener {
	key := c.listener()
	if c.Process != nil && c.Process.PID == 1 {
		key.program = ""
	}
	return key
}

// find returns what is known of a listener. A program that is not known may be
// any, and the same socket is the same listener, whatever its program calls
// itself now.
func (l *look) find(p *present) (found []*known) {
	if k := l.listeners[p.listener]; k != nil {
		return []*known{k}
	}
	unnamed := p.listener
	unnamed.program = ""
	before := l.sockets[p.conn.Inode].listener
	for _, key := range l.ports[p.at()] {
		k := l.listeners[key]
		switch {
		case k == nil: // another program's by now
		case p.program == "":
			found = append(found, k)
		case key == unnamed || key == before:
			l.rekey(k, p.listener)
			return []*known{k}
		}
	}
	return found
}

// update takes in what a listener that is known is like now.
func (l *look) update(k *known, p *present) {
	if p.program != k.program { // it may not be seen any more
		return
	}
	widened := p.outside && !k.outside
	l.changed = l.changed || p.outside != k.outside
	k.conn, k.outside = *p.conn, p.outside
	if widened && !l.learning && !k.quiet && l.may(p.program) {
		l.tell(ListenerOpened, p.conn, listens(p.conn, l.now.Partial)+"; until now it did for this machine only")
	}
}

func (l *look) rekey(k *known, to listener) {
	delete(l.listeners, k.listener)
	k.listener = to
	l.listeners[to], l.changed = k, true
}

// gone returns those that are not there now and had a port that was given, not
// only for a moment.
func (l *look) gone(seen map[*known]bool) map[*known]bool {
	all := map[*known]bool{}
	for _, k := range l.listeners {
		if k.conn.Given && !seen[k] && (k.since == 0 || k.seen-k.since >= settledFor) {
			all[k] = true
		}
	}
	return all
}

// moved finds the listener that had another port before: of a program that was
// started again and has whatever port it is given.
func (l *look) moved(p *present, gone map[*known]bool) *known {
	if !p.conn.Given {
		return nil
	}
	for k := range gone {
		if k.protocol == p.protocol && k.program == p.program && (p.program != "" || k.conn.UID == p.conn.UID) {
			l.rekey(k, p.listener)
			k.conn, k.outside = *p.conn, p.outside
			return k
		}
	}
	return nil
}

// unsure reports whether it takes another look to tell a listener from a client:
// some choose a port at random for every question that they ask by UDP.
func (l *look) unsure(p *present) bool {
	before, was := l.sockets[p.conn.Inode]
	return p.protocol == UDP && p.port >= privileged && (!was || before.port != p.port)
}

// open takes in a listener that was not there.
func (l *look) open(p *present) *known {
	if len(l.listeners) >= mostKnown {
		l.full = true
		return nil
	}
	k := &known{listener: p.listener, conn: *p.conn, outside: p.outside}
	if !l.learning && !l.sockets[p.conn.Inode].usual {
		k.since = l.Clock
		if k.quiet = !l.may(p.program); !k.quiet {
			l.tell(ListenerOpened, p.conn, listens(p.conn, l.now.Partial)+l.before(p)+l.last(p.program))
		}
	}
	l.listeners[p.listener], l.changed = k, true
	return k
}

// before says how it was.
func (l *look) before(p *present) string {
	for _, key := range l.ports[p.at()] {
		if key.program != "" {
			return "; known there until now: " + key.program
		}
	}
	if _, was := l.sockets[p.conn.Inode]; was {
		return "; that is new since the last looks"
	}
	if !l.begun {
		return "; it did not when Porchlight last looked"
	}
	return "; it did not " + span(l.now.Uptime-l.uptime) + " ago"
}

// remember keeps the sockets for the next look.
func (l *look) remember() {
	clear(l.sockets)
	for i := range l.now.Connections {
		c := &l.now.Connections[i]
		if c.Waiting() && c.Inode != 0 && len(l.sockets) < mostSockets {
			l.sockets[c.Inode] = socket{waiter(c), l.learning || !c.Listening()}
		}
	}
}

// closings tells of the listeners that are gone.
func (l *look) closings() {
	for _, key := range slices.SortedFunc(maps.Keys(l.listeners), listener.compare) {
		k := l.listeners[key]
		away := l.Clock - k.seen
		switch {
		case k.missed == 0:
			continue
		case l.learning: // it came and went
		case k.missed < missingLooks || away < missingFor || l.now.Uptime < settledUptime:
			continue
		case !k.quiet && l.afford():
			l.tell(ListenerClosed, &k.conn, notListens(&k.conn, l.now.Partial)+fmt.Sprintf("; it was not there for %s, in %d looks", span(away), k.missed))
		}
		delete(l.listeners, key)
		l.changed = true
	}
}

func (l listener) compare(o listener) int {
	return cmp.Or(strings.Compare(l.protocol, o.protocol), cmp.Compare(l.port, o.port), strings.Compare(l.program, o.program))
}

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
	if l.Clock >= l.ProgramsFrom && !listens && l.may(name) {
		l.tell(NewProgramOnline, c, talks(c)+"; it had nothing to do with others in the "+span(l.Clock)+" that were watched")
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

func (l *look) tell(kind string, c *Connection, why string) {
	l.events = append(l.events, Event{kind, l.now.Time, *c, why})
}
