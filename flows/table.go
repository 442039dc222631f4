package flows

import (
	"cmp"
	"net/netip"
	"slices"

	"porchlight/capture"
)

const (
	// maxFlows is of how many flows something is known at once.
	maxFlows = 100_000
	// maxFragments is of how many divided packets the ports are remembered.
	maxFragments = 4096
)

// key is what the packets of a flow have in common: a is the smaller end. Earlier
// connections between the same two ends have a number.
type key struct {
	protocol protocol
	a, b     netip.AddrPort
	earlier  int
}

// table counts packets by flow.
type table struct {
	limit   int
	flows   map[key]*Flow
	ports   map[fragment][2]uint16
	earlier int // connections whose ends were used again
	further Further
}

// Further are flows that there was no room for: the smallest.
type Further struct {
	Flows int
	Count
}

func newTable(limit int) *table {
	return &table{limit: limit, flows: map[key]*Flow{}, ports: map[fragment][2]uint16{}}
}

// add counts a packet.
func (t *table) add(p *packet, f *capture.Frame, length int) {
	t.reassemble(p)
	k := key{protocol: p.protocol, a: p.from, b: p.to}
	if k.b.Compare(k.a) < 0 {
		k.a, k.b = k.b, k.a
	}
	flow := t.flows[k]
	if flow != nil && flow.anew(p) {
		t.earlier++
		t.flows[key{k.protocol, k.a, k.b, t.earlier}] = flow
		flow = nil
	}
	if flow == nil {
		if len(t.flows) >= t.limit {
			t.shrink()
		}
		flow = &Flow{
			Protocol: p.protocol.String(), From: p.from, To: p.to, First: f.At, Last: f.At, Interface: f.Interface,
			protocol: p.protocol, dhcp: p.protocol == udp && dhcpForm(p), mac: f.Src, toAll: p.protocol == udp && f.Dst == capture.Broadcast,
		}
		t.flows[k] = flow
	}
	flow.add(p, f.At, length)
}

// reassemble gives a later fragment the ports of the first one.
func (t *table) reassemble(p *packet) {
	switch {
	case p.fragment.id == 0 && !p.fragment.from.IsValid():
		return
	case !p.later:
		if len(t.ports) >= maxFragments {
			clear(t.ports)
		}
		t.ports[p.fragment] = [2]uint16{p.from.Port(), p.to.Port()}
		return
	}
	ports, is := t.ports[p.fragment]
	switch {
	case is:
		p.from, p.to = netip.AddrPortFrom(p.from.Addr(), ports[0]), netip.AddrPortFrom(p.to.Addr(), ports[1])
	case p.protocol == tcp || p.protocol == udp:
		p.protocol += parts
	}
}

// shrink makes room: the smallest quarter of the flows goes, of those of one
// size the ones that were silent for longest.
func (t *table) shrink() {
	type entry struct {
		k key
		f *Flow
	}
	all := make([]entry, 0, len(t.flows))
	for k, f := range t.flows {
		all = append(all, entry{k, f})
	}
	slices.SortFunc(all, func(x, y entry) int { return cmp.Or(cmp.Compare(x.f.Bytes(), y.f.Bytes()), x.f.Last.Compare(y.f.Last)) })
	for _, e := range all[:max(1, len(all)/4)] {
		delete(t.flows, e.k)
		t.further.Flows++
		t.further.Packets += e.f.Packets()
		t.further.Bytes += e.f.Bytes()
	}
}

// sorted returns the flows, those that began first first.
func (t *table) sorted() []*Flow {
	all := make([]*Flow, 0, len(t.flows))
	for _, f := range t.flows {
		all = append(all, f)
	}
	slices.SortFunc(all, func(x, y *Flow) int {
		return cmp.Or(x.First.Compare(y.First), cmp.Compare(x.protocol, y.protocol), x.From.Compare(y.From), x.To.Compare(y.To))
	})
	return all
}
