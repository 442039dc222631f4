package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

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

// plan is what the settings say.
type plan struct {
	services []Service
	rules    []Rule
	quiet    Quiet
	render   *templates
}

// read reads the settings. An error has a line for each variable that is wrong,
// and no secret.
func (c *Config) read() (p plan, err error) {
	var all []error
	note := func(variable string, err error) {
		if err != nil {
			all = append(all, fmt.Errorf("PORCHLIGHT_%s: %w", variable, err))
		}
	}
	p.services, err = ParseServices(c.URLs)
	note("NOTIFY_URLS", err)
	known := err == nil
	if p.rules, err = ParseRules(c.On); err == nil && known {
		err = unknownService(p.rules, p.services)
	}
	note("NOTIFY_ON", err)
	if p.quiet, err = ParseQuiet(c.Quiet); err != nil {
		err = fmt.Errorf("%q: %w", c.Quiet, err)
	}
	note("NOTIFY_QUIET", err)
	p.render, err = newTemplates(c.Templates)
	note("NOTIFY_TEMPLATES", err)
	return p, errors.Join(all...)
}

// unknownService says which rule is for a service that is not there. Without any
// services, rules are for later.
func unknownService(rules []Rule, services []Service) error {
	for _, r := range rules {
		if r.To != "" && len(services) > 0 && !slices.ContainsFunc(services, func(s Service) bool { return s.Name == r.To }) {
			return fmt.Errorf("there is no service %q; there are %s", r.To, namesOf(services))
		}
	}
	return nil
}

// Check says what is wrong with the settings in cfg, a line for each variable. It
// asks no service.
func Check(cfg Config) error {
	_, err := cfg.read()
	return err
}

// Plan says in words, and without secrets, what cfg has told, and where.
func Plan(cfg Config) (services []string, rules []Rule, err error) {
	p, err := cfg.read()
	for _, s := range p.services {
		services = append(services, s.Name)
	}
	return services, p.rules, err
}

// New checks cfg, as Check does.
func New(cfg Config) (*Notifier, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p, err := cfg.read()
	if err != nil {
		return nil, err
	}
	plain, err := newTemplates("")
	if err != nil {
		return nil, err
	}
	n := &Notifier{cfg: cfg}
	for i := range p.services {
		s := &p.services[i]
		for _, urgent := range []bool{false, true} {
			if l := n.newLane(s, p.rules, urgent); len(l.rules) > 0 {
				l.render, l.plain = p.render, plain
				if !urgent {
					l.quiet, l.limit = p.quiet, cfg.PerHour
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
		out: outbox{send: (&line{service: s}).send}, cfg: &n.cfg, log: n.cfg.Logger, state: State{Service: s.Name},
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
	p, err := cfg.read()
	if err != nil {
		return err
	}
	now := time.Now()
	items := []Item{{
		Event: presence.Event{Time: now, Why: "porchlight notify --test was run"}, When: now,
		Headline: "A message to try whether messages arrive",
	}}
	m, err := p.render.render(Message{Items: items, Link: cfg.Link})
	if err != nil {
		return err
	}
	m.id = fmt.Sprint("try", time.Now().UnixNano())
	for i := range p.services {
		out := outbox{send: (&line{service: &p.services[i]}).send}
		report(p.services[i].Name, out.try(ctx, m, func() {}))
	}
	return nil
}
