package connections

import "time"

const (
	// learnLooks is in how many looks listeners are learned before any is told;
	// settledUptime how long after a boot services still start as a rule, so that
	// learning goes on and nothing is taken for closed, and allUptime how long the
	// last of them take, containers on a slow disk for instance.
	learnLooks    = 3
	settledUptime = 3 * time.Minute
	allUptime     = 10 * time.Minute
	// learnPrograms is for how long programs are learned, who talk now and then
	// only, and learnProgramLooks in how many looks, if those are over sooner.
	learnPrograms     = 10 * time.Minute
	learnProgramLooks = 20
	// A listener is closed when it was missing in so many looks in a row, with so
	// long from the first of them to the last: one that is started again is back by
	// then. It is a little less than the usual interval, as no look is on time.
	missingLooks = 2
	missingFor   = 29 * time.Second
	// settledFor is for how long a program had a port that it was given, when
	// another one of its is taken for the same listener.
	settledFor = 10 * time.Minute
	// mostKnown bounds what is known, of listeners and of programs each, and
	// mostSockets the sockets that are known again at the next look.
	mostKnown   = 2000
	mostSockets = 20_000
	// privileged are the ports below: who has one is no client (ip(7)).
	privileged = 1024
	// A question by UDP has its socket for less than answerFor, however dead the
	// server is that it is for. narrowFor is how long a port is for this machine
	// only until it is news that others can reach it again: addresses come and go.
	answerFor = 2 * time.Minute
	narrowFor = 24 * time.Hour
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
	askers  map[string]time.Duration // programs that choose a UDP port for each question, and when one did, by the clock
	// doubtful are the sockets for UDP that at the last look could have been a
	// listener's or a client's, by their inodes.
	doubtful map[uint64]Connection
	// called are the connections by which programs that are told as listeners only
	// were called, as of the last look, by their inodes.
	called map[uint64]bool

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
	conn    Connection    // of its sockets the one that reaches furthest, as seen last
	outside bool          // others than this machine can reach it
	narrow  time.Duration // since when they cannot any more, by the clock; 0: they can
	quiet   bool          // its opening was not told, nor is its end

	since  time.Duration // by the clock; 0: it was learned
	seen   time.Duration // by the clock
	missed int           // looks since
	lost   time.Duration // when the first of them was, by the clock
	back   bool          // it was there since the start, or since the machine's
}

// socket is one that waited at the last look.
type socket struct {
	listener
	usual bool          // it was there while all was learned, or was not taken for a listener
	since time.Duration // by the clock
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
	w := &Watcher{usual: newUsual(), sockets: map[uint64]socket{}, askers: map[string]time.Duration{}}
	return w, w.read(baseline)
}

// Look takes in a snapshot and returns what is new. When again is set, somebody
// may be opening a port or be a client who asks something: another look in a
// moment tells.
func (w *Watcher) Look(s *Snapshot) (events []Event, again bool) {
	l := &look{Watcher: w, now: s, ports: map[port][]listener{}, unsureOf: map[uint64]Connection{}}
	l.advance()
	l.listenersNow()
	l.closings()
	l.programsNow()
	w.uptime, w.begun = s.Uptime, true
	w.Boot, w.Partial = s.Boot, s.Partial
	w.ProgramLooks++
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
	unsureOf map[uint64]Connection // see doubtful
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
			k.seen, k.missed, k.back = l.Clock, 0, false
		}
		clear(l.sockets)
		clear(l.doubtful)
		clear(l.called)
	}
	if first || sighted {
		l.ProgramsFrom, l.ProgramLooks = l.Clock+learnPrograms, 0
	}
	l.learning = !l.Learnt || sighted
	l.changed = l.changed || s.Partial != l.Partial
}

func (l *look) tell(kind string, c *Connection, why string) {
	l.events = append(l.events, Event{kind, l.now.Time, *c, why})
}
