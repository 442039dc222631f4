package listen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"porchlight/discovery"
	"porchlight/mqtt"
	"porchlight/presence"
)

// Config says what to follow, and how to show it.
type Config struct {
	Broker mqtt.Config          // address and credentials; the rest is not used
	Prefix string               // of the topics: "porchlight"
	Node   string               // empty: all
	Types  []presence.EventType // empty: all

	Out     io.Writer
	Line    func(presence.Event) string // how an event is printed; nil: JSON Lines, the payload with its node
	Desktop bool                        // also as notifications: those of Types, or new devices
	Log     *slog.Logger

	show func(title, body string) error // replaces the desktop in tests
}

// listener is one Run.
type listener struct {
	cfg     Config
	topics  discovery.Topics // Node is + for all
	inbox   *inbox
	seen    seen
	toasts  *toaster // nil: none
	ignored int      // messages that were no events, since the last warning
	warned  time.Time
}

// Run follows until ctx is cancelled, and returns nil then. It connects again by
// itself. An error is about the configuration, or that the output takes no more.
func Run(ctx context.Context, cfg Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &listener{
		cfg:    cfg,
		topics: discovery.Topics{Prefix: cfg.Prefix, Node: cfg.Node},
		inbox:  newInbox(),
	}
	if cfg.Node == "" {
		l.topics.Node = "+"
	}
	cfg.Broker.Log = cfg.Log
	following, printing, toasting := make(chan error, 1), make(chan error, 1), make(chan struct{})
	if cfg.Desktop {
		l.toasts = newToaster(cfg)
		go func() { l.toasts.run(ctx); close(toasting) }()
	} else {
		close(toasting)
	}
	go func() {
		following <- mqtt.Follow(ctx, cfg.Broker, []string{l.topics.Event(), l.topics.Summary()}, l.inbox)
	}()
	go func() { printing <- l.print(ctx) }()
	var err error
	select {
	case err = <-following:
		following <- nil // for the wait below
	case err = <-printing:
		printing <- nil
	case <-ctx.Done():
	}
	cancel()
	<-toasting
	deadline := time.After(stuck)
	for _, ending := range []chan error{following, printing} {
		select {
		case more := <-ending:
			err = errors.Join(err, more)
		case <-deadline:
			return err
		}
	}
	return err
}

// stuck is how long the end waits for a line that is being printed, which
// nobody may read, and for a connection that is being made.
const stuck = 200 * time.Millisecond

// print shows what comes until ctx ends or the output takes no more.
func (l *listener) print(ctx context.Context) error {
	for {
		messages, lost := l.inbox.take()
		for i := 0; i < len(messages) && ctx.Err() == nil; i++ {
			if err := l.handle(messages[i]); err != nil {
				return fmt.Errorf("printing an event: %w", err)
			}
		}
		if lost > 0 {
			l.cfg.Log.Warn("the output is read too slowly: messages are missing in it", "messages", lost)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.inbox.ready:
		}
	}
}

func (l *listener) handle(m mqtt.Message) error {
	switch node, leaf := l.parseTopic(m.Topic); leaf {
	case "":
		l.seen.reconnected()
	case "summary":
		l.greet(node, m)
	default:
		return l.event(node, m)
	}
	return nil
}

// greet says once for each node how many are at home.
func (l *listener) greet(node string, m mqtt.Message) {
	if sum, ok := parseSummary(m.Payload); ok && l.seen.greet(node) {
		l.cfg.Log.Info("at home now", "node", node, "home", sum.Home, "known", sum.Known)
	}
}

func (l *listener) event(node string, m mqtt.Message) error {
	if m.Retained {
		l.ignore(m.Topic, errRetained)
		return nil
	}
	e, err := parseEvent(m.Payload)
	if err != nil {
		l.ignore(m.Topic, err)
		return nil
	}
	again, missed := l.seen.check(node, &e)
	if missed > 0 {
		l.cfg.Log.Warn("events were missed while there was no connection; porchlight events has them, on the machine that it runs on",
			"node", node, "events", missed)
	}
	if again || len(l.cfg.Types) > 0 && !slices.Contains(l.cfg.Types, e.Type) {
		return nil
	}
	if l.toasts != nil {
		l.toasts.offer(node, l.seen.several(), e)
	}
	return l.write(node, e, m.Payload)
}

func (l *listener) write(node string, e presence.Event, payload []byte) error {
	var line string
	switch {
	case l.cfg.Line == nil:
		line = jsonLine(node, payload)
	case l.cfg.Node == "":
		line = fmt.Sprintf("%-12s  %s", node, l.cfg.Line(e))
	default:
		line = l.cfg.Line(e)
	}
	_, err := io.WriteString(l.cfg.Out, line+"\n")
	return err
}

const warnEvery = time.Minute

// ignore says at long intervals that messages were no events.
func (l *listener) ignore(topic string, why error) {
	l.ignored++
	if now := time.Now(); now.Sub(l.warned) >= warnEvery {
		l.cfg.Log.Warn("ignored what is no event of a Porchlight",
			"topic", presence.CleanText(topic, maxWhy), "why", presence.CleanText(why.Error(), maxWhy), "messages", l.ignored)
		l.ignored, l.warned = 0, now
	}
}
