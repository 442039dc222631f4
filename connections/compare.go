package connections

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Change is one connection that is in both snapshots and differs.
type Change struct {
	Before, Now Connection
	What        []string // in words
}

// Diff is what changed from one snapshot to a later one.
type Diff struct {
	Opened, Closed []Connection
	Changed        []Change
	// NewListeners are among Opened: those of a program that did not listen on
	// this port before. A program that was started again has none.
	NewListeners []Connection
	NewPrograms  []string     // had no connection before, by name
	NewHosts     []netip.Addr // remote ones that there was no connection with before
	Notes        []string     // what to know about the two: a reboot or a clock that was set between them
}

// setBy is by how much a clock that goes on by itself can differ.
const setBy = 2 * time.Second

// tuple is what a connection is found again by.
type tuple struct {
	protocol      string
	local, remote netip.AddrPort
}

// Compare returns what changed from a to b.
func Compare(a, b *Snapshot) Diff {
	d := Diff{Notes: Between(a, b)}
	old := map[tuple][]int{} // of a's connections, those that are not found again yet
	for i := range a.Connections {
		t := a.Connections[i].tuple()
		old[t] = append(old[t], i)
	}
	// The same socket first, then another one in its place.
	var fresh []int
	for j := range b.Connections {
		c := &b.Connections[j]
		t := c.tuple()
		same := slices.IndexFunc(old[t], func(i int) bool { return c.Inode != 0 && a.Connections[i].Inode == c.Inode && a.Boot == b.Boot })
		if same < 0 {
			fresh = append(fresh, j)
			continue
		}
		d.changed(&a.Connections[old[t][same]], c)
		old[t] = slices.Delete(old[t], same, same+1)
	}
	gone := map[int]bool{}
	for _, left := range old {
		for _, i := range left {
			gone[i] = true
		}
	}
	for _, j := range fresh {
		c := &b.Connections[j]
		t := c.tuple()
		if len(old[t]) == 0 {
			d.Opened = append(d.Opened, *c)
			continue
		}
		i := old[t][0]
		old[t] = old[t][1:]
		delete(gone, i)
		d.changed(&a.Connections[i], c)
	}
	for i := range a.Connections {
		if gone[i] {
			d.Closed = append(d.Closed, a.Connections[i])
		}
	}
	d.fresh(a, b)
	return d
}

func (c *Connection) tuple() tuple { return tuple{c.Protocol, c.Local, c.Remote} }

// changed notes what is different. Counters always are.
func (d *Diff) changed(before, now *Connection) {
	var what []string
	differ := func(name, a, b string) {
		if a != b {
			what = append(what, fmt.Sprintf("%s: %s → %s", name, orNone(a), orNone(b)))
		}
	}
	differ("state", string(before.State), string(now.State))
	// One that was closed has no process any more, which its state says.
	if now.Inode != 0 && before.Inode != 0 {
		differ("process", before.owner(), now.owner())
	}
	differ("interface", before.Interface, now.Interface)
	differ("device", before.Device, now.Device)
	if len(what) > 0 {
		d.Changed = append(d.Changed, Change{*before, *now, what})
	}
}

// owner is name and number of the process.
func (c *Connection) owner() string {
	if c.Process == nil {
		return ""
	}
	return fmt.Sprintf("%s (%d)", c.Process.Name, c.Process.PID)
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// fresh finds what b has for the first time.
func (d *Diff) fresh(a, b *Snapshot) {
	listeners, programs, hosts := map[listener]bool{}, map[string]bool{"": true}, map[netip.Addr]bool{}
	for i := range a.Connections {
		c := &a.Connections[i]
		if c.Listening() {
			listeners[c.listener()] = true
		}
		programs[c.Program()], hosts[c.Remote.Addr()] = true, true
	}
	for i := range b.Connections {
		c := &b.Connections[i]
		if c.Listening() && !listeners[c.listener()] {
			listeners[c.listener()] = true
			d.NewListeners = append(d.NewListeners, *c)
		}
		if name := c.Program(); !programs[name] {
			programs[name] = true
			d.NewPrograms = append(d.NewPrograms, name)
		}
		if host := c.Remote.Addr(); host.IsValid() && !host.IsLoopback() && !hosts[host] {
			hosts[host] = true
			d.NewHosts = append(d.NewHosts, host)
		}
	}
	slices.Sort(d.NewPrograms)
	slices.SortFunc(d.NewHosts, netip.Addr.Compare)
}

// Between says what happened to the machine from a to b: a restart, or a clock
// that was set.
func Between(a, b *Snapshot) (notes []string) {
	if a.Boot != b.Boot {
		return []string{"the machine was started again between them: every process is another one"}
	}
	took, shown := b.Uptime-a.Uptime, b.Time.Sub(a.Time)
	if took < 0 {
		notes = append(notes, "the first of them is the later one")
	}
	if jump := shown - took; jump.Abs() > setBy {
		notes = append(notes, fmt.Sprintf("the clock was set by %s between them: %s really passed", jump.Round(time.Second), took.Round(time.Second)))
	}
	return notes
}
