package history

import (
	"context"
	"sync"
)

// Settle waits until every cursor and setting that was set before is in the
// database: no end of the process takes it back. An error means that it is not
// there yet; it will be written when it can.
func (s *Store) Settle(ctx context.Context) error {
	written := make(chan struct{})
	var once sync.Once // a job may be tried again
	s.due(0, true)
	s.do(func(*database) error { // it comes after what waits
		once.Do(func() { close(written) })
		return nil
	})
	select {
	case <-written:
		return nil
	case <-s.done:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Behind returns, for each consumer of this run, how many events it has not
// acknowledged. Of those that memory no longer holds, which are all but the last
// 1,024, numbers that were left out after an unclean end count, too.
func (s *Store) Behind() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	behind := make(map[string]int64, len(s.notes.live))
	for consumer := range s.notes.live {
		cursor := s.notes.cursors[consumer]
		behind[consumer] = int64(len(s.tail.events) - s.tail.index(cursor))
		if !s.blind {
			behind[consumer] += max(s.tail.floor-cursor, 0)
		}
	}
	return behind
}

// Head returns the Seq of the newest event of the log, 0 when it has none.
func (s *Store) Head() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seq
}
