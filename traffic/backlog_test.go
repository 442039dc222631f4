package traffic

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// disk is where rounds are saved; each tells when it was, in the order of saving.
type disk struct {
	mu    sync.Mutex
	full  error
	saved []time.Time
}

func (d *disk) set(full error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

func (d *disk) all() []time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.saved)
}

func (d *disk) save(_ context.Context, r Round) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full != nil {
		return d.full
	}
	d.saved = append(d.saved, r.Start)
	return nil
}

func minute(n int) Round { return Round{Start: time.Unix(int64(60*n), 0)} }

func minutes(from, to int) (all []time.Time) {
	for n := from; n < to; n++ {
		all = append(all, minute(n).Start)
	}
	return all
}

// While the disk is full rounds wait, and are saved in order when it is no more; of
// too many the oldest are given up, which is told.
func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		b := newBacklog(d.save, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); b.run(ctx) }()

		b.add(minute(0))
		synctest.Wait()
		d.set(errors.New("the disk is full"))
		b.add(minute(1))
		b.add(minute(2))
		synctest.Wait()
		want := []string{"2 rounds of traffic wait to be saved: the disk is full"}
		if diff := cmp.Diff(want, b.problems()); diff != "" {
			t.Errorf("problems (-want +got):\n%s", diff)
		}
		d.set(nil)
		time.Sleep(retrySave)
		synctest.Wait()
		if diff := cmp.Diff(minutes(0, 3), d.all()); diff != "" {
			t.Errorf("saved (-want +got):\n%s", diff)
		}
		if p := b.problems(); len(p) > 0 {
			t.Errorf("problems %q", p)
		}

		d.set(errors.New("the disk is full"))
		for n := range maxWaiting + 5 {
			b.add(minute(3 + n))
		}
		synctest.Wait()
		if p := b.problems(); len(p) != 2 || p[1] != "5 rounds of traffic were given up because they could not be saved for too long" {
			t.Errorf("problems %q", p)
		}
		d.set(nil)
		cancel() // what waits is saved at the end
		<-done
		if diff := cmp.Diff(append(minutes(0, 3), minutes(8, 8+maxWaiting)...), d.all()); diff != "" {
			t.Errorf("saved (-want +got):\n%s", diff)
		}
	})
}

// A round that is given up while it is being saved is not given up twice.
func TestBacklogGivesUpWhileSaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &disk{}
		proceed := make(chan struct{})
		b := newBacklog(func(ctx context.Context, r Round) error { <-proceed; return d.save(ctx, r) }, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); b.run(ctx) }()
		for n := range maxWaiting + 1 {
			b.add(minute(n))
			synctest.Wait()
		}
		close(proceed)
		synctest.Wait()
		cancel()
		<-done
		if diff := cmp.Diff(minutes(0, maxWaiting+1), d.all()); diff != "" {
			t.Errorf("saved (-want +got):\n%s", diff)
		}
	})
}

// What cannot be saved at the end keeps nobody waiting for long, and is said to be
// lost.
func TestBacklogEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		b := newBacklog(func(ctx context.Context, _ Round) error { <-ctx.Done(); return ctx.Err() }, slog.New(slog.NewTextHandler(&log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); b.run(ctx) }()
		b.add(minute(0))
		synctest.Wait()
		began := time.Now()
		cancel()
		<-done
		if took := time.Since(began); took != lastSave {
			t.Errorf("took %s, want %s", took, lastSave)
		}
		if !strings.Contains(log.String(), `msg="rounds of traffic are lost: they could not be saved before the end" rounds=1`) {
			t.Errorf("the log: %s", log.String())
		}
	})
}
