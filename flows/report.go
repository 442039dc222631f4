package flows

import (
	"cmp"
	"net/netip"
	"slices"

	"porchlight/connections"
)

// Report says what explains a dump.
type Report struct {
	Unexplained []Entry // this machine's, most telling first
	Others      []Entry // between others: this machine has neither end
	Explained   []Entry // by program
	Portless    []Entry // what has no ports, and DHCP: no snapshot could have them
	// Idle are connections that were there during the dump, without any packet in it.
	Idle []connections.Connection
	// Elsewhere are how many more there were that must have been on another
	// interface than the dump: their addresses are not in it at all, or they stay
	// within this machine and nothing in it does, or the other way round.
	Elsewhere int
	Notes     []string
}

// sort brings what is unexplained into the order in which it is to be looked at,
// and what is explained to its program.
func (r *Report) sort() {
	slices.SortStableFunc(r.Unexplained, func(x, y Entry) int {
		return cmp.Or(cmp.Compare(min(y.Meanwhile, 1), min(x.Meanwhile, 1)), cmp.Compare(y.Bytes(), x.Bytes()))
	})
	slices.SortStableFunc(r.Others, func(x, y Entry) int { return cmp.Compare(y.Bytes(), x.Bytes()) })
	slices.SortStableFunc(r.Explained, func(x, y Entry) int {
		return cmp.Or(cmp.Compare(program(x.Process), program(y.Process)), cmp.Compare(pid(x.Process), pid(y.Process)), cmp.Compare(y.Bytes(), x.Bytes()))
	})
	slices.SortStableFunc(r.Portless, func(x, y Entry) int {
		return cmp.Or(cmp.Compare(x.protocol, y.protocol), cmp.Compare(y.Bytes(), x.Bytes()))
	})
}

func program(p *connections.Process) string {
	if p == nil {
		return "\U0010ffff" // behind all that have a name
	}
	return p.Name
}

func pid(p *connections.Process) int {
	if p == nil {
		return 0
	}
	return p.PID
}

// idle finds the connections without traffic: those that were in a snapshot
// before the dump's end and in one after its beginning.
func (e *Explainer) idle(r *Report) {
	seen, has := map[netip.Addr]bool{}, map[bool]bool{} // whether flows stay within this machine
	for _, f := range e.dump.Flows {
		seen[f.From.Addr()], seen[f.To.Addr()] = true, true
		has[e.mine(f.From.Addr()) && e.mine(f.To.Addr())] = true
	}
	for _, l := range e.lives.ordered {
		if l.used || l.State == connections.TimeWait || l.seen.After(e.dump.To) || l.last.Before(e.dump.From) {
			continue
		}
		// What stays within this machine goes over its loopback interface, and nothing
		// else does.
		local, remote := l.Local.Addr().WithZone(""), l.Remote.Addr().WithZone("")
		if !seen[local] || !has[e.mine(local) && e.mine(remote)] {
			r.Elsewhere++
			continue
		}
		r.Idle = append(r.Idle, l.Connection)
	}
}
