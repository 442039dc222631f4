package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"porchlight/presence"
)

// Queries answers questions about the past from the database. Its connections
// only read: they neither wait for the writer nor hold it up. What happened
// within the last moment (some 20 ms) may not be there yet. It is safe for
// concurrent use.
//
// A device that was merged into another is found under the one that it is part
// of now, with all that was recorded under its former ids. Times are UTC, to
// the millisecond.
type Queries struct {
	open func() (*sql.DB, error)
	old  bool // the file is of a version that had no more than events and devices
}

var errOld = errors.New("the history is of an older Porchlight: start this version once, it brings the file up to date")

// past opens a file that has what is asked of the past.
func (q *Queries) past() (*sql.DB, error) {
	if q.old {
		return nil, errOld
	}
	return q.open()
}

// pastAsMerged is past, and which devices are part of which.
func (q *Queries) pastAsMerged(ctx context.Context) (*sql.DB, merged, error) {
	db, err := q.past()
	if err != nil {
		return nil, nil, err
	}
	same, err := loadMerged(ctx, db)
	return db, same, err
}

// Queries returns the store's questions. Each fails while the database cannot
// be read.
func (s *Store) Queries() *Queries {
	return &Queries{open: func() (*sql.DB, error) {
		db := s.handle()
		if db == nil {
			return nil, fmt.Errorf("the history cannot be read now: %w", errClosed)
		}
		return db.reads, nil
	}}
}

// Session is one stay of one device: from the event that it came until the
// event that it left.
type Session struct {
	Device    presence.ID  `json:"id"`
	MAC       presence.MAC `json:"mac"`  // that it came with
	From      time.Time    `json:"from"` // for a device of the first run, when it was first seen
	To        time.Time    `json:"to,omitzero"`
	WhyBegan  string       `json:"why_began"`
	WhyEnded  string       `json:"why_ended,omitempty"`
	Addresses []netip.Addr `json:"addresses"` // newest first, at most 16
}

// Open reports whether the session goes on.
func (s *Session) Open() bool { return s.To.IsZero() }

// Name is what a device was called from a time on.
type Name struct {
	Device presence.ID `json:"id"`
	Kind   string      `json:"kind"` // shown: in events; set: by the user's commands; host_name
	Since  time.Time   `json:"since"`
	Name   string      `json:"name"`
}

// Lease is an address that DHCP gave a device, or that it asked for, as far as
// this was heard.
type Lease struct {
	Device   presence.ID `json:"id"`
	Addr     netip.Addr  `json:"ip"`
	First    time.Time   `json:"first_seen"`
	Last     time.Time   `json:"last_seen"` // exact to an hour
	Said     string      `json:"said"`      // by what, such as "DHCP ACK"
	HostName string      `json:"host_name,omitempty"`
}

// Names returns what a device was called over time, oldest first.
func (q *Queries) Names(ctx context.Context, device presence.ID) (names []Name, err error) {
	err = q.ofDevice(ctx, device, "reading names", func(rows *sql.Rows) error {
		n := Name{Device: device}
		var since int64
		err := rows.Scan(&n.Kind, &since, &n.Name)
		n.Since = toTime(since)
		names = append(names, n)
		return err
	}, "SELECT kind, since, name FROM names WHERE device IN (%s) ORDER BY since, kind")
	return names, err
}

// Leases returns the addresses that a device had by DHCP, the latest first.
func (q *Queries) Leases(ctx context.Context, device presence.ID) (leases []Lease, err error) {
	err = q.ofDevice(ctx, device, "reading leases", func(rows *sql.Rows) error {
		l := Lease{Device: device}
		var ip string
		var first, last int64
		err := rows.Scan(&ip, &first, &last, &l.Said, &l.HostName)
		l.Addr, l.First, l.Last = toAddr(ip), toTime(first), toTime(last)
		leases = append(leases, l)
		return err
	}, "SELECT ip, first_seen, last_seen, said, host_name FROM leases WHERE device IN (%s) ORDER BY last_seen DESC, ip")
	return leases, err
}

// Now returns the id that stands for a device now: another than id if it was
// merged into that one.
func (q *Queries) Now(ctx context.Context, id presence.ID) (presence.ID, error) {
	db, err := q.open()
	if err != nil {
		return id, err
	}
	same, err := loadMerged(ctx, db)
	return same.now(id), err
}

// ofDevice calls row for each row of a query about one device; %s in it is
// replaced by the places of its ids, which are the first arguments.
func (q *Queries) ofDevice(ctx context.Context, device presence.ID, what string, row func(*sql.Rows) error, query string, args ...any) error {
	db, same, err := q.pastAsMerged(ctx)
	if err != nil {
		return err
	}
	places, ids := in(same.all(device))
	return eachRow(ctx, db, what, row, fmt.Sprintf(query, places), append(ids, args...)...)
}

// in returns the places and arguments for a list in SQL.
func in[S ~string](list []S) (places string, args []any) {
	for i, s := range list {
		if i > 0 {
			places += ","
		}
		places += "?"
		args = append(args, string(s))
	}
	return places, args
}

// merged says which devices were merged into which: former id to the one that
// stands for it now.
type merged map[presence.ID]presence.ID

// loadMerged reads the aliases; a file of a version without them has none.
func loadMerged(ctx context.Context, db querier) (merged, error) {
	m := merged{}
	found := false
	err := eachRow(ctx, db, "looking for aliases", func(*sql.Rows) error {
		found = true
		return nil
	}, "SELECT 1 FROM sqlite_schema WHERE name = 'aliases'")
	if err != nil || !found {
		return m, err
	}
	err = eachRow(ctx, db, "reading aliases", func(rows *sql.Rows) error {
		var former, now presence.ID
		err := rows.Scan(&former, &now)
		m[former] = now
		return err
	}, "SELECT alias, device FROM aliases")
	return m, err
}

// now returns the id that stands for id now.
func (m merged) now(id presence.ID) presence.ID {
	for range len(m) { // not for ever, should two be merged into each other
		next, found := m[id]
		if !found {
			break
		}
		id = next
	}
	return id
}

// all returns the ids that id stands for, itself first.
func (m merged) all(id presence.ID) []presence.ID {
	ids := []presence.ID{id}
	for former := range m {
		if former != id && m.now(former) == id {
			ids = append(ids, former)
		}
	}
	return ids
}
