package flows

import (
	"cmp"
	"net/netip"

	"porchlight/connections"
)

// How a flow is explained.
type How string

// The ways.
const (
	ByConnection How = "connection" // of just these two ends
	ByListener   How = "listener"   // a TCP listener on the port: the connection itself was too short to be in a snapshot
	BySocket     How = "socket"     // a UDP socket without remote end, on the port
)

// Entry is a flow with what is known of it.
type Entry struct {
	*Flow
	// Local is the end that is this machine's; of both the one that opened the
	// connection, of none the one that sent first.
	Local, Remote  netip.AddrPort
	Opened         string               // who opened a TCP connection: local, remote; empty: that is not in the dump
	SentBy, SentTo Count                // what Local sent, and what was sent to it
	Process        *connections.Process // behind Local; nil: it was closed, or may not be seen
	Peer           *connections.Process // behind Remote, when that is this machine too
	How            How                  // empty: not explained
	State          connections.State    // of the socket that explains it
	Snapshot       int64                // that has the socket; 0: none, or one that is not stored
	Meanwhile      int                  // how many snapshots were taken while the flow lasted
	Device         string               // what the device at the remote end was called
	Why            string               // in words
}

// turn says which end is local.
func (x *Entry) turn(local bool) { // To is
	f := x.Flow
	x.Local, x.Remote, x.SentBy, x.SentTo = f.From, f.To, f.Sent, f.Back
	if local {
		x.Local, x.Remote, x.SentBy, x.SentTo = f.To, f.From, f.Back, f.Sent
	}
	if f.opener != unknown {
		x.Opened = "remote"
		if (f.opener == byTo) == local {
			x.Opened = "local"
		}
	}
}

// by says what explains the flow.
func (x *Entry) by(how How, l *life) {
	x.How, x.Process, x.State, x.Snapshot, x.Device = how, l.Process, l.Connection.State, l.snapshot, cmp.Or(l.Device, x.Device)
	switch {
	case how == ByListener && holdsForContainers[program(l.Process)]:
		x.Why = "by who holds the port for a container, which has the connection"
	case how == ByListener:
		x.Why = "by its listener; the connection itself is in no snapshot"
	case how == BySocket:
		x.Why = "by the socket on its port"
	case l.Process == nil && l.Inode == 0:
		x.Why = "closed before a snapshot could have its program"
	case l.Process == nil:
		x.Why = "its program is not known: it is the kernel's own, or there was no permission to see it"
	}
}

// holdsForContainers are programs that listen on ports which the kernel forwards
// into containers: they have the listener, and never the connections.
var holdsForContainers = map[string]bool{"docker-proxy": true, "rootlessport": true, "conmon": true}

func forContainer(l *life) bool { return l != nil && holdsForContainers[program(l.Process)] }
