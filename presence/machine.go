package presence

import (
	"fmt"
	"strings"
)

// Machine is this machine, the one that Porchlight runs on, at one look.
type Machine struct {
	Established int // TCP connections
	Listening   int // ports that programs wait on
	Programs    int // that hold a socket
}

// MachineTypes lists the types of events about this machine. They have a Socket.
func MachineTypes() []EventType {
	return []EventType{ListenerOpened, ListenerClosed, NewProgramOnline}
}

// Socket is what an event about this machine tells of a socket, and of the
// program that owns it. Event.Addr is the address that it listens on, none for
// all of them; of a new program the first remote end. There is no command line:
// it may hold secrets.
//
// It has no methods: an Event would have them, too.
type Socket struct {
	Program   string `json:"program,omitempty"`   // its name; empty: it may not be seen
	User      string `json:"user,omitempty"`      // that it runs as
	Container string `json:"container,omitempty"` // engine and id, such as docker:4f5e…; empty: none
	PID       int    `json:"pid,omitempty"`
	Protocol  string `json:"protocol,omitempty"` // tcp or udp
	Port      uint16 `json:"port,omitempty"`     // that it listens on; of a new program the remote one
}

// Bounds of a Socket's texts, in bytes: programs and users are named by others.
const (
	maxContainer = 96 // an engine, and an id of 64 hex digits
	maxProtocol  = 8
)

// CleanSocket returns s with its texts fit to be shown (CleanText); nil for nil.
func CleanSocket(s *Socket) *Socket {
	if s == nil {
		return nil
	}
	return &Socket{
		Program:   CleanText(s.Program, MaxName),
		User:      CleanText(s.User, MaxName),
		Container: CleanText(s.Container, maxContainer),
		PID:       max(s.PID, 0),
		Protocol:  CleanText(s.Protocol, maxProtocol),
		Port:      s.Port,
	}
}

// Subject names what e is about: a device, a program and its port, or an
// interface; empty: the whole network.
func (e *Event) Subject() string {
	switch {
	case e.Name != "":
		return e.Name
	case e.Socket == nil:
		return e.Interface
	case e.Type == NewProgramOnline:
		return e.Program
	case e.Program == "":
		return e.PortName()
	}
	return e.Program + ", " + e.PortName()
}

// PortName is the port of an event about this machine as one says it: "TCP port
// 8443"; empty for other events.
func (e *Event) PortName() string {
	if e.Socket == nil {
		return ""
	}
	return fmt.Sprintf("%s port %d", strings.ToUpper(e.Protocol), e.Port)
}
