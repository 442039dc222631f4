package flows

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"porchlight/connections"
	"porchlight/presence"
)

// Explainer takes snapshots and explains flows.
type Explainer struct {
	dump   *Dump
	local  map[netip.Addr]bool
	sender map[presence.MAC]bool
	times  []time.Time // of the snapshots
	lives  *lives
	notes  []string
	said   map[string]bool
	// translated are flows between others, by each of their ends: this machine may
	// translate addresses for them.
	translated map[half][]*Flow
}

// NewExplainer begins. Local are addresses of this machine, beside those that
// the snapshots have; reach is Choose's.
func NewExplainer(d *Dump, local []netip.Addr, reach time.Duration) *Explainer {
	e := &Explainer{dump: d, local: map[netip.Addr]bool{}, sender: map[presence.MAC]bool{}, lives: newLives(reach), said: map[string]bool{}}
	for _, a := range local {
		e.own(a)
	}
	return e
}

func (e *Explainer) own(a netip.Addr) {
	if a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() {
		e.local[a.Unmap().WithZone("")] = true
	}
}

// Add takes the next snapshot, in the order in which they were taken.
func (e *Explainer) Add(s *connections.Snapshot) {
	if b := e.lives.before; b != nil {
		for _, note := range connections.Between(b, s) {
			e.notes = append(e.notes, fmt.Sprintf("snapshots %s and %s: %s", number(b), number(s), note))
		}
	}
	for _, text := range s.Missing {
		if !e.said[text] && len(e.said) < maxSaid {
			e.said[text] = true
			e.notes = append(e.notes, fmt.Sprintf("snapshot %s: %s", number(s), text))
		}
	}
	for i := range s.Connections {
		// An address that no interface has may be one of all, as of a broadcast.
		if c := &s.Connections[i]; c.Interface != "" || c.Remote.IsValid() {
			e.own(c.Local.Addr())
		}
	}
	e.times = append(e.times, s.Time)
	e.lives.add(s)
}

// maxSaid bounds what the snapshots say is missing.
const maxSaid = 10

func number(s *connections.Snapshot) string {
	if s.Number == 0 {
		return "now"
	}
	return fmt.Sprint(s.Number)
}

// Report explains all flows. Now is connections.Now, of when the machine was
// started; nil: it is not known, or the snapshots are of another machine.
func (e *Explainer) Report(now *connections.Snapshot) *Report {
	if b := e.lives.before; b != nil && now != nil && now.Boot != b.Boot && e.dump.To.After(b.Time) {
		e.notes = append(e.notes, fmt.Sprintf("the machine was started again after snapshot %s: its connections explain nothing from then on", number(b)))
	}
	e.lives.end(now)
	slices.SortFunc(e.times, time.Time.Compare)
	for _, f := range e.dump.Flows {
		if e.mine(f.From.Addr()) && f.mac != (presence.MAC{}) {
			e.sender[f.mac] = true
		}
	}
	e.translated = e.foreign()
	r := &Report{Notes: e.notes}
	for _, f := range e.dump.Flows {
		x := e.explain(f)
		switch {
		case x.How != "":
			r.Explained = append(r.Explained, x.Entry)
		case x.portless:
			r.Portless = append(r.Portless, x.Entry)
		case x.others:
			r.Others = append(r.Others, x.Entry)
		default:
			r.Unexplained = append(r.Unexplained, x.Entry)
		}
	}
	if len(e.local) > 0 && len(r.Others) > 0 && len(r.Explained)+len(r.Unexplained) == 0 {
		r.Notes = append(r.Notes, "no flow is of this machine, by all addresses that it has and the snapshots have: the dump is another machine's, or --local tells an address that this one had")
	}
	e.alike(r)
	r.sort()
	e.idle(r)
	if n := e.lives.further; n > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("THE SNAPSHOTS HAVE MORE CONNECTIONS THAN THERE IS ROOM FOR: %d were left out; choose fewer snapshots", n))
	}
	return r
}

// verdict is an entry and its group.
type verdict struct {
	Entry
	portless, others bool
}

func (e *Explainer) explain(f *Flow) verdict {
	v := verdict{Entry: Entry{Flow: f, Meanwhile: e.livedThrough(f)}}
	from, to := e.mine(f.From.Addr()), e.mine(f.To.Addr())
	switch f.protocol {
	case tcp, udp:
		if e.byConnection(&v.Entry) || e.bySocket(&v.Entry, from, to) {
			return v
		}
		v.portless = f.dhcp
	case parts + tcp, parts + udp:
	default:
		v.portless = true
	}
	v.turn(!from && to || from && to && f.opener == byTo)
	v.others = !from && !to && len(e.local) > 0
	v.Why = e.why(&v)
	return v
}

// mine reports whether an address is this machine's.
func (e *Explainer) mine(a netip.Addr) bool { return e.local[a] || a.IsLoopback() }

// byConnection explains a flow by a connection of its two ends.
func (e *Explainer) byConnection(x *Entry) bool {
	f := x.Flow
	forth, back := e.lives.connection(f, f.From, f.To), e.lives.connection(f, f.To, f.From)
	var life, peer *life
	switch {
	case forth == nil && back == nil:
		return false
	case back == nil:
		x.turn(false)
		life = forth
	case forth == nil:
		x.turn(true)
		life = back
	default:
		x.turn(f.opener == byTo)
		if life, peer = forth, back; f.opener == byTo {
			life, peer = back, forth
		}
		x.Peer, peer.used = peer.Process, true
	}
	life.used = true
	x.by(ByConnection, life)
	// What was closed has no program any more; its listener says which it was.
	if l := e.listener(f, x.Local); x.Process == nil && x.Opened != "local" && l != nil {
		if e.byWaiting(x, ByListener, l) {
			x.Why = "closed before a snapshot could have its program; by its listener"
		}
	}
	if x.Peer == nil && e.mine(x.Remote.Addr()) && x.Opened != "remote" {
		if l := e.lives.waiting(f, x.Remote); l != nil && len(e.lives.sharing(f, x.Remote, l)) == 1 {
			x.Peer = l.Process
		}
	}
	return true
}

// listener is the one that a connection at this end was accepted by.
func (e *Explainer) listener(f *Flow, end netip.AddrPort) *life {
	if l := e.lives.waiting(f, end); l != nil && f.protocol == tcp {
		return l
	}
	return nil
}

// bySocket explains a flow by a listener or another socket without remote end.
// Where both ends are this machine's, the other one has to have a socket too,
// unless no snapshot was taken while the flow lasted.
func (e *Explainer) bySocket(x *Entry, from, to bool) bool {
	f := x.Flow
	all := len(e.local) == 0 // it is not known which are ours
	var at [2]*life
	if (from || all || f.From.Addr().IsUnspecified()) && (f.protocol == udp || f.opener != byFrom) {
		at[0] = e.lives.waiting(f, f.From)
	}
	if (to || all || !from && f.toGroup()) && (f.protocol == udp || f.opener != byTo) {
		at[1] = e.lives.waiting(f, f.To)
	}
	how := BySocket
	if f.protocol == tcp {
		how = ByListener
	}
	switch {
	case at[0] == nil && at[1] == nil:
		return false
	case from && to && (at[0] == nil || at[1] == nil) && x.Meanwhile > 0:
		return false
	case how == ByListener && f.halfOpen():
		return false // it accepted nothing
	case how == ByListener && x.Meanwhile > 0 && !forContainer(at[0]) && !forContainer(at[1]):
		return false // an accepted connection would be in the snapshots
	case at[0] == nil:
		x.turn(true)
		e.byWaiting(x, how, at[1])
	case at[1] == nil:
		x.turn(false)
		e.byWaiting(x, how, at[0])
	default:
		x.turn(false)
		e.byWaiting(x, how, at[0])
		if len(e.lives.sharing(f, x.Remote, at[1])) == 1 {
			x.Peer = at[1].Process
		}
	}
	return true
}

// byWaiting says that a socket without remote end explains the flow, and reports
// whether that tells the program: which of several had it nobody knows.
func (e *Explainer) byWaiting(x *Entry, how How, l *life) bool {
	x.by(how, l)
	all := e.lives.sharing(x.Flow, x.Local, l)
	if len(all) > 1 {
		x.Process = nil
		x.Why = "by a socket on its port, which several programs have: " + programs(all)
	}
	return len(all) < 2
}

// mostNamed is how many programs are named in words.
const mostNamed = 3

// programs are what they are called and their numbers.
func programs(all []*connections.Process) string {
	var names []string
	for _, p := range all[:min(len(all), mostNamed)] {
		names = append(names, fmt.Sprintf("%s (%d)", p.Name, p.PID))
	}
	if len(all) > mostNamed {
		names = append(names, "and more")
	}
	return strings.Join(names, ", ")
}

// toGroup reports whether the flow may be to many. Where the network's size does
// not say so and the dump has no link, broadcast addresses end with 255 as a rule.
func (f *Flow) toGroup() bool {
	a := f.To.Addr()
	return f.toAll || a.IsMulticast() || a.Is4() && a.As4()[3] == 255
}

// moment is how long a snapshot takes at most: a flow that begins or ends
// meanwhile may be missing in it.
const moment = 250 * time.Millisecond

// livedThrough is how many snapshots were taken while a flow lasted, of TCP until
// an end began to close it.
func (e *Explainer) livedThrough(f *Flow) int {
	first, _ := slices.BinarySearchFunc(e.times, f.First.Add(moment), time.Time.Compare)
	last, _ := slices.BinarySearchFunc(e.times, f.end().Add(-moment), time.Time.Compare)
	return max(0, last-first)
}
