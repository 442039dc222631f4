package lab

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// DefaultPrefix is the lab's network when Options names none.
var DefaultPrefix = netip.MustParsePrefix("10.77.0.0/24")

// Options says what LAN to raise. The zero value is the default prefix with a
// gateway.
type Options struct {
	// Prefix is the network, from /16 to /28. The gateway has its first
	// address; the last quarter is the DHCP server's, the rest is free for
	// static addresses (Lab.Static).
	Prefix netip.Prefix
	// LeaseTime of the DHCP server; default 1 h, dnsmasq's least is 2 min.
	LeaseTime time.Duration
	// LeaseFile is where the DHCP server keeps its leases; by default in
	// memory, where it can be read (Gateway.LeaseFile) but not watched.
	LeaseFile string
	// DNS has the gateway answer DNS too, for the names of its leases.
	DNS bool
	// NoGateway leaves out the gateway and its DHCP server.
	NoGateway bool
	// IPv6 lets the kernels of hosts speak IPv6. Without it they are silent.
	IPv6 bool
	// Snooping has the switch forward IPv6 groups to their members only, as many
	// switches do (RFC 4541). It speaks IPv6 then, to ask who they are.
	Snooping bool
	// Logger hears what the lab's children say, at debug level; nil: nobody.
	Logger *slog.Logger
}

// Lab is one virtual LAN. Its methods are safe for concurrent use.
type Lab struct {
	opts    Options
	log     *slog.Logger
	sw      *lanSwitch
	gateway *Gateway

	mu       sync.Mutex
	closed   bool
	closers  []io.Closer // in the order of making
	stranger *stranger   // of Flood; nil before the first
	ended    chan struct{}
}

// New raises a LAN; ctx bounds only the raising. The caller closes it.
// It returns ErrNeedsRoot when the process may not make network namespaces.
func New(ctx context.Context, opts Options) (*Lab, error) {
	if !opts.Prefix.IsValid() {
		opts.Prefix = DefaultPrefix
	}
	opts.Prefix = opts.Prefix.Masked()
	if !opts.Prefix.Addr().Is4() || opts.Prefix.Bits() < 16 || opts.Prefix.Bits() > 28 {
		return nil, fmt.Errorf("lab prefix %v: an IPv4 prefix from /16 to /28 is needed", opts.Prefix)
	}
	if opts.LeaseTime == 0 {
		opts.LeaseTime = time.Hour
	}
	if opts.LeaseTime < 2*time.Minute {
		return nil, fmt.Errorf("lease time %v: dnsmasq gives no leases shorter than 2m", opts.LeaseTime)
	}
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	l := &Lab{opts: opts, log: log, ended: make(chan struct{})}
	if err := l.raise(ctx); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

func (l *Lab) raise(ctx context.Context) (err error) {
	if l.sw, err = newSwitch(l.opts.Snooping); err != nil {
		return err
	}
	if l.opts.NoGateway {
		return nil
	}
	l.gateway, err = l.newGateway(ctx)
	return err
}

// Prefix returns the LAN's network.
func (l *Lab) Prefix() netip.Prefix { return l.opts.Prefix }

// Gateway returns the gateway, or nil when Options.NoGateway was set.
func (l *Lab) Gateway() *Gateway { return l.gateway }

// Static returns the i-th address that is free for static use, from 0 on; the
// gateway's is not among them. It panics past the start of the DHCP pool.
func (l *Lab) Static(i int) netip.Addr {
	first, _ := l.pool()
	a := nth(l.opts.Prefix, i+2)
	if i < 0 || !a.Less(first) {
		panic(fmt.Sprintf("lab: no static address %d in %v, the DHCP pool begins at %v", i, l.opts.Prefix, first))
	}
	return a
}

// pool returns the first and the last address that the DHCP server gives: the
// last quarter of the prefix without the broadcast address.
func (l *Lab) pool() (first, last netip.Addr) {
	size := 1 << (32 - l.opts.Prefix.Bits())
	return nth(l.opts.Prefix, size-size/4), nth(l.opts.Prefix, size-2)
}

// nth returns the address i places after the prefix's first.
func nth(p netip.Prefix, i int) netip.Addr {
	a := p.Addr().As4()
	n := uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
	n += uint32(i)
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// adopt makes c one of the things that Close closes.
func (l *Lab) adopt(c io.Closer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errClosed
	}
	l.closers = append(l.closers, c)
	return nil
}

// Close ends every process, thread and namespace of the lab, and waits for
// them. It may be called often, by several; each returns when all is gone.
func (l *Lab) Close() error {
	l.mu.Lock()
	already := l.closed
	l.closed = true
	closers := slices.Clone(l.closers)
	l.mu.Unlock()
	if already {
		<-l.ended
		return nil
	}
	defer close(l.ended)
	slices.Reverse(closers)
	for _, c := range closers {
		_ = c.Close()
	}
	if l.sw != nil {
		l.sw.close()
	}
	return nil
}
