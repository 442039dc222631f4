package history

import (
	"context"
	"database/sql"
	"fmt"
)

const (
	upsertCursor = `INSERT INTO cursors (consumer, seq) VALUES (?,?)
		ON CONFLICT (consumer) DO UPDATE SET seq = max(seq, excluded.seq)`
	upsertMeta = `INSERT INTO meta (key, value) VALUES (?,?)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value`
)

// notes holds the cursors and settings as they should stand in the database,
// and which do not stand there yet.
type notes struct {
	cursors map[string]int64
	moved   map[string]bool // cursors to be written, within a second
	live    map[string]bool // consumers that were heard of since the start
	meta    map[string]string
	set     map[string]bool // settings to be written now
}

func newNotes() notes {
	return notes{
		make(map[string]int64), make(map[string]bool), make(map[string]bool),
		make(map[string]string), make(map[string]bool),
	}
}

// take removes what is to be written.
func (n *notes) take(cursors bool) (moved map[string]int64, set map[string]string) {
	if cursors && len(n.moved) > 0 {
		moved = make(map[string]int64, len(n.moved))
		for consumer := range n.moved {
			moved[consumer] = n.cursors[consumer]
		}
		clear(n.moved)
	}
	if len(n.set) > 0 {
		set = make(map[string]string, len(n.set))
		for key := range n.set {
			set[key] = n.meta[key]
		}
		clear(n.set)
	}
	return moved, set
}

// putBack undoes take after a failed commit.
func (n *notes) putBack(moved map[string]int64, set map[string]string) {
	for consumer := range moved {
		n.moved[consumer] = true
	}
	for key := range set {
		n.set[key] = true
	}
}

// all marks everything, for a fresh database.
func (n *notes) all() {
	for consumer := range n.cursors {
		n.moved[consumer] = true
	}
	for key := range n.meta {
		n.set[key] = true
	}
}

// merge takes over what the database has and memory has not.
func (n *notes) merge(cursors map[string]int64, meta map[string]string) {
	for consumer, seq := range cursors {
		n.cursors[consumer] = max(n.cursors[consumer], seq)
	}
	for key, value := range meta {
		if _, known := n.meta[key]; !known {
			n.meta[key] = value
		}
	}
}

// lowest returns the lowest cursor of a live consumer.
func (n *notes) lowest() (seq int64, any bool) {
	for consumer := range n.live {
		if c := n.cursors[consumer]; !any || c < seq {
			seq, any = c, true
		}
	}
	return seq, any
}

func loadCursors(ctx context.Context, q querier) (map[string]int64, error) {
	return loadMap[int64](ctx, q, "SELECT consumer, seq FROM cursors")
}

func loadMeta(ctx context.Context, q querier) (map[string]string, error) {
	return loadMap[string](ctx, q, "SELECT key, value FROM meta")
}

func loadMap[V any](ctx context.Context, q querier, query string) (m map[string]V, err error) {
	m = make(map[string]V)
	err = eachRow(ctx, q, query, func(rows *sql.Rows) error {
		var key string
		var value V
		if err := rows.Scan(&key, &value); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		m[key] = value
		return nil
	}, query)
	return m, err
}

// Cursor returns how far consumer has got: the Seq of the last event that it
// has acknowledged, 0 for a new one. Events that a consumer of this run has not
// acknowledged are kept beyond the usual age.
func (s *Store) Cursor(_ context.Context, consumer string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes.live[consumer] = true
	return s.notes.cursors[consumer], nil
}

// SetCursor moves consumer's cursor to seq; it never moves back. It is written
// within a second, so after a crash some events may be delivered again.
func (s *Store) SetCursor(consumer string, seq int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes.live[consumer] = true
	if seq > s.notes.cursors[consumer] {
		s.notes.cursors[consumer] = seq
		s.notes.moved[consumer] = true
	}
}

// Meta returns a setting, empty when it was never set.
func (s *Store) Meta(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.notes.meta[key]
}

// SetMeta stores a setting. It does not wait until it is written.
func (s *Store) SetMeta(key, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, known := s.notes.meta[key]; known && old == value {
		return
	}
	s.notes.meta[key] = value
	s.notes.set[key] = true
	s.nudge()
}
