package connections

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"
)

// Newest returns up to limit snapshots with numbers below before (0: any), the
// newest first. There may be a hundred thousand: List reads all of them.
func (s *Store) Newest(ctx context.Context, before int64, limit int) (all []Entry, err error) {
	if before <= 0 {
		before = math.MaxInt64
	}
	rows, err := s.db.QueryContext(ctx, "SELECT number, time, connections, listeners, length(data), boot FROM snapshots WHERE number < ? ORDER BY number DESC LIMIT ?", before, limit)
	if err != nil {
		return nil, fmt.Errorf("listing the snapshots: %w", err)
	}
	return entries(rows)
}

// Before returns the number of the newest snapshot that was taken before t, or of
// the oldest one if none was; 0: there is none. It halves: times follow the
// numbers but for a clock that was set, and numbers have few gaps.
func (s *Store) Before(ctx context.Context, t time.Time) (number int64, err error) {
	var first, last int64
	if err := s.db.QueryRowContext(ctx, "SELECT coalesce(min(number), 0), coalesce(max(number), 0) FROM snapshots").Scan(&first, &last); err != nil {
		return 0, fmt.Errorf("looking for a snapshot: %w", err)
	}
	number = first
	for low, high := first, last; low <= high && high > 0; {
		middle := low + (high-low+1)/2
		var n, ms int64
		err := s.db.QueryRowContext(ctx, "SELECT number, time FROM snapshots WHERE number <= ? ORDER BY number DESC LIMIT 1", middle).Scan(&n, &ms)
		if errors.Is(err, sql.ErrNoRows) { // they were deleted meanwhile
			low = middle + 1
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("looking for a snapshot: %w", err)
		}
		if ms < t.UnixMilli() {
			number, low = n, middle+1
		} else {
			high = n - 1
		}
	}
	return number, nil
}
