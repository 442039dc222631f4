package arpwatch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/mdlayher/ethernet"
	"golang.org/x/sys/unix"

	"porchlight/capture"
	"porchlight/presence"
)

// SweepOptions says how to ask. The zero value asks gently.
type SweepOptions struct {
	// Prefixes to ask through, each at most a /16. Empty: the interface's own
	// subnets. They are needed when it has no address.
	Prefixes []netip.Prefix

	Rate      int           // frames per second; 0: DefaultRate; at most MaxRate
	SkipHeard time.Duration // leave out the addresses heard within this time; 0: none

	// Passes is the most that one address is asked, up to 10; 0: DefaultPasses. The first
	// two passes ask everyone who is silent. A further pass asks everyone only
	// when the passes before make it likely that someone is still missing, and
	// otherwise only those who were heard in the last day.
	Passes int

	// Gap is the least time between the starts of two passes, so that a slow
	// answer comes before the next question; 0: 500 ms.
	Gap time.Duration

	// Wait is how long to listen after what seems to be the last frame; 0: 250
	// ms. It is stretched up to 2 s when the answers of this sweep came late.
	Wait time.Duration

	// Progress is called after each frame. It must not block. It may be nil.
	Progress func(Progress)

	Seed uint64 // of the order; 0: a new one each time
}

// Bounds and defaults of SweepOptions.
const (
	DefaultRate   = 50
	MaxRate       = 10_000
	DefaultPasses = 3

	defaultGap  = 500 * time.Millisecond
	defaultWait = 250 * time.Millisecond
	maxWait     = 2 * time.Second
)

// Progress is how far a sweep is. Total is what it comes to if nobody else
// answers, further passes than the second not counted.
type Progress struct {
	Asked, Total int // frames
	Answered     int // addresses
	Pass         int
}

// Answer is a device that was heard while a sweep asked for its address.
type Answer struct {
	Addr      netip.Addr
	MAC       presence.MAC
	Interface string
	Kind      presence.Kind // how it was heard
}

// SweepResult is what came of a sweep.
type SweepResult struct {
	Answers   []Answer // by address
	Addresses int      // that were to be asked
	Skipped   int      // heard lately, so not asked
	Frames    int      // sent
	Passes    int
	Took      time.Duration
}

// Errors of Sweep.
var (
	ErrNothingToSweep = errors.New("nothing to sweep")
	ErrSweeping       = errors.New("a sweep is running already")
)

// Sweep asks every host address by broadcast, in random order, at an even pace,
// and returns who answered. Any ARP frame from an address counts as its answer,
// also a late one. One sweep runs at a time, and it needs a link that hears
// (Config.Sense). When ctx ends or the link goes, it returns what it has with
// the error.
func (w *Watcher) Sweep(ctx context.Context, opt SweepOptions) (SweepResult, error) {
	res, err := w.sweepAll(ctx, opt.withDefaults())
	if err != nil {
		return res, fmt.Errorf("sweeping %q: %w", w.cfg.Interface, err)
	}
	return res, nil
}

func (o SweepOptions) withDefaults() SweepOptions {
	if o.Rate <= 0 {
		o.Rate = DefaultRate
	}
	o.Rate = min(o.Rate, MaxRate)
	if o.Passes <= 0 {
		o.Passes = DefaultPasses
	}
	o.Passes = min(o.Passes, 10)
	if o.Gap <= 0 {
		o.Gap = defaultGap
	}
	if o.Wait <= 0 {
		o.Wait = defaultWait
	}
	if o.Seed == 0 {
		o.Seed = rand.Uint64()
	}
	return o
}

func (w *Watcher) sweepAll(ctx context.Context, opt SweepOptions) (SweepResult, error) {
	start := time.Now()
	sw, skipped, err := w.newSweep(opt, start)
	if err != nil {
		return SweepResult{}, err
	}
	if !w.sweep.CompareAndSwap(nil, sw) {
		return SweepResult{}, ErrSweeping
	}
	defer w.sweep.Store(nil)
	run := sweepRun{Watcher: w, sweep: sw, opt: opt, pacer: newPacer(opt.Rate, start)}
	err = run.passes(ctx)
	return SweepResult{
		Answers:   sw.answers(w.cfg.Interface),
		Addresses: len(sw.targets),
		Skipped:   skipped,
		Frames:    run.frames,
		Passes:    run.pass,
		Took:      time.Since(start),
	}, err
}

// newSweep finds whom to ask.
func (w *Watcher) newSweep(opt SweepOptions, now time.Time) (_ *sweep, skipped int, err error) {
	if err := checkRanges(opt.Prefixes); err != nil {
		return nil, 0, err
	}
	link, ok := w.wire.Link()
	if !ok {
		return nil, 0, capture.ErrBlind
	}
	ranges := opt.Prefixes
	if len(ranges) == 0 {
		ranges = ownRanges(link, w.log)
	}
	all := hosts(ranges, link)
	if len(all) == 0 {
		return nil, 0, fmt.Errorf("%w: the interface has no IPv4 subnet: give it an address, or name the prefixes to ask", ErrNothingToSweep)
	}
	w.heard.prepare(link, opt.Prefixes, now)
	sw := &sweep{}
	for _, a := range all {
		ago, known := w.heard.since(a, now)
		if known && ago < opt.SkipHeard {
			skipped++
			continue
		}
		sw.targets = append(sw.targets, target{addr: a, known: known})
	}
	return sw, skipped, nil
}

// sweepRun is the sending half of a sweep.
type sweepRun struct {
	*Watcher
	*sweep
	opt    SweepOptions
	pacer  *pacer
	pass   int
	frames int
}

// passes asks until there is no reason to ask again.
func (r *sweepRun) passes(ctx context.Context) error {
	rng := rand.New(rand.NewPCG(r.opt.Seed, 0))
	order := make([]int, len(r.targets))
	for i := range order {
		order[i] = i
	}
	rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for len(order) > 0 {
		r.pass++
		began := time.Now()
		if err := r.askAll(ctx, order); err != nil {
			return err
		}
		if r.count() == len(r.targets) {
			return nil
		}
		next := began.Add(r.opt.Gap)
		if r.pass == r.opt.Passes || !r.askEveryone(r.pass) {
			// It was the last, unless late answers say otherwise.
			next = time.Now().Add(r.wait(r.opt.Wait))
		}
		if err := r.pacer.until(ctx, next); err != nil {
			return err
		}
		if r.pass == r.opt.Passes {
			return nil
		}
		order = r.again(order, r.pass)
		halves(order, rng)
	}
	return nil
}

// halves puts order into a new random order in which those asked in the first
// half of a pass are asked in the first half of the next, so that half a pass
// at least lies between two questions to the same address.
func halves(order []int, rng *rand.Rand) {
	for _, part := range [][]int{order[:len(order)/2], order[len(order)/2:]} {
		rng.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
	}
}

// askAll sends one pass. Who has answered meanwhile is not asked any more.
func (r *sweepRun) askAll(ctx context.Context, order []int) error {
	for i, n := range order {
		if r.answered(n) {
			continue
		}
		if err := r.pacer.wait(ctx); err != nil {
			return err
		}
		if !r.asking(n, time.Now()) {
			continue // the answer came while waiting
		}
		err := r.Watcher.ask(r.targets[n].addr, ethernet.Broadcast, nil)
		r.pacer.sent(time.Now())
		switch {
		case err == nil:
			r.frames++
		case errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EAGAIN) || errors.Is(err, errOwnAddress):
			// Lost like any other frame: the next pass asks again.
		default:
			return err
		}
		r.progress(len(order) - i - 1)
	}
	return nil
}

func (r *sweepRun) progress(left int) {
	if r.opt.Progress == nil {
		return
	}
	answered := r.count()
	p := Progress{Asked: r.frames, Total: r.frames + left, Answered: answered, Pass: r.pass}
	if r.pass == 1 && r.opt.Passes > 1 {
		p.Total += len(r.targets) - answered
	}
	r.opt.Progress(p)
}
