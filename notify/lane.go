package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"porchlight/presence"
)

const (
	// handful is how many things are said one by one; more are one digest.
	handful = 5
	// atOnce bounds what is read of the log in one go.
	atOnce = 256
	// settleFor is how long the note of what was sent may take to be written down.
	settleFor = 2 * time.Second

	firstPause = 10 * time.Second
	lastPause  = 10 * time.Minute
)

// lane delivers to one service: what its rules want, in order. There are two of
// a service, as what is urgent does not wait for the rest. The cursor stands
// behind the last event that the service has, so what is held back, for quiet
// hours, for the hourly limit or since the service is away, is what is between
// the cursor and the end of the log.
type lane struct {
	name    string // of its cursor
	service *Service
	rules   []Rule
	quiet   Quiet
	limit   int // messages in an hour; 0: any number
	link    string
	render  *templates
	plain   *templates // ours, should the user's fail
	out     outbox
	cfg     *Config
	log     *slog.Logger

	read    int64 // up to where the log was read
	waiting []waiting
	more    int       // that are waiting too, and not kept in memory
	sending []waiting // what the try under way is about; nil: there is none
	notes   notes

	mu    sync.Mutex
	state State
}

// waiting is something to be said.
type waiting struct {
	event  presence.Event
	absent bool // it is of an absence, and in the notes
}

// key names w in the notes.
func (w *waiting) key() string {
	if w.absent {
		return fmt.Sprint("gone ", w.event.Seq)
	}
	return fmt.Sprint(w.event.Seq)
}

// notes are what a lane must not forget, besides its cursor.
type notes struct {
	Gone    []absence      `json:"gone,omitempty"`    // devices that left, and are to be reported if they stay away
	Sent    []time.Time    `json:"sent,omitempty"`    // messages of the last hour
	Tries   map[string]int `json:"tries,omitempty"`   // of what may have arrived, by waiting.key
	Failing bool           `json:"failing,omitempty"` // the last try that ended did not work
}

// maxTries is how often something is sent of which nobody knows whether it has
// arrived, as the process ended meanwhile: once more at most.
const maxTries = 2

// absence is a device that left.
type absence struct {
	Event presence.Event `json:"event"`
	Due   time.Time      `json:"due"`

	queued bool // it waits to be said
}

// State says how a service fares.
type State struct {
	Service string    `json:"service"`
	Waiting int       `json:"waiting"`         // things that are to be said
	Fault   string    `json:"fault,omitempty"` // of the last try; empty: it worked
	Since   time.Time `json:"since,omitzero"`  // of the fault
	Sent    time.Time `json:"sent,omitzero"`   // the last message that arrived
}

// maxWaiting bounds what is kept in memory; of the rest a digest says how much
// there is.
const maxWaiting = 4 * maxItems

// run delivers until ctx ends.
func (l *lane) run(ctx context.Context) error {
	if err := l.begin(ctx); err != nil {
		return err
	}
	pause := time.Duration(0)
	for {
		changed := l.cfg.Log.Changed()
		next := l.gather(ctx)
		if until := l.hold(time.Now()); len(l.waiting) > 0 && !until.IsZero() {
			next = soonest(next, until)
		} else if len(l.waiting) > 0 {
			if l.deliver(ctx) == nil {
				pause = 0
				continue
			}
			pause = min(max(2*pause, firstPause), lastPause)
			next = time.Now().Add(pause)
			changed = nil // what is new does not make it work
		}
		if !sleep(ctx, changed, next) {
			return nil
		}
	}
}

// begin takes up what was left. A service that is new begins with what happens
// from now on, on the first run with the first list.
func (l *lane) begin(ctx context.Context) (err error) {
	stored := l.cfg.Notes.Meta(l.name)
	if stored == "" {
		l.read = l.cfg.Begin
		l.cfg.Notes.SetCursor(l.name, l.read)
		l.save()
		l.settle(ctx)
		return nil
	}
	if err := json.Unmarshal([]byte(stored), &l.notes); err != nil {
		l.log.Warn("what was noted of a service cannot be read; it begins anew", "err", err)
	}
	l.read, err = l.cfg.Notes.Cursor(ctx, l.name)
	return err
}

// gather reads the log to its end, and returns when there is something to do
// without news; zero: never.
func (l *lane) gather(ctx context.Context) (next time.Time) {
	for ctx.Err() == nil {
		events, err := l.cfg.Log.After(ctx, l.read, atOnce)
		if err != nil {
			return time.Now().Add(firstPause) // the database is away
		}
		if len(events) == 0 {
			break
		}
		for i := range events {
			l.take(ctx, &events[i])
		}
	}
	now := time.Now()
	var due []waiting
	for i := range l.notes.Gone {
		switch a := &l.notes.Gone[i]; {
		case a.Due.After(now):
			next = soonest(next, a.Due)
		case !a.queued:
			a.queued = true
			due = append(due, waiting{event: a.reported(now), absent: true})
		}
	}
	for _, w := range due {
		l.add(w)
	}
	l.tell(func(s *State) { s.Waiting = len(l.waiting) + l.more })
	l.moveCursor()
	return next
}

// reported is the absence as something to be said.
func (a *absence) reported(now time.Time) presence.Event {
	e := a.Event
	e.Type, e.Why = goneType, fmt.Sprintf("it left %s ago, and has not been heard since; %s", presence.Words(now.Sub(e.Time)), e.Why)
	return e
}

// take looks at one event of the log.
func (l *lane) take(ctx context.Context, e *presence.Event) {
	l.read = e.Seq
	if e.Type == presence.Arrived {
		l.forget(e.ID)
	}
	var d *presence.Device
	if e.ID != "" {
		d = l.cfg.Devices(ctx, e.ID)
	}
	wanted := false
	for i := range l.rules {
		switch r := &l.rules[i]; {
		case !r.wants(e, d):
		case r.What != gone:
			wanted = true
		case e.Type == presence.Left:
			l.miss(absence{Event: *e, Due: e.Time.Add(r.After)})
		}
	}
	if wanted {
		l.add(waiting{event: *e})
	}
}

// miss notes that a device left. What is read again after a restart is noted
// already.
func (l *lane) miss(a absence) {
	if slices.ContainsFunc(l.notes.Gone, func(o absence) bool { return o.Event.Seq == a.Event.Seq && o.Due.Equal(a.Due) }) {
		return
	}
	l.notes.Gone = append(l.notes.Gone, a)
	l.save()
}

// forget drops what was to be said of the absence of a device that is back.
func (l *lane) forget(id presence.ID) {
	n := len(l.notes.Gone)
	l.notes.Gone = slices.DeleteFunc(l.notes.Gone, func(a absence) bool { return a.Event.ID == id })
	if len(l.notes.Gone) == n {
		return
	}
	l.save()
	if l.sending == nil {
		l.waiting = slices.DeleteFunc(l.waiting, func(w waiting) bool { return w.absent && w.event.ID == id })
	}
}

// add has something said, and reports whether it is kept in memory until then.
func (l *lane) add(w waiting) bool {
	if l.notes.Tries[w.key()] >= maxTries {
		l.log.Warn("a message was cut off twice by the end of Porchlight; it is taken for delivered",
			"service", l.service.Name, "message", headline(&w.event))
		l.done(w)
		return false
	}
	if len(l.waiting) >= maxWaiting {
		l.more++
		return false
	}
	l.waiting = append(l.waiting, w)
	return true
}

// moveCursor puts the cursor before the first event that is still to be said.
func (l *lane) moveCursor() {
	to := l.read
	if i := slices.IndexFunc(l.waiting, func(w waiting) bool { return !w.absent }); i >= 0 {
		to = l.waiting[i].event.Seq - 1
	}
	l.cfg.Notes.SetCursor(l.name, to)
}

// hold returns until when nothing may be said; zero: now it may.
func (l *lane) hold(now time.Time) time.Time {
	if l.sending != nil {
		return time.Time{} // it has begun already
	}
	hour := now.Add(-time.Hour)
	l.notes.Sent = slices.DeleteFunc(l.notes.Sent, func(t time.Time) bool { return !t.After(hour) || t.After(now) })
	until := l.quiet.until(now)
	if l.limit > 0 && len(l.notes.Sent) >= l.limit {
		if free := l.notes.Sent[len(l.notes.Sent)-l.limit].Add(time.Hour); free.After(until) {
			until = free
		}
	}
	return until
}

// sleep waits for news or until a time, and returns false when ctx has ended.
func sleep(ctx context.Context, news <-chan struct{}, until time.Time) bool {
	var alarm <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		alarm = t.C
	}
	select {
	case <-ctx.Done():
		return false
	case <-news:
	case <-alarm:
	}
	return true
}

// soonest returns the earlier one of two times, of which zero is never.
func soonest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
