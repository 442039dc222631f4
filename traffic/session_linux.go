package traffic

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"porchlight/capture"
)

// maxNames is how many names of interfaces are kept when some have gone.
const maxNames = 2 * capture.MaxHeard

// session records without interruption. Its goroutines are the one that called
// record, one that reads the ring, and the survey.
type session struct {
	*Recorder
	ring *capture.Ring
	open window

	mu    sync.Mutex // the reader's, while it counts a block
	tally *Tally
	names map[int]string // of interfaces, those that have gone too: of some, packets are still in the ring
	heard []int          // the indexes of those that are there

	since time.Time // when counting for this round began; zero: it has not
}

// record records until ctx ends, and returns nil then, or until something fails.
// What was counted until then is a round of its own.
func (r *Recorder) record(ctx context.Context) error {
	links, err := capture.WatchInterfaces()
	if err != nil {
		return err
	}
	defer links.Close()
	ring, err := capture.OpenRing(SnapLen)
	if err != nil {
		return err
	}
	defer ring.Close()
	s := &session{Recorder: r, ring: ring, names: map[int]string{}}
	s.tally = NewTally(func(index int) string { return s.names[index] })

	inner, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	var helpers sync.WaitGroup
	helpers.Go(func() { ended <- s.read() })
	helpers.Go(func() { r.survey.run(inner, r.cfg.Round) })
	err = s.follow(inner, links, ended)
	cancel()
	ring.Stop()
	stopped := time.Now()
	helpers.Wait()
	s.cut(stopped)
	r.survey.end()
	r.ended()
	return err
}

// follow has the ring hear the interfaces that come and go, and ends each round
// in time.
func (s *session) follow(ctx context.Context, links *capture.Interfaces, ended <-chan error) error {
	if err := s.hearAll(links); err != nil {
		return err
	}
	s.begun()
	s.begin(time.Now())
	tick := time.NewTimer(s.open.wait(time.Now()))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			return fmt.Errorf("reading packets: %w", err)
		case _, ok := <-links.Changed():
			if !ok {
				return errors.New("the kernel had more to tell of interfaces than it had room for")
			}
			if err := s.hearAll(links); err != nil {
				return err
			}
		case <-tick.C:
			if now := time.Now(); !s.open.holds(now) {
				s.cut(now)
			}
			tick.Reset(s.open.wait(time.Now()))
		}
	}
}

// hearAll has the ring hear the interfaces that are chosen now.
func (s *session) hearAll(links *capture.Interfaces) error {
	all, err := links.List()
	if err != nil {
		return err
	}
	chosen, missing := choose(all, s.cfg.Interfaces)
	s.miss(missing)
	s.mu.Lock()
	s.heard = s.heard[:0]
	for _, c := range chosen {
		s.heard = append(s.heard, c.Index)
		s.names[c.Index] = c.Name
	}
	s.mu.Unlock()
	return s.ring.Hear(s.heard)
}

// read counts what passes until the ring stops.
func (s *session) read() error {
	var p Packet
	count := func(c *capture.Packet) {
		p = Packet{At: c.At, Interface: c.Index, Direction: In, EtherType: c.EtherType, Length: c.Length, Data: c.Data}
		if c.Out {
			p.Direction = Out
		}
		s.tally.Add(&p)
	}
	for {
		err := s.ring.Wait()
		s.mu.Lock()
		more := s.ring.Take(count)
		s.mu.Unlock()
		if more {
			continue
		}
		if err != nil {
			return err
		}
	}
}

// begin begins a round.
func (s *session) begin(now time.Time) {
	s.open = windowAt(now, s.cfg.Round)
	s.since = now
}

// cut ends the round, hands it over, and begins the one that now is in.
func (s *session) cut(now time.Time) {
	if s.since.IsZero() {
		return
	}
	devices := s.survey.deviceNames()
	s.mu.Lock()
	r := s.tally.Cut(devices, s.cfg.Top)
	if len(s.names) > maxNames {
		maps.DeleteFunc(s.names, func(index int, _ string) bool { return !slices.Contains(s.heard, index) })
	}
	s.mu.Unlock()
	r.Start, r.Length = s.open.start, s.open.length
	r.Counted = min(now.Sub(s.since), r.Length)
	r.Ports = s.survey.take()
	r.Dropped = s.ring.Dropped()
	s.begin(now)
	s.backlog.add(r)
}
