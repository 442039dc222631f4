package flows

import "net/netip"

// half is one end of a flow.
type half struct {
	protocol protocol
	end      netip.AddrPort
}

// foreign finds the flows between others by each of their ends.
func (e *Explainer) foreign() map[half][]*Flow {
	all := map[half][]*Flow{}
	for _, f := range e.dump.Flows {
		if (f.protocol == tcp || f.protocol == udp) && !e.mine(f.From.Addr()) && !e.mine(f.To.Addr()) {
			for _, end := range []netip.AddrPort{f.From, f.To} {
				all[half{f.protocol, end}] = append(all[half{f.protocol, end}], f)
			}
		}
	}
	return all
}

// behind finds who is behind this machine's address, as a container or a virtual
// machine is that it translates addresses for: the dump has the flow twice then,
// with the same remote end at the same time. What is opened from behind keeps its
// port as a rule.
func (e *Explainer) behind(v *verdict) (other netip.AddrPort, is bool) {
	for _, f := range e.translated[half{v.protocol, v.Remote}] {
		other = f.From
		if other == v.Remote {
			other = f.To
		}
		if (other.Port() == v.Local.Port() || v.Opened == "remote") && !f.Last.Before(v.First) && !f.First.After(v.Last) {
			return other, true
		}
	}
	return other, false
}
