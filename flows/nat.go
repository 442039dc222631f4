package flows

import "net/netip"

// half is one end of a flow, and the port of the other one; 0: any.
type half struct {
	protocol protocol
	end      netip.AddrPort
	port     uint16
}

// mostAlike is how many flows of one half are looked at: a dump may have any
// number of them, and who looks for one does so for as many others.
const mostAlike = 64

// foreign finds the flows between others by each of their ends. Where no address of
// this machine is known, nobody is known to be another.
func (e *Explainer) foreign() map[half][]*Flow {
	all := map[half][]*Flow{}
	if len(e.local) == 0 {
		return all
	}
	add := func(h half, f *Flow) {
		if same := all[h]; len(same) < mostAlike {
			all[h] = append(same, f)
		}
	}
	for _, f := range e.dump.Flows {
		if (f.protocol == tcp || f.protocol == udp) && !e.mine(f.From.Addr()) && !e.mine(f.To.Addr()) {
			for _, ends := range [2][2]netip.AddrPort{{f.From, f.To}, {f.To, f.From}} {
				add(half{f.protocol, ends[0], 0}, f)
				add(half{f.protocol, ends[0], ends[1].Port()}, f)
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
	h := half{v.protocol, v.Remote, v.Local.Port()}
	if v.Opened == "remote" {
		h.port = 0
	}
	for _, f := range e.translated[h] {
		other = f.From
		if other == v.Remote {
			other = f.To
		}
		if !f.Last.Before(v.First) && !f.First.After(v.Last) {
			return other, true
		}
	}
	return other, false
}
