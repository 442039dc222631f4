package history

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"porchlight/presence"
)

// EventFilter says which events are wanted; its zero value is all.
type EventFilter struct {
	Since, Until time.Time // Since counts, Until does not; zero: no bound
	Devices      []presence.ID
	Types        []presence.EventType
	Program      string // only events about this machine, of this program, in any case
}

// Page says which part of the answer is wanted.
type Page struct {
	Before int64 // only events with a lower Seq; 0: no bound
	After  int64 // only events with a higher Seq
	Limit  int   // at most this many
	Oldest bool  // the oldest of them rather than the newest
}

// Find returns events that f wants, in order of Seq: the newest of them, or, as
// the page says, the oldest. The page before begins at the Seq of the first
// event (Page.Before), the one after at that of the last (Page.After).
func (q *Queries) Find(ctx context.Context, f EventFilter, p Page) ([]presence.Event, error) {
	db, err := q.open()
	if err != nil {
		return nil, err
	}
	ids := f.Devices
	if len(ids) > 0 {
		same, err := loadMerged(ctx, db)
		if err != nil {
			return nil, err
		}
		for _, id := range f.Devices {
			ids = append(ids[:len(ids):len(ids)], same.all(id)[1:]...)
		}
	}
	query, args := f.query(p, ids)
	events, err := queryEvents(ctx, db, query, args...)
	if !p.Oldest {
		slices.Reverse(events)
	}
	return events, err
}

// query returns what follows FROM events, for devices of these ids.
func (f *EventFilter) query(p Page, ids []presence.ID) (query string, args []any) {
	var c conditions
	if !f.Since.IsZero() {
		c.add("time >= ?", fromTime(f.Since))
	}
	if !f.Until.IsZero() {
		c.add("time < ?", fromTime(f.Until))
	}
	if p.Before > 0 {
		c.add("seq < ?", p.Before)
	}
	if p.After > 0 {
		c.add("seq > ?", p.After)
	}
	if len(ids) > 0 {
		places, args := in(ids)
		c.add("device <> '' AND device IN ("+places+")", args...)
	}
	if f.Program != "" {
		places, types := in(presence.MachineTypes())
		c.add("type IN ("+places+") AND type NOT IN ('arrived', 'left')", types...)
		c.add("CASE WHEN json_valid(found) THEN json_extract(found, '$.socket.program') = ? COLLATE NOCASE END", f.Program)
	}
	if len(f.Types) > 0 {
		places, args := in(f.Types)
		c.add("type IN ("+places+")", args...)
		if !slices.Contains(f.Types, presence.Arrived) && !slices.Contains(f.Types, presence.Left) {
			c.add("type NOT IN ('arrived', 'left')") // so that SQLite sees which index will do
		}
	}
	order := " ORDER BY seq DESC LIMIT ?"
	if p.Oldest {
		order = " ORDER BY seq LIMIT ?"
	}
	return c.where() + order, append(c.args, p.Limit)
}

// conditions gathers what rows must fulfil.
type conditions struct {
	terms []string
	args  []any
}

func (c *conditions) add(term string, args ...any) {
	c.terms = append(c.terms, term)
	c.args = append(c.args, args...)
}

func (c *conditions) where() string {
	if len(c.terms) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(c.terms, " AND ")
}

// Lookup returns the ids of the devices that text may mean: an id, a MAC, or a
// name or host name, now or once, in any case. Devices that are forgotten are
// found by what they were called.
func (q *Queries) Lookup(ctx context.Context, text string) (ids []presence.ID, err error) {
	m, notMAC := presence.ParseMAC(text)
	if notMAC == nil {
		text = string(m.ID())
	}
	db, err := q.open()
	if err != nil {
		return nil, err
	}
	same, err := loadMerged(ctx, db)
	if err != nil {
		return nil, err
	}
	query := "SELECT id FROM devices WHERE id = ?1 OR mac = ?1 OR set_name = ?1 COLLATE NOCASE OR host_name = ?1 COLLATE NOCASE"
	if !q.old {
		query += " UNION SELECT device FROM names WHERE name = ?1 COLLATE NOCASE OR device = ?1"
	}
	args := []any{text}
	columns, err := readableColumns(ctx, db)
	if err != nil {
		return nil, err
	}
	if notMAC == nil && strings.Contains(columns, "ports") { // one of several MACs
		query += " UNION SELECT id FROM devices WHERE instr(ports, ?2) > 0"
		args = append(args, `"`+m.String()+`"`)
	}
	err = eachRow(ctx, db, fmt.Sprintf("looking for device %q", text), func(rows *sql.Rows) error {
		var id presence.ID
		err := rows.Scan(&id)
		if id = same.now(id); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		return err
	}, query+" ORDER BY 1", args...)
	return ids, err
}
