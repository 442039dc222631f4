package notify

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"porchlight/presence"
)

// Log is the event log; history.Store is one.
type Log interface {
	// After returns events with a higher Seq, in order; none: there are no more.
	After(ctx context.Context, seq int64, limit int) ([]presence.Event, error)
	// Changed returns a channel that is closed when there are new events.
	Changed() <-chan struct{}
}

// Notes keep what was delivered; history.Store is one. What is set by SetCursor
// and SetMeta one after the other is written down together.
type Notes interface {
	Cursor(ctx context.Context, consumer string) (int64, error)
	SetCursor(consumer string, seq int64)
	Meta(key string) string
	SetMeta(key, value string)
	// Settle waits until what was set before is written down.
	Settle(ctx context.Context) error
}

// Config is what a Notifier needs.
type Config struct {
	URLs      string // of the services; see ParseServices
	On        string // the rules; see ParseRules
	Quiet     string // hours such as 22:30-07:00; empty: none
	PerHour   int    // messages to one service in an hour; 0: any number
	Templates string // a directory with the user's templates; empty: ours
	Link      string // the address of the page; empty: it is not told

	Log     Log
	Notes   Notes
	Begin   int64 // the Seq of the last event of the log at the start
	Devices func(context.Context, presence.ID) *presence.Device
	Logger  *slog.Logger
}

// Notifier sends messages.
type Notifier struct {
	cfg   Config
	lanes []*lane
}

// New checks cfg. An error names the setting that is wrong.
func New(cfg Config) (*Notifier, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	services, err := ParseServices(cfg.URLs)
	if err != nil {
		return nil, fmt.Errorf("PORCHLIGHT_NOTIFY_URLS: %w", err)
	}
	rules, err := ParseRules(cfg.On)
	if err != nil {
		return nil, fmt.Errorf("PORCHLIGHT_NOTIFY_ON: %w", err)
	}
	for _, r := range rules {
		if r.To != "" && !slices.ContainsFunc(services, func(s Service) bool { return s.Name == r.To }) {
			return nil, fmt.Errorf("PORCHLIGHT_NOTIFY_ON: there is no service %q; there are %s", r.To, namesOf(services))
		}
	}
	quiet, err := ParseQuiet(cfg.Quiet)
	if err != nil {
		return nil, fmt.Errorf("PORCHLIGHT_NOTIFY_QUIET %q: %w", cfg.Quiet, err)
	}
	render, err := newTemplates(cfg.Templates)
	if err != nil {
		return nil, fmt.Errorf("PORCHLIGHT_NOTIFY_TEMPLATES: %w", err)
	}
	plain, err := newTemplates("")
	if err != nil {
		return nil, err
	}
	n := &Notifier{cfg: cfg}
	for i := range services {
		s := &services[i]
		for _, urgent := range []bool{false, true} {
			if l := n.newLane(s, rules, urgent); len(l.rules) > 0 {
				l.render, l.plain = render, plain
				if !urgent {
					l.quiet, l.limit = quiet, cfg.PerHour
				}
				n.lanes = append(n.lanes, l)
			}
		}
	}
	return n, nil
}

func (n *Notifier) newLane(s *Service, rules []Rule, urgent bool) *lane {
	l := &lane{
		name: "notify:" + s.id, service: s, link: n.cfg.Link,
		out: outbox{send: s.send}, cfg: &n.cfg, log: n.cfg.Logger, state: State{Service: s.Name},
	}
	if urgent {
		l.name += ":urgent"
	}
	if l.link != "" && !strings.HasSuffix(l.link, "/") {
		l.link += "/"
	}
	for _, r := range rules {
		if r.Urgent == urgent && (r.To == "" || r.To == s.Name) {
			l.rules = append(l.rules, r)
		}
	}
	return l
}

func namesOf(services []Service) string {
	names := make([]string, 0, len(services))
	for _, s := range services {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

// Run delivers until ctx ends, and returns nil then.
func (n *Notifier) Run(ctx context.Context) error {
	var g errgroup.Group
	for _, l := range n.lanes {
		g.Go(func() error { return l.run(ctx) })
	}
	return g.Wait()
}

// States says how each service fares.
func (n *Notifier) States() (states []State) {
	for _, l := range n.lanes {
		l.mu.Lock()
		s := l.state
		l.mu.Unlock()
		if i := slices.IndexFunc(states, func(o State) bool { return o.Service == s.Service }); i >= 0 {
			s.Waiting += states[i].Waiting
			if s.Fault == "" {
				s.Fault, s.Since = states[i].Fault, states[i].Since
			}
			if states[i].Sent.After(s.Sent) {
				s.Sent = states[i].Sent
			}
			states[i] = s
			continue
		}
		states = append(states, s)
	}
	return states
}

// Problems says in words which services do not get their messages.
func (n *Notifier) Problems() (all []string) {
	for _, s := range n.States() {
		if s.Fault != "" {
			all = append(all, fmt.Sprintf("messages by %s do not arrive: %s", s.Service, s.Fault))
		}
	}
	return all
}

// Test sends a message to each service at once, and reports what came of it, in
// words and without secrets; nil: it was taken.
func Test(ctx context.Context, cfg Config, report func(service string, err error)) error {
	services, err := ParseServices(cfg.URLs)
	if err != nil {
		return fmt.Errorf("PORCHLIGHT_NOTIFY_URLS: %w", err)
	}
	render, err := newTemplates(cfg.Templates)
	if err != nil {
		return fmt.Errorf("PORCHLIGHT_NOTIFY_TEMPLATES: %w", err)
	}
	items := sample()
	items[0].Headline = "A message to try whether messages arrive"
	m, err := render.render(Message{Items: items, Link: cfg.Link})
	if err != nil {
		return err
	}
	for i := range services {
		out := outbox{send: services[i].send}
		report(services[i].Name, out.try(ctx, m))
	}
	return nil
}
