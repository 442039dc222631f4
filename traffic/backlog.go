package traffic

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxWaiting is how many rounds are held while they cannot be saved: a day of
	// minutes.
	maxWaiting = 1440
	// retrySave is how often it is tried again.
	retrySave = 10 * time.Second
	// lastSave is how long saving may take when recording has ended.
	lastSave = 1500 * time.Millisecond
)

// backlog is the rounds on their way to where they are stored, in order.
type backlog struct {
	save func(context.Context, Round) error
	log  *slog.Logger
	news chan struct{} // has one when there is something to save

	mu      sync.Mutex
	waiting []Round
	gone    int   // how many are no longer in waiting
	fault   error // of the last try
	lost    int   // given up, because there were too many
}

func newBacklog(save func(context.Context, Round) error, log *slog.Logger) *backlog {
	return &backlog{save: save, log: log, news: make(chan struct{}, 1)}
}

// add does not wait. The oldest round goes when there are too many.
func (b *backlog) add(r Round) {
	b.mu.Lock()
	if b.waiting = append(b.waiting, r); len(b.waiting) > maxWaiting {
		b.drop()
		b.lost++
	}
	b.mu.Unlock()
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// drop takes the oldest round out.
func (b *backlog) drop() {
	b.waiting[0] = Round{} // what it holds can be freed
	b.waiting = b.waiting[1:]
	b.gone++
}

// run saves what is added until ctx ends, and what waits then.
func (b *backlog) run(ctx context.Context) {
	saving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(lastSave):
			cancel()
		case <-saving.Done():
		}
	})()
	again := time.NewTicker(retrySave)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			b.drain(saving)
			b.end()
			return
		case <-b.news:
		case <-again.C:
		}
		b.drain(saving)
	}
}

// end says what is lost.
func (b *backlog) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.waiting); n > 0 {
		b.log.Error("rounds of traffic are lost: they could not be saved before the end", "rounds", n, "err", b.fault)
	}
}

// drain saves until nothing waits, or one cannot be saved.
func (b *backlog) drain(ctx context.Context) {
	for {
		r, number, ok := b.first()
		if !ok {
			return
		}
		err := b.save(ctx, r)
		b.done(r, number, err)
		if err != nil {
			return
		}
	}
}

func (b *backlog) first() (r Round, number int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.waiting) == 0 {
		return Round{}, 0, false
	}
	return b.waiting[0], b.gone, true
}

// done notes what came of a round, which may have been given up meanwhile.
func (b *backlog) done(r Round, number int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err != nil && b.fault == nil:
		b.log.Error("a round of traffic cannot be saved; it is tried again", "round", r.Start, "err", err)
	case err == nil && b.fault != nil:
		b.log.Info("rounds of traffic are saved again", "waiting", len(b.waiting)-1, "given_up", b.lost)
	}
	b.fault = err
	if err == nil && number == b.gone {
		b.drop()
	}
}

// problems says what cannot be saved, and what was given up.
func (b *backlog) problems() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault != nil {
		all = append(all, fmt.Sprintf("%d rounds of traffic wait to be saved: %v", len(b.waiting), b.fault))
	}
	if b.lost > 0 {
		all = append(all, fmt.Sprintf("%d rounds of traffic were given up because they could not be saved for too long", b.lost))
	}
	return all
}
