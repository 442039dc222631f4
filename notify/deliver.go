package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

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
	m := l.fit(ctx, l.sending, more)
	m.id = l.messageID()
	err := l.out.try(ctx, m, func() { l.begun(ctx) })
	var some partly
	if errors.As(err, &some) {
		l.log.Warn("a message did not reach all its receivers", "service", l.service.Name, "err", err)
		err = nil
	}
	if err != nil {
		if l.out.busy == nil {
			l.refused()
		}
		if ctx.Err() == nil {
			l.failed(err)
		}
		return err
	}
	l.sent(ctx, more)
	return nil
}

// messageID names what is under way, the same at each try.
func (l *lane) messageID() string {
	h := sha256.New()
	fmt.Fprintln(h, l.name)
	for i := range l.sending {
		w := &l.sending[i]
		fmt.Fprintln(h, w.key(), w.event.Time.UnixNano())
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// begun notes that what is now sent may arrive. Of a service that did not work
// just now it is not believed.
func (l *lane) begun(ctx context.Context) {
	if l.notes.Failing {
		return
	}
	if l.notes.Tries == nil {
		l.notes.Tries = map[string]int{}
	}
	for i := range l.sending {
		l.notes.Tries[l.sending[i].key()]++
	}
	l.save()
	l.settle(context.WithoutCancel(ctx))
}

// refused notes that what was under way has not arrived. What came meanwhile may
// go with it the next time.
func (l *lane) refused() {
	l.notes.Failing = true
	for i := range l.sending {
		delete(l.notes.Tries, l.sending[i].key())
	}
	l.sending = nil
	l.save()
}

// done takes w out of the notes.
func (l *lane) done(w waiting) {
	delete(l.notes.Tries, w.key())
	if w.absent {
		l.notes.Gone = slices.DeleteFunc(l.notes.Gone, func(a absence) bool { return a.queued && a.Event.Seq == w.event.Seq })
	}
}

// settle waits until the notes are written down: a kill after that repeats
// nothing. A bad disk does not hold messages up.
func (l *lane) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleFor)
	defer cancel()
	_ = l.cfg.Notes.Settle(ctx)
}

// sent notes that what was under way has arrived.
func (l *lane) sent(ctx context.Context, more int) {
	for _, w := range l.sending {
		l.done(w)
	}
	l.notes.Failing = false
	l.waiting = l.waiting[len(l.sending):]
	l.more -= more
	l.sending = nil
	now := time.Now()
	l.notes.Sent = append(l.notes.Sent, now.Round(0).UTC())
	l.moveCursor() // first, so that the notes are never ahead of it
	l.save()
	l.settle(context.WithoutCancel(ctx))
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

// fit renders a message that the service takes: of a long list it has as many as
// there is room for.
func (l *lane) fit(ctx context.Context, list []waiting, more int) rendered {
	list = slices.Clone(list)
	for {
		msg := l.message(ctx, list, more)
		m, err := l.render.render(msg)
		if err != nil {
			l.log.Warn("a message is sent as it comes, since a template fails", "err", err)
			m, _ = l.plain.render(msg)
		}
		if len(m.text) <= l.service.room() || len(list) == 1 {
			return m
		}
		half := len(list) / 2
		list, more = list[:len(list)-half], more+half
	}
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
		if s := w.event.Socket; s != nil && l.link != "" {
			i.Link = l.link + "connections?program=" + url.QueryEscape(s.Program)
		}
		m.Items = append(m.Items, i)
	}
	return m
}
