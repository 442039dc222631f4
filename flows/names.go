package flows

import (
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"

	"porchlight/presence"
)

const (
	maxNames   = 20_000 // addresses that have one
	maxAnswers = 64     // of one message that are looked at
	maxName    = 128    // bytes

	portDNS  = 53
	portMDNS = 5353
)

// names are what addresses are called by the DNS answers in a dump.
type names map[netip.Addr]string

// answer notes what an answer says: of an address the name that was asked for
// last. Anyone can send answers, so it is a hint.
func (n names) answer(p *packet) {
	if port := p.from.Port(); p.protocol != udp || port != portDNS && port != portMDNS {
		return
	}
	var m dnsmessage.Parser
	head, err := m.Start(p.payload)
	if err != nil || !head.Response {
		return
	}
	asked := ""
	if q, err := m.Question(); err == nil {
		asked = nameText(q.Name)
	}
	if m.SkipAllQuestions() != nil {
		return
	}
	for range maxAnswers {
		h, err := m.AnswerHeader()
		if err != nil {
			return
		}
		name := asked
		if p.from.Port() == portMDNS || name == "" {
			name = nameText(h.Name)
		}
		var addr netip.Addr
		switch h.Type {
		case dnsmessage.TypeA:
			r, err := m.AResource()
			if err != nil {
				return
			}
			addr = netip.AddrFrom4(r.A)
		case dnsmessage.TypeAAAA:
			r, err := m.AAAAResource()
			if err != nil {
				return
			}
			addr = netip.AddrFrom16(r.AAAA)
		default:
			if m.SkipAnswer() != nil {
				return
			}
			continue
		}
		if _, known := n[addr]; name != "" && (known || len(n) < maxNames) {
			n[addr] = name
		}
	}
}

func nameText(n dnsmessage.Name) string {
	return presence.CleanText(strings.TrimSuffix(n.String(), "."), maxName)
}
