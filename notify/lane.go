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
	event presence.Event
	seq   int64 // of its event in the log; 0: it has none
}

// notes are what a lane must not forget, besides its cursor.
type notes struct {
	Gone []absence   `json:"gone,omitempty"` // devices that left, and are to be reported if they stay away
	Sent []time.Time `json:"sent,omitempty"` // messages of the last hour
}

// absence is a device that left.
type absence struct {
	Event presence.Event `json:"event"`
	Due   time.Time      `json:"due"`
	Asked time.Duration  `json:"asked"` // after how long it is reported
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
			if err := l.deliver(ctx); ctx.Err() != nil {
				return nil
			} else if err != nil {
				pause = min(max(2*pause, firstPause), lastPause)
				next = time.Now().Add(pause)
				changed = nil // what is new does not make it work
			} else {
				pause = 0
				continue
			}
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
	l.notes.Gone = slices.DeleteFunc(l.notes.Gone, func(a absence) bool {
		if a.Due.After(now) {
			next = soonest(next, a.Due)
			return false
		}
		l.add(waiting{event: a.reported(now)})
		return true
	})
	l.tell(func(s *State) { s.Waiting = len(l.waiting) + l.more })
	if len(l.waiting) == 0 {
		l.cfg.Notes.SetCursor(l.name, l.read) // nothing before it is to be said
	}
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
			l.notes.Gone = append(l.notes.Gone, absence{*e, e.Time.Add(r.After), r.After})
			l.save()
		}
	}
	if wanted {
		l.add(waiting{event: *e, seq: e.Seq})
	}
}

// forget drops what was to be said of the absence of a device that is back.
func (l *lane) forget(id presence.ID) {
	n := len(l.notes.Gone)
	l.notes.Gone = slices.DeleteFunc(l.notes.Gone, func(a absence) bool { return a.Event.ID == id })
	if len(l.notes.Gone) != n {
		l.save()
	}
}

func (l *lane) add(w waiting) {
	if len(l.waiting) >= maxWaiting {
		l.more++
		return
	}
	l.waiting = append(l.waiting, w)
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

// deliver says the first thing that waits, or all of them in one when they are
// more than a handful, and notes that it was said.
func (l *lane) deliver(ctx context.Context) error {
	if l.sending == nil {
		n := 1
		if len(l.waiting)+l.more > handful || l.limit > 0 && len(l.waiting) > l.limit-len(l.notes.Sent) {
			n = len(l.waiting)
		}
		l.sending = l.waiting[:n]
	}
	more := 0
	if len(l.sending) == len(l.waiting) {
		more = l.more
	}
	m, err := l.render.render(l.message(ctx, l.sending, more))
	if err == nil {
		err = l.out.try(ctx, m)
	}
	if err != nil {
		if ctx.Err() == nil {
			l.failed(err)
		}
		if l.out.busy == nil {
			l.sending = nil // what came meanwhile may go with it
		}
		return err
	}
	l.sent(ctx, more)
	return nil
}

// sent notes that what was under way has arrived.
func (l *lane) sent(ctx context.Context, more int) {
	last := l.sending[len(l.sending)-1]
	l.waiting = l.waiting[len(l.sending):]
	l.more -= more
	l.sending = nil
	now := time.Now()
	l.notes.Sent = append(l.notes.Sent, now.Round(0).UTC())
	l.save()
	switch {
	case len(l.waiting) == 0:
		l.cfg.Notes.SetCursor(l.name, l.read)
	case last.seq > 0:
		l.cfg.Notes.SetCursor(l.name, last.seq)
	}
	// A kill after this repeats nothing.
	settled, cancel := context.WithTimeout(ctx, settleFor)
	defer cancel()
	_ = l.cfg.Notes.Settle(settled) // a bad disk must not hold messages up
	l.tell(func(s *State) {
		if s.Fault != "" {
			l.log.Info("messages arrive again", "service", l.service.Name)
		}
		s.Waiting, s.Fault, s.Since, s.Sent = len(l.waiting)+l.more, "", time.Time{}, now
	})
}

func (l *lane) failed(err error) {
	l.tell(func(s *State) {
		if s.Fault != err.Error() {
			l.log.Warn("a message did not arrive; it will be tried again", "service", l.service.Name, "err", err)
		}
		if s.Fault == "" {
			s.Since = time.Now()
		}
		s.Fault = err.Error()
	})
}

func (l *lane) tell(f func(*State)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.state)
}

// save hands the notes over to be stored with the cursor.
func (l *lane) save() {
	b, err := json.Marshal(l.notes)
	if err != nil {
		l.log.Error("the notes of a service cannot be stored", "err", err)
		return
	}
	l.cfg.Notes.SetMeta(l.name, string(b))
}

// message makes what the templates get.
func (l *lane) message(ctx context.Context, list []waiting, more int) Message {
	m := Message{Digest: len(list)+more > 1, More: more, Link: l.link}
	shown := list[:min(len(list), maxItems)]
	m.More += len(list) - len(shown)
	for _, w := range shown {
		i := Item{Event: w.event, Headline: headline(&w.event), When: w.event.Time.Local()}
		if w.event.ID != "" {
			if d := l.cfg.Devices(ctx, w.event.ID); d != nil {
				i.Groups, i.Kind = d.Groups, d.Kind
			}
			if l.link != "" {
				i.Link = l.link + "devices/" + string(w.event.ID)
			}
		}
		m.Items = append(m.Items, i)
	}
	return m
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
