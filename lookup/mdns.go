package lookup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"porchlight/presence"
)

const (
	mdnsPort = 5353
	// mdnsTries questions are asked, each with so long to be answered: a radio
	// that sleeps hears the second one.
	mdnsTries = 2
	mdnsTime  = time.Second
	// maxAnswer is the most of an answer that is looked at, in bytes.
	maxAnswer = 4096
)

// MDNS asks a device itself by multicast DNS (RFC 6762): with a question by
// unicast (section 5.5), so that nobody else is woken by it, and from another
// port than 5353, so that the answer comes by unicast too (section 6.7).
type MDNS struct{ port uint16 }

// NewMDNS returns a source that asks devices by multicast DNS.
func NewMDNS() *MDNS { return &MDNS{mdnsPort} }

// Name implements Source.
func (*MDNS) Name() presence.NameSource { return presence.NameFromMDNS }

// Ask implements Source.
func (s *MDNS) Ask(ctx context.Context, a netip.Addr, ifname string) (string, error) {
	to := a
	if a.Is6() && a.IsLinkLocalUnicast() {
		to = a.WithZone(ifname)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", netip.AddrPortFrom(to, s.port).String())
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(0, 0)) })
	defer stop()
	// Whoever claims an address elsewhere is not asked there.
	if err := stayOnLink(conn, a); err != nil {
		return "", fmt.Errorf("asking %v by mDNS: %w", a, err)
	}
	id := uint16(rand.Uint32()) //nolint:gosec // no secret: the kernel takes only the device's own answers
	question, err := askFor(id, a)
	if err != nil {
		return "", err
	}
	for range mdnsTries {
		name, err := ask(ctx, conn, question, id, a)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED): // it speaks no mDNS
			return "", nil
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
			continue
		}
		return name, err
	}
	return "", errNoAnswer
}

var errNoAnswer = errors.New("no answer")

// ask sends a question once, and waits for its answer.
func ask(ctx context.Context, conn net.Conn, question []byte, id uint16, a netip.Addr) (string, error) {
	if err := conn.SetDeadline(time.Now().Add(mdnsTime)); err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil { // it may have ended just before
		return "", err
	}
	if _, err := conn.Write(question); err != nil {
		return "", err
	}
	buf := make([]byte, maxAnswer)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return "", err
		}
		if name, ok := nameIn(buf[:n], id, a); ok {
			return name, nil
		}
	}
}

func stayOnLink(conn net.Conn, a netip.Addr) error {
	if a.Is4() {
		return ipv4.NewConn(conn).SetTTL(1)
	}
	return ipv6.NewConn(conn).SetHopLimit(1)
}

// reverse is the domain name that stands for an address (RFC 1035, section 3.5,
// and RFC 3596, section 2.5).
func reverse(a netip.Addr) string {
	if a.Is4() {
		b := a.As4()
		return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa.", b[3], b[2], b[1], b[0])
	}
	var name strings.Builder
	b := a.As16()
	for i := len(b) - 1; i >= 0; i-- {
		fmt.Fprintf(&name, "%x.%x.", b[i]&0xf, b[i]>>4)
	}
	return name.String() + "ip6.arpa."
}

// askFor returns the question for the name of the address a.
func askFor(id uint16, a netip.Addr) ([]byte, error) {
	name, err := dnsmessage.NewName(reverse(a))
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET}},
	}
	return m.Pack()
}

// nameIn returns the host name in an answer to the question askFor(id, a); ok is
// false when the message is no such answer. A message without a name in it is
// one if it says that there is none.
func nameIn(msg []byte, id uint16, a netip.Addr) (name string, ok bool) {
	const cacheFlush = 1 << 15 // RFC 6762, section 10.2: beside the class
	var p dnsmessage.Parser
	head, err := p.Start(msg)
	if err != nil || !head.Response || head.ID != id || p.SkipAllQuestions() != nil {
		return "", false
	}
	for {
		h, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return "", true
		}
		if err != nil {
			return "", false
		}
		about := strings.EqualFold(h.Name.String(), reverse(a))
		if !about || h.Type != dnsmessage.TypePTR || h.Class&^cacheFlush != dnsmessage.ClassINET {
			if p.SkipAnswer() != nil {
				return "", false
			}
			continue
		}
		r, err := p.PTRResource()
		if err != nil {
			return "", false
		}
		return presence.CleanHostName(r.PTR.String()), true
	}
}
