package history

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"porchlight/presence"
)

// planned asks SQLite how it would answer.
type planned struct {
	t    *testing.T
	db   *sql.DB
	scan []string // what it would read from end to end
}

func (p *planned) explain(query string, args ...any) {
	p.t.Helper()
	err := eachRow(context.Background(), p.db, "explaining", func(rows *sql.Rows) error {
		var id, parent, unused int
		var detail string
		err := rows.Scan(&id, &parent, &unused, &detail)
		for _, table := range []string{"events", "sessions", "s"} {
			if detail == "SCAN "+table || strings.HasPrefix(detail, "SCAN "+table+" ") {
				p.scan = append(p.scan, detail)
			}
		}
		return err
	}, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		p.t.Errorf("%v: %s", err, query)
	}
}

// However long the past is, no question reads all sessions or all events.
func TestNothingIsReadFromEndToEnd(t *testing.T) {
	s := open(t, t.TempDir())
	now := fromTime(time.Now())
	for name, c := range map[string]struct { // the longest absences come from an index, until there are enough
		query string
		args  []any
	}{
		"sessions of all":     {eachDevice + "SELECT " + sessionColumns + sessionsBetween, []any{now, now}},
		"sessions of some":    {devicesAsked + "SELECT " + sessionColumns + sessionsBetween, []any{now, now, `["02005e100001"]`}},
		"who is away":         {absencesNow, []any{now}},
		"absences of a while": {longestOfFew, []any{now, now, 20}},
		"first seen":          {firstSeen, []any{now, now}},
	} {
		p := planned{t: t, db: s.db.reads}
		p.explain(c.query, c.args...)
		if len(p.scan) > 0 {
			t.Errorf("%s: %q", name, p.scan)
		}
	}
	for name, f := range map[string]EventFilter{
		"a device":    {Devices: []presence.ID{"02005e100001"}},
		"a rare type": {Types: []presence.EventType{presence.SensingLost}},
		"a time":      {Since: time.Now(), Until: time.Now()},
		"a program":   {Program: "nginx"},
	} {
		query, args := f.query(Page{Limit: 50}, f.Devices)
		p := planned{t: t, db: s.db.reads}
		p.explain("SELECT "+eventColumns+" FROM events "+query, args...)
		if len(p.scan) > 0 {
			t.Errorf("events of %s: %q", name, p.scan)
		}
	}
}
