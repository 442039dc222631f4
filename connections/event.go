package connections

import "time"

// The types of events.
const (
	ListenerOpened   = "listener_opened"
	ListenerClosed   = "listener_closed"
	NewProgramOnline = "new_program_online"
)

// Event is something new about this machine.
type Event struct {
	Type string
	Time time.Time
	// Connection is the listener, or the first connection of the program. What
	// has closed while nobody looked is what was known of it.
	Connection Connection
	Why        string // in words
}

// Counts are of one snapshot.
type Counts struct {
	Established int // TCP connections
	Listening   int // ports, by protocol and program
	Programs    int // that hold a socket, by name
}

// Counts counts.
func (s *Snapshot) Counts() (n Counts) {
	ports, programs := map[listener]bool{}, map[string]bool{}
	for i := range s.Connections {
		c := &s.Connections[i]
		if c.State == Established {
			n.Established++
		}
		if c.Listening() {
			ports[c.listener()] = true
		}
		if name := c.Program(); name != "" {
			programs[name] = true
		}
	}
	n.Listening, n.Programs = len(ports), len(programs)
	return n
}
