package connections

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The protocols.
const (
	TCP = "tcp"
	UDP = "udp"
)

// State is the state of a socket: for TCP as RFC 9293, section 3.3.2, calls it,
// for UDP whether it has one remote end.
type State string

// The states that mean something here.
const (
	Established State = "ESTABLISHED"
	TimeWait    State = "TIME-WAIT"
	Listen      State = "LISTEN"

	Connected   State = "CONNECTED"
	Unconnected State = "UNCONNECTED"
)

// tcpStates are by the kernel's number (include/net/tcp_states.h).
var tcpStates = []State{
	1: Established, 2: "SYN-SENT", 3: "SYN-RECEIVED", 4: "FIN-WAIT-1", 5: "FIN-WAIT-2", 6: TimeWait,
	7: "CLOSED", 8: "CLOSE-WAIT", 9: "LAST-ACK", 10: Listen, 11: "CLOSING", 12: "SYN-RECEIVED", 13: "CLOSED",
}

// stateOf names the kernel's number.
func stateOf(protocol string, number uint8) State {
	switch {
	case protocol == UDP && number == 1:
		return Connected
	case protocol == UDP:
		return Unconnected
	case int(number) < len(tcpStates) && number > 0:
		return tcpStates[number]
	}
	return "UNKNOWN"
}

// heardFIN reports whether the remote end has said that it sends no more.
func (s State) heardFIN() bool { return s == "CLOSE-WAIT" || s == "LAST-ACK" || s == "CLOSING" }

// Connection is a socket of this machine.
type Connection struct {
	Protocol string // TCP or UDP
	State    State
	Local    netip.AddrPort
	Remote   netip.AddrPort // zero: none
	// Interface is the one that the socket is bound to, or that has the local
	// address; empty for all.
	Interface string
	Inode     uint64 // of the socket; 0: it was closed and only the kernel has it, as in TIME-WAIT
	// Given: the port is one of those that the kernel gives to whoever asks for
	// any, and nothing says that it was chosen. Of sockets without remote end.
	Given bool
	UID   uint32 // of who made the socket
	User  string // of that name; empty: it was closed
	// Process owns the socket; of several the one that was there first, other
	// than process 1, which passes sockets on. Nil: none, or not to be seen.
	Process *Process
	Others  int    // how many other processes hold the socket too
	Device  string // what the device at the other end is called, if it is known
	Counters
}

// Counters are what the kernel counts; zero when it does not. It counts the
// bytes of TCP only, and none in TIME-WAIT.
type Counters struct {
	Sent, Received uint64 // bytes of payload, without what was sent again
	Retransmitted  uint64 // bytes that were
	RTT            uint64 // round trip, smoothed, in microseconds
	// SendQueue and ReceiveQueue are bytes that wait; for a TCP listener how
	// many connections may wait to be accepted, and how many do.
	SendQueue, ReceiveQueue uint64
}

// Process is a program that runs.
type Process struct {
	PID       int
	Ticks     uint64 // when it began, in 1/100 s since the boot: with PID it is one process only
	Name      string // as the kernel has it, at most 15 bytes (proc_pid_comm(5))
	Command   string // the command line, fit to be shown
	UID       uint32 // effective
	User      string
	Container string // engine and id, such as docker:4f5e…; empty: none
	Started   time.Time
}

// Waiting reports whether the socket has no remote end.
func (c *Connection) Waiting() bool { return c.State == Listen || c.State == Unconnected }

// Listening reports whether the socket waits for strangers. UDP has no such
// state: there it is a socket without remote end whose port was chosen, since
// clients have the one that they were given.
func (c *Connection) Listening() bool {
	return c.State == Listen || c.State == Unconnected && !c.Given
}

// Program is the name of the process, empty when that is not known.
func (c *Connection) Program() string {
	if c.Process == nil {
		return ""
	}
	return c.Process.Name
}

// Snapshot is what there was at one time.
type Snapshot struct {
	Number int64 // in the store; 0: not stored
	Time   time.Time
	Boot   string        // the boot's id (proc_sys_kernel(5), random/boot_id)
	Uptime time.Duration // since that boot; unlike Time nobody sets it
	// Missing says in words what could not be seen, and the remedy.
	Missing []string
	// Partial: there are processes that may not be looked into, so that a
	// connection without process may have one. It is not stored.
	Partial     bool
	Connections []Connection // listeners first, then by protocol and addresses
}

// settle sorts the connections, and says when the processes began.
func (s *Snapshot) settle() {
	slices.SortFunc(s.Connections, func(x, y Connection) int {
		if a, b := x.Waiting(), y.Waiting(); a != b {
			if a {
				return -1
			}
			return 1
		}
		return cmp.Or(strings.Compare(x.Protocol, y.Protocol), x.Local.Compare(y.Local), x.Remote.Compare(y.Remote), cmp.Compare(x.Inode, y.Inode))
	})
	for i := range s.Connections {
		if p := s.Connections[i].Process; p != nil {
			p.Started = s.Time.Add(time.Duration(p.Ticks)*tick - s.Uptime).Truncate(time.Second)
		}
	}
}

// tick is the unit of times in /proc: USER_HZ is 100 on all that Go runs on
// (proc_pid_stat(5)).
const tick = 10 * time.Millisecond

// DeviceNames says what the devices with these addresses are called.
type DeviceNames map[netip.Addr]string

// name fills in the devices.
func (n DeviceNames) name(all []Connection) {
	for i := range all {
		all[i].Device = n[all[i].Remote.Addr().WithZone("")]
	}
}
