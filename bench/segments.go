package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"porchlight/lab"
	"porchlight/presence"
)

// segments are what the observer hears beside the first segment.
type segments struct {
	labs       []*lab.Lab
	interfaces string        // the observer's, with that of the first, comma-separated
	devices    []*lab.Device // who stays there
	roamers    []*roamer
}

// roamer is a device that is in two segments in turn. Where it is not it sleeps.
type roamer struct{ here, there *lab.Device }

const (
	roamEvery = 2 * time.Second // one goes to its other segment so often
	roamOneIn = 25              // devices
)

// more raises n further segments with that many devices each.
func (l *lan) more(ctx context.Context, n, devices int, b lab.Behaviour) (s *segments, err error) {
	s = &segments{interfaces: l.obs.Interface()}
	pops := make([]*lab.Population, n)
	for i := range n {
		a := l.Prefix().Addr().As4()
		a[1] += byte(i + 1)
		one, err := lab.New(ctx, lab.Options{Prefix: netip.PrefixFrom(netip.AddrFrom4(a), l.Prefix().Bits()), NoGateway: true})
		if err != nil {
			return s, err
		}
		s.labs = append(s.labs, one)
		ifname := fmt.Sprintf("lan%d", i+1)
		if _, err = one.Attach(l.obs.Host, ifname, lab.WithAddr(one.Static(0))); err != nil {
			return s, err
		}
		s.interfaces += "," + ifname
		if pops[i], err = one.Population(); err != nil {
			return s, err
		}
		added, err := pops[i].AddMany(devices, one.Static(16), b)
		if err != nil {
			return s, err
		}
		s.devices = append(s.devices, added...)
	}
	b.Asleep = true
	for i := 0; i < len(s.devices); i += roamOneIn {
		to := (i/devices + 1) % n
		id := s.devices[i].Identity
		id.Addr = s.labs[to].Static(16 + devices + i%devices)
		there, err := pops[to].Add(id, b)
		if err != nil {
			return s, err
		}
		s.roamers = append(s.roamers, &roamer{here: s.devices[i], there: there})
	}
	s.devices = slices.DeleteFunc(s.devices, s.roams)
	return s, nil
}

func (s *segments) roams(d *lab.Device) bool {
	return slices.ContainsFunc(s.roamers, func(r *roamer) bool { return r.here == d })
}

// all returns who is there at first.
func (s *segments) all() []*lab.Device {
	all := slices.Clone(s.devices)
	for _, r := range s.roamers {
		all = append(all, r.here)
	}
	return all
}

func (s *segments) close() {
	for _, l := range slices.Backward(s.labs) {
		_ = l.Close()
	}
}

// roam has one roamer after the other go to its other segment, join there by
// DHCP, and say no more than it is asked. What is returned waits until ctx has
// ended, and returns how many moves there were.
func (s *segments) roam(ctx context.Context) func() (moves int, err error) {
	moves, done := 0, make(chan error, 1)
	go func() {
		for len(s.roamers) > 0 && pause(ctx, roamEvery) == nil {
			if err := s.roamers[moves%len(s.roamers)].move(); err != nil {
				done <- err
				return
			}
			moves++
		}
		done <- nil
	}()
	return func() (int, error) {
		err := <-done
		return moves, err
	}
}

func (r *roamer) move() error {
	r.here.Sleep()
	r.here, r.there = r.there, r.here
	r.here.Wake()
	_, err := r.here.Request()
	return err
}

// flickers returns how many devices the event log has as left.
func (d *daemon) flickers(ctx context.Context) (n int, err error) {
	events, err := d.events(ctx)
	left := map[presence.ID]bool{}
	for _, e := range events {
		if e.Type == presence.Left {
			left[e.ID] = true
		}
	}
	return len(left), err
}
