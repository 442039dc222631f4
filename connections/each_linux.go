package connections

import (
	"context"
	"fmt"
	"time"
)

// Each calls f with each snapshot from first to last by their numbers, in that
// order. Nothing is locked meanwhile, so f may take its time; what is deleted
// before it is reached is left out.
func (s *Store) Each(ctx context.Context, first, last int64, f func(*Snapshot) error) error {
	for next := first; next <= last; {
		rows, err := s.group(ctx, next)
		if err != nil {
			return fmt.Errorf("reading the snapshots from %d on: %w", next, err)
		}
		if len(rows) == 0 {
			return nil
		}
		base := &packed{}
		for _, row := range rows {
			if base, err = decode(row.data, base); err != nil {
				return fmt.Errorf("reading snapshot %d: %w", row.Number, err)
			}
			if row.Number < next || row.Number > last {
				continue
			}
			found := row.Snapshot
			found.Missing = base.missing
			if found.Connections, err = base.unpack(); err != nil {
				return fmt.Errorf("reading snapshot %d: %w", row.Number, err)
			}
			found.settle()
			if err := f(&found); err != nil {
				return err
			}
		}
		next = rows[len(rows)-1].Number + 1
	}
	return nil
}

// stored is a snapshot as it is stored.
type stored struct {
	Snapshot
	data []byte
}

// group reads a whole snapshot and those that build on it: with the number, or
// with the next one that there is. None: there are no more.
func (s *Store) group(ctx context.Context, number int64) (all []stored, err error) {
	rows, err := s.db.QueryContext(ctx, `SELECT number, whole, time, boot, uptime, data FROM snapshots
		WHERE number >= (SELECT whole FROM snapshots WHERE number >= ? ORDER BY number LIMIT 1) ORDER BY number`, number)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	begun := int64(0)
	for rows.Next() {
		var r stored
		var whole, ms, uptime int64
		if err := rows.Scan(&r.Number, &whole, &ms, &r.Boot, &uptime, &r.data); err != nil {
			return nil, err
		}
		if begun == 0 {
			begun = whole
		}
		if whole != begun {
			break
		}
		if r.Number != begun+int64(len(all)) {
			return nil, fmt.Errorf("snapshot %d: %w", r.Number, errDamaged)
		}
		r.Time, r.Uptime = time.UnixMilli(ms), time.Duration(uptime)*time.Millisecond
		all = append(all, r)
	}
	return all, rows.Err()
}
