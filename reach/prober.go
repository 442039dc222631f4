// Package reach asks devices that no segment hears, behind a router or at the
// other end of a VPN, where the user says that they can be asked: with a ping
// (ICMP echo, RFC 792 and RFC 4443) or by connecting to a TCP port.
//
// That proves less than ARP does: who answers is known by the address alone, and
// who is asleep or has a firewall does not answer. And the way there can be cut,
// which says nothing about the device: the Prober tells the two apart as far as
// this machine can know.
package reach

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"porchlight/presence"
)

const (
	// patience is how long an answer may take.
	patience = 2 * time.Second
	// atOnce is how many questions may be under way; queueLen how many may wait.
	// The engine paces them: there are more only when hardly anybody answers.
	atOnce   = 256
	queueLen = 256
	// stale is when a fault is forgotten of an address that is not asked any more.
	stale = 5 * time.Minute
	// maxTold is how many addresses are told of one by one.
	maxTold = 3
)

// Config is what a Prober needs. The functions must not block.
type Config struct {
	Sight  func(presence.Sighting) // gets each answer
	Unsent func(presence.Probe)    // gets each probe that Probe took and that the way was cut for
	Log    *slog.Logger            // nil: no log
}

// Prober asks. Its methods may be called from any goroutine.
type Prober struct {
	cfg   Config
	log   *slog.Logger
	queue chan presence.Probe
	// ask asks once. An error says why nothing can be known of the device.
	ask func(context.Context, presence.Reach) (answered bool, err error)
	// learn gets to know the way to who has answered.
	learn func(context.Context, netip.Addr)

	mu  sync.Mutex
	cut map[netip.Addr]fault // to where the way is cut
}

// fault is why an address cannot be asked.
type fault struct {
	why string
	at  time.Time // when that was last found
}

// New makes a Prober; Run starts it.
func New(cfg Config) *Prober {
	r := &routers{ping: ping}
	p := &Prober{
		cfg: cfg, log: cfg.Log, queue: make(chan presence.Probe, queueLen),
		ask: r.ask, learn: r.learn, cut: map[netip.Addr]fault{},
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	return p
}

var errBusy = errors.New("too many questions are under way")

// Probe has a device asked as its Reach says. It does not wait; an error means
// that it will not be asked.
func (p *Prober) Probe(q presence.Probe) error {
	select {
	case p.queue <- q:
		return nil
	default:
		return fmt.Errorf("asking by %s: %w", q.Reach, errBusy)
	}
}

// Run asks until ctx ends, and returns nil then.
func (p *Prober) Run(ctx context.Context) error {
	var g errgroup.Group
	g.SetLimit(atOnce)
	for {
		select {
		case <-ctx.Done():
			return g.Wait()
		case q := <-p.queue:
			g.Go(func() error { p.probe(ctx, q); return nil })
		}
	}
}

// probe asks once, and tells what came of it.
func (p *Prober) probe(ctx context.Context, q presence.Probe) {
	answered, err := p.ask(ctx, q.Reach)
	if ctx.Err() != nil {
		return
	}
	p.note(q.Reach.Addr, err)
	switch {
	case err != nil:
		p.cfg.Unsent(q)
	case answered:
		kind := presence.PingReply
		if q.Reach.Port > 0 {
			kind = presence.TCPReply
		}
		p.cfg.Sight(presence.Sighting{At: time.Now(), Interface: presence.Routed, MAC: q.MAC, Addr: q.Reach.Addr, Kind: kind})
		p.learn(ctx, q.Reach.Addr)
	}
}

// note remembers whether the way to an address is cut, and logs a change.
func (p *Prober) note(a netip.Addr, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, was := p.cut[a]
	if err == nil {
		delete(p.cut, a)
		if was {
			p.log.Info("the way to a device is open again", "address", a)
		}
		return
	}
	p.cut[a] = fault{err.Error(), time.Now()}
	if before.why != err.Error() {
		p.log.Warn("the way to a device is cut: it does not count as away for that", "address", a, "err", err)
	}
}

// Problems says in words to where the way is cut.
func (p *Prober) Problems() (all []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.cut, func(_ netip.Addr, f fault) bool { return time.Since(f.at) > stale })
	for i, a := range slices.SortedFunc(maps.Keys(p.cut), netip.Addr.Compare) {
		if i == maxTold {
			return append(all, fmt.Sprintf("%d more addresses cannot be asked for that", len(p.cut)-maxTold))
		}
		all = append(all, fmt.Sprintf("nobody can be asked at %s: %s", a, p.cut[a].why))
	}
	return all
}
