package demo

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"porchlight/lab"
	"porchlight/presence"
)

const (
	observerInterface = "lan0"
	// A beat that takes longer than this has failed.
	beatTimeout = time.Minute
	// announceEvery is how often the camera says that it is there.
	announceEvery = 5 * time.Second
)

// stage is the virtual LAN with everything of the household on it.
type stage struct {
	lab     *lab.Lab
	obs     *lab.Observer
	things  []thing
	clients map[string]*lab.Client
	played  map[string]*lab.Device

	mu     sync.Mutex // over both, so that a wake and an outage agree
	silent bool       // the access point is down
	place  map[string]place
}

// raise raises the LAN with everything on it that is not away. The caller
// closes it.
func raise(ctx context.Context) (s *stage, err error) {
	s = &stage{clients: map[string]*lab.Client{}, played: map[string]*lab.Device{}, place: map[string]place{}}
	if s.lab, err = lab.New(ctx, lab.Options{}); err != nil {
		return nil, err
	}
	if err := s.furnish(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) close() { _ = s.lab.Close() }

func (s *stage) furnish(ctx context.Context) (err error) {
	s.things = household(s.lab.Gateway().MAC())
	if s.obs, err = s.lab.Observer(observerInterface, lab.WithAddr(s.lab.Static(0))); err != nil {
		return err
	}
	people, err := s.lab.Population()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	for i, t := range s.things {
		switch t.body {
		case played:
			d, err := people.Add(lab.Identity{MAC: t.mac, Addr: s.lab.Static(i + 10), HostName: t.host}, lab.Behaviour{Asleep: t.away})
			if err != nil {
				return err
			}
			s.played[t.key] = d
		case client, static:
			options := []lab.HostOption{lab.WithMAC(t.mac), lab.WithHostName(t.host)}
			if t.body == static {
				options = append(options, lab.WithAddr(s.lab.Static(i+10)))
			}
			c, err := s.lab.Client(t.key, options...)
			if err != nil {
				return err
			}
			s.clients[t.key] = c
			if t.habit != stranger { // all who are known get a lease before the curtain rises
				g.Go(func() error { return c.Join(ctx) })
			}
		}
	}
	return g.Wait()
}

// addrs returns the address of each thing that has one.
func (s *stage) addrs() map[string]netip.Addr {
	addrs := map[string]netip.Addr{}
	for key, c := range s.clients {
		addrs[key] = c.Addr()
	}
	for key, d := range s.played {
		addrs[key] = d.Addr
	}
	addrs["router"] = s.lab.Gateway().Addr()
	return addrs
}

// dismiss sends those away who are not there when the story begins.
func (s *stage) dismiss() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, t := range s.things {
		if !t.away {
			continue
		}
		s.place[t.key] = out
		if c := s.clients[t.key]; c != nil {
			errs = append(errs, c.Leave())
		}
	}
	return errors.Join(errs...)
}

// perform carries one beat out. Beats of one thing do not overlap.
func (s *stage) perform(ctx context.Context, b beat) (err error) {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	switch b.do {
	case end:
	case down, up:
		err = s.outage(b.do == down)
	case pull:
		err = s.obs.Unplug()
	case plug:
		err = s.obs.Plug(ctx)
	default:
		if err = s.act(ctx, b); err == nil && b.do == wake {
			err = s.speak(b.who)
		}
	}
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("playing %q: %w", b.say, err)
	}
	return nil
}

// act lets one thing come, go, sleep or wake.
func (s *stage) act(ctx context.Context, b beat) error {
	s.mu.Lock()
	s.place[b.who] = becomes[b.do].to
	s.mu.Unlock()
	c := s.clients[b.who]
	if c == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.reach(b.who)
		if b.do == join {
			_, err := s.played[b.who].Request()
			return err
		}
		return nil
	}
	switch b.do {
	case leave, drop:
		return c.Leave()
	case join, rejoin:
		return c.Join(ctx)
	case sleep:
		return c.Sleep()
	}
	return c.Wake()
}

// speak has a thing that woke say something by itself, as it wants to know what
// it missed.
func (s *stage) speak(key string) error {
	d := s.played[key]
	if d == nil {
		_, err := s.clients[key].Announce()
		return err
	}
	_, err := d.Ask(s.lab.Gateway().Addr())
	return err
}

// reach makes a played thing answer, or not. The caller holds mu.
func (s *stage) reach(key string) {
	if s.silent || s.place[key] != there {
		s.played[key].Sleep()
	} else {
		s.played[key].Wake()
	}
}

// outage takes the access point down, or up again: everything on Wi-Fi keeps
// its state and is not heard.
func (s *stage) outage(silent bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = silent
	var errs []error
	for _, t := range s.things {
		c := s.clients[t.key]
		switch {
		case t.wired:
		case t.body == played:
			s.reach(t.key)
		case s.place[t.key] != there:
		case silent:
			errs = append(errs, c.Sleep())
		default:
			errs = append(errs, c.Wake())
		}
	}
	return errors.Join(errs...)
}

// live lets the things do by themselves what they do all day, until ctx ends.
func (s *stage) live(ctx context.Context) error {
	tick := time.NewTicker(announceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s.mu.Lock()
		silent := s.silent
		s.mu.Unlock()
		if !silent {
			if _, err := s.played["camera"].Announce(); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// truths is the household as it is when the curtain rises.
func (s *stage) truths() map[presence.ID]*truth {
	all := map[presence.ID]*truth{}
	for _, t := range s.things {
		tr := &truth{thing: t}
		if t.away {
			tr.place = out
		}
		all[t.mac.ID()] = tr
	}
	return all
}
