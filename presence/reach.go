package presence

import (
	"encoding/binary"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Routed is the Interface of a device that no segment hears: it is behind a
// router, and known by what it answers there.
const Routed = "routed"

// MaxReach is the most addresses that one device can be reached at.
const MaxReach = 4

// Reach is how to ask a device that no segment hears: with a ping (ICMP echo),
// or by connecting to a TCP port. It proves less than a frame that the device
// sends: who answers is known by the address alone.
type Reach struct {
	Addr netip.Addr
	Port uint16 // TCP; 0: a ping
}

// String returns the form that ParseReach reads.
func (r Reach) String() string {
	if r.Port == 0 {
		return "ping " + r.Addr.String()
	}
	return "tcp " + netip.AddrPortFrom(r.Addr, r.Port).String()
}

// ParseReach reads "ping 10.1.2.3", "tcp 10.1.2.3:22" or "tcp [fd00::3]:22". It
// takes no names, as who answers a question for a name would decide who is home.
func ParseReach(s string) (r Reach, ok bool) {
	way, where, _ := strings.Cut(strings.TrimSpace(s), " ")
	where = strings.TrimSpace(where)
	var err error
	switch way {
	case "ping":
		r.Addr, err = netip.ParseAddr(where)
	case "tcp":
		var to netip.AddrPort
		to, err = netip.ParseAddrPort(where)
		r = Reach{to.Addr(), to.Port()}
		ok = r.Port != 0
	}
	r.Addr = r.Addr.Unmap().WithZone("") // which only link-local ones need
	ok = err == nil && (ok || way == "ping") && hostAddr(r.Addr) && !r.Addr.IsLinkLocalUnicast()
	if !ok {
		return Reach{}, false
	}
	return r, true
}

// ReachMAC makes up the MAC of a device that is known by an address only: it
// begins with 52:43, is locally administered, and always the same for one address.
func ReachMAC(a netip.Addr) MAC {
	h := fnv.New32a()
	b := a.As16()
	_, _ = h.Write(b[:])
	m := MAC{0x52, 0x43}
	binary.BigEndian.PutUint32(m[2:], h.Sum32())
	return m
}

// cutStale is how long, beside PROBE_INTERVAL, after a question that could not be
// sent the way to a device is taken to be cut.
const cutStale = 2 * answerTime

// reachAt returns how to reach d for the n-th time in this silence. ok is false
// when it is to be asked where it is heard, which comes first, and then every
// second time.
func (e *Engine) reachAt(d *device, n int) (r Reach, ok bool) {
	if len(d.Reach) == 0 {
		return Reach{}, false
	}
	if e.askAt(d, n).IsValid() {
		if n%2 == 0 {
			return Reach{}, false
		}
		n /= 2
	}
	return d.Reach[n%len(d.Reach)], true
}

// canAsk reports whether d can be asked in any way, by any of its MACs.
func (e *Engine) canAsk(d *device) bool {
	return len(d.Reach) > 0 || e.askAt(d, 0).IsValid() ||
		!d.IgnoreARPReplies && slices.ContainsFunc(d.others, func(p *port) bool { return p.Interface != "" && d.fresh(p) })
}

// reached takes an answer from where d is reached. Who does not say so is
// neither made known nor home by it.
func (e *Engine) reached(d *device, s Sighting) {
	if d != nil && slices.ContainsFunc(d.Reach, func(r Reach) bool { return r.Addr == s.Addr }) {
		e.hear(d, s, Alive)
	}
}

// cut notes that the way to where d is reached is cut. If it can be asked nowhere
// else, its silence says nothing meanwhile.
func (e *Engine) cut(d *device, now time.Time) {
	d.asked = max(d.asked-1, 0)
	if !e.askAt(d, 0).IsValid() {
		d.cutAt, d.tainted = now, true
	}
}

// untilOpen returns when to look again after d, to whom the way was cut. Once it
// is open again, d has its timeout anew: nobody could know that it is there.
func (e *Engine) untilOpen(d *device) time.Time {
	if e.now.Sub(d.cutAt) >= e.cfg.ProbeInterval+cutStale {
		e.restart(d)
	}
	return e.now.Add(e.cfg.ProbeInterval / 3)
}
