package notify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"porchlight/presence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// book is an event log and the notes of a house. What is noted is written down
// when Settle is called; a kill loses the rest.
type book struct {
	mu      sync.Mutex
	events  []presence.Event
	changed chan struct{}
	devices map[presence.ID]*presence.Device
	away    error // After fails

	cursors, savedCursors map[string]int64
	meta, savedMeta       map[string]string
}

func newBook() *book {
	return &book{
		changed: make(chan struct{}), devices: map[presence.ID]*presence.Device{},
		cursors: map[string]int64{}, meta: map[string]string{},
		savedCursors: map[string]int64{}, savedMeta: map[string]string{},
	}
}

// happen logs an event of the device n.
func (b *book) happen(t presence.EventType, n int) {
	b.log(eventOf(t, n))
}

func eventOf(t presence.EventType, n int) presence.Event {
	return presence.Event{Type: t, ID: idOf(n), MAC: presence.MAC{4: byte(n >> 8), 5: byte(n)}, Name: fmt.Sprint("device ", n), Why: "because"}
}

// log logs events, which get their numbers and the time, all at once.
func (b *book) log(all ...presence.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range all {
		e.Seq, e.Time = int64(len(b.events)+1), time.Now().UTC()
		b.events = append(b.events, e)
	}
	close(b.changed)
	b.changed = make(chan struct{})
}

func idOf(n int) presence.ID { return presence.ID(fmt.Sprintf("%012x", n)) }

func (b *book) After(_ context.Context, seq int64, limit int) ([]presence.Event, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rest := b.events[seq:]
	return rest[:min(len(rest), limit)], b.away
}

func (b *book) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

func (b *book) Cursor(_ context.Context, consumer string) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cursors[consumer], nil
}

func (b *book) SetCursor(consumer string, seq int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cursors[consumer] = max(seq, b.cursors[consumer])
}

func (b *book) Meta(key string) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.meta[key]
}

func (b *book) SetMeta(key, value string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.meta[key] = value
}

func (b *book) Settle(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.savedCursors, b.savedMeta = maps.Clone(b.cursors), maps.Clone(b.meta)
	return nil
}

// kill loses what was not written down.
func (b *book) kill() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cursors, b.meta = maps.Clone(b.savedCursors), maps.Clone(b.savedMeta)
}

func (b *book) device(_ context.Context, id presence.ID) *presence.Device {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.devices[id]
}

// rig is a Notifier of one service in a bubble of synctest.
type rig struct {
	t    *testing.T
	book *book
	cfg  Config
	stop func()

	mu    sync.Mutex
	got   []rendered
	fault error         // of the next tries
	takes time.Duration // each try
}

var errRefused = errors.New("it answered 500 Internal Server Error")

func newRig(t *testing.T, on string, change ...func(*Config)) *rig {
	r := &rig{t: t, book: newBook()}
	r.cfg = Config{URLs: "generic://127.0.0.1:9/x", On: on, Log: r.book, Notes: r.book, Devices: r.book.device, Link: "http://porch:8580"}
	for _, f := range change {
		f(&r.cfg)
	}
	return r
}

// start runs it, until stop.
func (r *rig) start() {
	r.t.Helper()
	n, err := New(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, l := range n.lanes {
		l.out.send = r.take
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	synctest.Wait()
	r.stop = func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	}
}

func (r *rig) take(m rendered, ready func()) error {
	ready()
	r.mu.Lock()
	takes, fault := r.takes, r.fault
	r.mu.Unlock()
	time.Sleep(takes)
	r.mu.Lock()
	defer r.mu.Unlock()
	if fault != nil {
		return fault
	}
	r.got = append(r.got, m)
	return nil
}

func (r *rig) is(fault error, takes time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault, r.takes = fault, takes
}

// texts returns the texts of what arrived since the last call.
func (r *rig) texts() (all []string) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.got {
		all = append(all, m.text)
	}
	r.got = nil
	return all
}

// titles returns what arrived since the last call.
func (r *rig) titles() (all []string) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.got {
		all = append(all, m.title)
	}
	r.got = nil
	return all
}
