package presence

import (
	"fmt"
	"math/bits"
	"net/netip"
	"time"
)

const (
	// scanMany is how many different addresses a device must ask for within
	// scanWithin for this to be a scan. In a home nobody has that many to talk to.
	scanMany   = 50
	scanWithin = time.Minute
)

// asking is which addresses a device has asked for lately, in this half of the
// window and in the one before. An address is the low nine bits of it, so that
// those of a /23 are told apart; in a larger network some count as one.
type asking struct {
	begin     time.Time // of this half
	now, last [8]uint64
}

// note takes one more address, and reports whether there are too many by now.
func (a *asking) note(addr netip.Addr, at time.Time) bool {
	switch age := at.Sub(a.begin); {
	case age >= scanWithin:
		*a = asking{begin: at}
	case age >= scanWithin/2:
		*a = asking{begin: a.begin.Add(scanWithin / 2), last: a.now}
	}
	b := addr.As4()
	bit := uint64(1) << (b[3] & 63)
	word := &a.now[b[3]>>6|b[2]&1<<2]
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	n := 0
	for i := range a.now {
		n += bits.OnesCount64(a.now[i] | a.last[i])
	}
	return n > scanMany
}

// countQuestions notes whom d asks for in s.
func (e *Engine) countQuestions(d *device, s Sighting) {
	target := s.Peer
	switch s.Kind {
	case ARPRequest:
	case ARPProbe:
		target = s.Addr
	default:
		return
	}
	if !target.Is4() {
		return
	}
	if d.asking == nil {
		d.asking = &asking{begin: s.At}
	}
	if d.asking.note(target, s.At) {
		e.tellTrouble(trouble{kind: NetworkScan, mac: s.MAC}, d, s.Interface, func() string {
			return fmt.Sprintf("it asked for more than %d different addresses within a minute, %s the last: it scans the network", scanMany, target)
		})
	}
}
