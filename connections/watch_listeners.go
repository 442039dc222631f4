package connections

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"porchlight/presence"
)

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
			if p.program != "" && p.outside {
				l.unsureOf[p.conn.Inode] = *p.conn
			}
		} else if k := l.open(p); k != nil {
			seen[k] = true
		}
	}
	for _, k := range l.listeners {
		if seen[k] {
			k.seen, k.missed, k.back = l.Clock, 0, true
			continue
		}
		if k.missed++; k.missed == 1 {
			k.lost = l.Clock
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
	before := k.outside
	k.conn = *p.conn
	switch {
	case p.outside:
		k.outside, k.narrow = true, 0
	case k.outside && k.narrow == 0:
		k.narrow = l.Clock
	case k.outside && l.Clock-k.narrow >= narrowFor:
		k.outside = false
	}
	l.changed = l.changed || k.outside != before
	if widened := k.outside && !before; widened && !l.learning && !k.quiet && l.may(p.program) {
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
// some choose a port at random for every question that they ask by UDP, such as
// dnsmasq and unbound. Of who is known for that it takes longer than any answer.
// And what nobody has may be the kernel's, or was closed during the look.
func (l *look) unsure(p *present) bool {
	question := p.protocol == UDP && p.port >= privileged
	nobodys := p.conn.Process == nil && !l.now.Partial
	if !question && !nobodys {
		return false
	}
	before, was := l.sockets[p.conn.Inode]
	if !was || before.port != p.port {
		l.again = true
		return true
	}
	at, asks := l.askers[p.program]
	return question && asks && l.Clock-at < calm && l.Clock-before.since < answerFor
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
	return "; it did not " + presence.Words(l.now.Uptime-l.uptime) + " ago"
}

// remember keeps the sockets for the next look, and who has had one for a
// question only.
func (l *look) remember() {
	now := make(map[uint64]socket, len(l.sockets))
	for i := range l.now.Connections {
		c := &l.now.Connections[i]
		if !c.Waiting() || c.Inode == 0 || len(now) >= mostSockets {
			continue
		}
		s := socket{waiter(c), l.learning || !c.Listening(), l.Clock}
		if before, was := l.sockets[c.Inode]; was && before.port == s.port {
			s.since = before.since
		}
		now[c.Inode] = s
	}
	for inode, s := range l.sockets {
		_, there := now[inode]
		if !there && !s.usual && s.protocol == UDP && s.port >= privileged && l.listeners[s.listener] == nil {
			if len(l.askers) >= mostKnown {
				clear(l.askers)
			}
			l.askers[s.program] = l.Clock
		}
	}
	l.sockets = now
}

// closings tells of the listeners that are gone.
func (l *look) closings() {
	for _, key := range slices.SortedFunc(maps.Keys(l.listeners), listener.compare) {
		k := l.listeners[key]
		switch {
		case k.missed == 0:
			continue
		case l.learning: // it came and went
		case l.mayReturn(k):
			continue
		case !k.quiet && l.afford():
			l.tell(ListenerClosed, &k.conn, notListens(&k.conn, l.now.Partial)+fmt.Sprintf("; it was not there for %s, in %d looks", presence.Words(l.Clock-k.seen), k.missed))
		}
		delete(l.listeners, key)
		l.changed = true
	}
}

// mayReturn reports whether it is too early to take one that is missing for closed.
func (l *look) mayReturn(k *known) bool {
	starting := settledUptime
	if !k.back {
		starting = allUptime
	}
	return k.missed < missingLooks || l.Clock-k.lost < missingFor || l.now.Uptime < starting
}

func (l listener) compare(o listener) int {
	return cmp.Or(strings.Compare(l.protocol, o.protocol), cmp.Compare(l.port, o.port), strings.Compare(l.program, o.program))
}
