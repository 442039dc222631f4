package listen

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"porchlight/presence"
)

// A flood of events is not a flood of notifications: after toastBurst of them
// the rest is counted and told in one, at intervals that grow as long as it goes
// on.
const (
	toastBurst   = 3
	toastPause   = 10 * time.Second
	toastMost    = 10 * time.Minute
	toastNamed   = 5 // names in the one about the rest
	toastTimeout = 10 * time.Second
)

var errDesktopSilent = errors.New("the notification service does not answer")

// newcomers are the types that are shown unless others are asked for.
var newcomers = []presence.EventType{presence.NewDevice, presence.NewGuests}

// toaster shows events as notifications.
type toaster struct {
	types []presence.EventType
	show  func(title, body string) error
	log   *slog.Logger
	in    chan toast
	extra atomic.Int64 // that found no room in in
	mute  bool         // it was said that there are none
}

// toast is an event to be shown.
type toast struct {
	node string // empty where it need not be told
	presence.Event
}

func newToaster(cfg Config) *toaster {
	t := &toaster{types: cfg.Types, show: cfg.show, log: cfg.Log, in: make(chan toast, 16)}
	if len(t.types) == 0 {
		t.types = slices.Clone(newcomers)
	}
	if t.show == nil {
		t.show = newDesktop()
		t.report(desktopThere()) // at once, not when something happens
	}
	return t
}

// offer hands over an event, and never waits.
func (t *toaster) offer(node string, several bool, e presence.Event) {
	if !slices.Contains(t.types, e.Type) {
		return
	}
	if !several {
		node = ""
	}
	select {
	case t.in <- toast{node, e}:
	default:
		t.extra.Add(1)
	}
}

// run shows until ctx ends.
func (t *toaster) run(ctx context.Context) {
	var (
		shown int      // in this interval
		rest  int      // not shown in it
		names []string // of the rest
		pause = toastPause
		timer = time.NewTimer(time.Hour)
	)
	timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-t.in:
			if shown == 0 {
				timer.Reset(pause)
			}
			if shown < toastBurst {
				shown++
				t.present(ctx, n)
				continue
			}
			rest++
			if len(names) < toastNamed && n.Name != "" {
				names = append(names, n.Name)
			}
		case <-timer.C:
			rest += int(t.extra.Swap(0))
			if rest == 0 {
				shown, pause = 0, toastPause
				continue
			}
			t.say(ctx, t.more(rest), strings.Join(names, ", "))
			rest, names, pause = 0, nil, min(2*pause, toastMost)
			timer.Reset(pause)
		}
	}
}

// more tells of n events that are not shown one by one.
func (t *toaster) more(n int) string {
	what := "event"
	if !slices.ContainsFunc(t.types, func(e presence.EventType) bool { return !slices.Contains(newcomers, e) }) {
		what = "new device"
	}
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("and %d more %s", n, what)
}

func (t *toaster) present(ctx context.Context, n toast) {
	title, body := words(n.node, n.Event)
	t.say(ctx, title, body)
}

// say shows one notification. It waits for a service that does not answer, so
// that calls do not pile up.
func (t *toaster) say(ctx context.Context, title, body string) {
	done := make(chan error, 1)
	go func() { done <- t.show(title, body) }()
	select {
	case err := <-done:
		t.report(err)
		return
	case <-ctx.Done():
		return
	case <-time.After(toastTimeout):
		t.report(errDesktopSilent)
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// report says once that notifications cannot be shown; events are printed all
// the same.
func (t *toaster) report(err error) {
	if err != nil && !t.mute {
		t.log.Warn("no notification can be shown; events are still printed here", "why", err)
	}
	t.mute = err != nil
}
