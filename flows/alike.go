package flows

import (
	"net/netip"
	"slices"

	"porchlight/connections"
)

// remote is an end elsewhere that programs talk to.
type remote struct {
	protocol string
	end      netip.AddrPort
}

// alike says of the flows whose program is not known which programs were seen with
// the same remote end. That is a hint for people: who had the flow may be another.
func (e *Explainer) alike(r *Report) {
	seen := map[remote][]*connections.Process{}
	note := func(protocol string, end netip.AddrPort, p *connections.Process) {
		at := remote{protocol, bare(end)}
		if p != nil && len(seen[at]) <= mostNamed && !slices.ContainsFunc(seen[at], func(q *connections.Process) bool { return q.Name == p.Name }) {
			seen[at] = append(seen[at], p)
		}
	}
	for _, l := range e.lives.ordered {
		note(l.Protocol, l.Remote, l.Process)
	}
	for i := range r.Explained {
		note(r.Explained[i].Protocol, r.Explained[i].Remote, r.Explained[i].Process)
	}
	for _, all := range [][]Entry{r.Unexplained, r.Explained} {
		for i := range all {
			x := &all[i]
			short := x.How == "" && x.Meanwhile == 0
			if x.Process != nil || x.Opened == "remote" || !short && x.How != ByConnection {
				continue
			}
			if some := seen[remote{x.Protocol, x.Remote}]; len(some) > 0 {
				x.Why += "; seen with the same remote end: " + programs(some)
			}
		}
	}
}
