package lab

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The made-up MACs of a flood begin with these, so that the lab's own parts
// can tell them; nothing else about them is alike.
var (
	strangerPrivate = [2]byte{0x06, 0xf1}
	strangerVendor  = [2]byte{0x04, 0xf1}
)

// Flood says what to flood the LAN with.
type Flood struct {
	Rate     int           // frames a second
	Duration time.Duration // until ctx ends if 0
	DHCP     float64       // share of DHCP among the frames, 0 to 1; the rest is ARP
	Vendor   float64       // share of MACs without the private bit, 0 to 1
	// Addrs are the addresses that the strangers claim; the whole LAN if invalid.
	Addrs netip.Prefix
}

// FloodReport is what a flood, or a stream, did.
type FloodReport struct {
	Sent    int
	Elapsed time.Duration
	// CPU is what the sending took, with what the kernel did for the receivers
	// meanwhile: it hands frames over on the sender's time.
	CPU time.Duration
}

// Rate returns the frames a second that were reached.
func (r FloodReport) Rate() float64 { return float64(r.Sent) / r.Elapsed.Seconds() }

// stranger is the port that floods come from.
type stranger struct {
	ns    *namespace
	iface int
	fd    int
	quit  chan struct{} // closed by Close
	mu    sync.Mutex    // held while flooding
}

// Flood sends frames of made-up MACs, a new one each, evenly spread, from a
// port of its own. The frames are broadcasts: ARP announcements, ARP probes,
// DHCP DISCOVERs and REQUESTs. The switch does not learn the MACs, and the
// lab's DHCP server and populations ignore them, so the cost is the listeners'.
// It returns when the duration is over or ctx ends, without an error. One flood
// runs at a time.
func (l *Lab) Flood(ctx context.Context, f Flood) (FloodReport, error) {
	s, err := l.getStranger()
	if err != nil {
		return FloodReport{}, err
	}
	if !f.Addrs.IsValid() {
		f.Addrs = l.opts.Prefix
	}
	if f.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.Duration)
		defer cancel()
	}
	m, err := newMaker(f)
	if err != nil {
		return FloodReport{}, err
	}
	return s.flood(ctx, f.Rate, m)
}

func (l *Lab) getStranger() (*stranger, error) {
	l.mu.Lock()
	s := l.stranger
	l.mu.Unlock()
	if s != nil {
		return s, nil
	}
	ns, p, iface, err := l.silentPort("stranger")
	if err != nil {
		return nil, err
	}
	s = &stranger{ns: ns, iface: iface, fd: -1, quit: make(chan struct{})}
	if err := s.open(p); err != nil {
		_ = s.Close()
		return nil, err
	}
	if err := l.adopt(s); err != nil {
		_ = s.Close()
		return nil, err
	}
	l.mu.Lock()
	l.stranger = s
	l.mu.Unlock()
	return s, nil
}

// open opens a packet socket that hears nothing and passes by the queueing
// discipline, and keeps the switch from learning a million addresses.
func (s *stranger) open(p *port) error {
	err := p.sw.netlink(func(h *netlink.Handle) error { return h.LinkSetLearning(p.link, false) })
	if err != nil {
		return fmt.Errorf("switching learning off: %w", err)
	}
	return s.ns.run(func() (err error) {
		s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("opening a packet socket: %w", err)
		}
		return unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	})
}

// flood sends at the rate until ctx ends, or the lab is closed.
func (s *stranger) flood(ctx context.Context, rate int, m *maker) (FloodReport, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to := &unix.SockaddrLinklayer{Ifindex: s.iface}
	return paced(ctx, s.quit, rate, nil, func(n int) error {
		for range n {
			if err := unix.Sendto(s.fd, m.next(), 0, to); err != nil && err != unix.ENOBUFS {
				return fmt.Errorf("flooding: %w", err)
			}
		}
		return nil
	})
}

// Close ends the flood and removes the port.
func (s *stranger) Close() error {
	close(s.quit)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fd >= 0 {
		_ = unix.Close(s.fd)
	}
	s.ns.close()
	return nil
}

// maker makes the frames of a flood in place.
type maker struct {
	Flood
	rand     *rand.Rand
	arp      []byte
	discover []byte
	request  []byte
	reqAddr  int // where the requested address is in request
	hosts    uint32
}

func newMaker(f Flood) (*maker, error) {
	m := &maker{
		Flood: f,
		rand:  rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		arp:   Announcement(MAC{}, netip.Addr{}).Frame(),
		hosts: 1 << (32 - f.Addrs.Bits()),
	}
	mark := netip.AddrFrom4([4]byte{0xde, 0xad, 0xbe, 0xef})
	var err error
	if m.discover, err = (DHCP{Type: dhcpv4.MessageTypeDiscover, HostName: "stranger"}).Frame(); err != nil {
		return nil, err
	}
	if m.request, err = (DHCP{Type: dhcpv4.MessageTypeRequest, HostName: "stranger", Requested: mark}).Frame(); err != nil {
		return nil, err
	}
	for i := range len(m.request) - 4 {
		if [4]byte(m.request[i:]) == mark.As4() {
			m.reqAddr = i
		}
	}
	return m, nil
}

// Offsets in a frame that udpFrame has made of a DHCP message.
const (
	offXID    = udpHeaders + 4
	offCHAddr = udpHeaders + 28
)

// next returns the next frame, valid until the next call.
func (m *maker) next() []byte {
	var mac MAC
	prefix := strangerPrivate
	if m.rand.Float64() < m.Vendor {
		prefix = strangerVendor
	}
	copy(mac[:], prefix[:])
	binary.BigEndian.PutUint32(mac[2:], m.rand.Uint32())
	addr := nth(m.Addrs, int(m.rand.Uint32N(m.hosts))).As4()
	odd := m.rand.Uint32()&1 == 1
	if m.rand.Float64() >= m.DHCP {
		b := m.arp
		copy(b[6:], mac[:])
		copy(b[22:], mac[:])
		clear(b[28:32]) // a probe has no sender
		if odd {
			copy(b[28:], addr[:])
		}
		copy(b[38:], addr[:])
		return b
	}
	b := m.discover
	if odd {
		b = m.request
		copy(b[m.reqAddr:], addr[:])
	}
	copy(b[6:], mac[:])
	copy(b[offCHAddr:], mac[:])
	binary.BigEndian.PutUint32(b[offXID:], m.rand.Uint32())
	sumUDP(b)
	return b
}
