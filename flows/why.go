package flows

import (
	"fmt"
	"slices"
	"time"

	"porchlight/presence"
)

// why says in words why a flow is not explained.
func (e *Explainer) why(v *verdict) string {
	f := v.Flow
	switch {
	case v.portless:
		return portlessWhy(f)
	case f.protocol >= parts:
		return "later fragments, which have no ports; the first ones are not in the dump"
	case v.others:
		return e.othersWhy(f)
	}
	why := e.missed(v)
	switch {
	case f.refused() && e.mine(f.To.Addr()):
		return "this machine refused it: nothing listened there"
	case f.refused():
		return "it was refused; " + why
	case v.Local == f.To && v.SentBy.Packets == 0:
		return "this machine did not answer; " + why
	}
	if other, is := e.behind(v); is {
		return "the same as that of " + other.String() + ", for which this machine translates addresses (NAT)"
	}
	return why
}

func portlessWhy(f *Flow) string {
	switch {
	case f.dhcp:
		return "DHCP, whose clients and servers use packet sockets"
	case f.protocol == arp || f.protocol == ndp:
		return "the kernel finds neighbours"
	case f.protocol == igmp || f.protocol == mld:
		return "the kernel joins multicast groups"
	case f.protocol == icmp || f.protocol == icmpv6:
		return "the kernel, or a program such as ping"
	case f.protocol >= frames:
		return "not IP"
	}
	return "neither TCP nor UDP, which is all that snapshots have"
}

func (e *Explainer) othersWhy(f *Flow) string {
	switch {
	case e.sender[f.mac]:
		return "sent by the interface that sends for this machine, with an address that this machine does not have: forwarded, or forged"
	case f.toGroup():
		return "others' message to all; nothing of this machine listened there"
	}
	return "this machine has neither address: forwarded, or passing by"
}

// missed says where the snapshots are that could have had a flow.
func (e *Explainer) missed(v *verdict) string {
	f := v.Flow
	if len(e.times) == 0 {
		return "there is no snapshot"
	}
	listener := f.opener != byFrom && e.listener(f, f.From) != nil || f.opener != byTo && e.listener(f, f.To) != nil
	switch {
	case listener && f.halfOpen():
		return "it was begun with a listener on its port, and never completed: a scan, or a forged address"
	case v.Meanwhile > 0 && listener:
		return fmt.Sprintf("NO SOCKET had it in the %s taken while it lasted, only a listener is on its port: a raw socket, a forged address, or another network namespace", count(v.Meanwhile, "snapshot"))
	case v.Meanwhile > 0:
		return fmt.Sprintf("NO SOCKET had it in the %s taken while it lasted: a raw socket, a forged address, or another network namespace", count(v.Meanwhile, "snapshot"))
	}
	length := f.end().Sub(f.First)
	lasted := span(length)
	next, _ := slices.BinarySearchFunc(e.times, f.First.Add(length/2), time.Time.Compare)
	switch {
	case next == 0:
		return fmt.Sprintf("it lasted %s, and the first snapshot was taken %s later", lasted, span(e.times[0].Sub(f.end())))
	case next == len(e.times):
		return fmt.Sprintf("it lasted %s, and the last snapshot was taken %s before", lasted, span(f.First.Sub(e.times[next-1])))
	}
	return fmt.Sprintf("it lasted %s, and no snapshot was taken meanwhile: they are %s apart", lasted, span(e.times[next].Sub(e.times[next-1])))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// span is a length of time in words that are short.
func span(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Millisecond:
		return "less than a millisecond"
	case d < 10*time.Second:
		return fmt.Sprintf("%.3g s", d.Seconds())
	}
	return presence.Words(d)
}
