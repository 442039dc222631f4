package history

import (
	"context"
	"database/sql"
	"time"

	"porchlight/presence"
)

// Timeline is what a picture of a stretch of time needs.
type Timeline struct {
	From, To time.Time
	Sessions []Session // without MAC and addresses, ordered by device and time; they may begin before From and end after To
	Gaps     []Gap     // when nothing could be known, ordered by time
}

// Gap is a time in which nothing could be known.
type Gap struct {
	Kind      GapKind   `json:"kind"`
	Interface string    `json:"interface,omitempty"` // empty: all of them
	From      time.Time `json:"from"`
	To        time.Time `json:"to,omitzero"` // zero: it goes on
	Why       string    `json:"why"`
}

// maxGap is the longest that is looked for: one that began before a longer time
// is found if it goes on.
const maxGap = 400 * 24 * time.Hour

// Timeline returns the presence of devices in from..to, with the gaps; of all
// devices when none is named.
func (q *Queries) Timeline(ctx context.Context, from, to time.Time, devices ...presence.ID) (t Timeline, err error) {
	t.From, t.To = from, to
	if len(devices) > 0 {
		t.Sessions, err = q.sessionsOf(ctx, pictureColumns, devices, from, to)
	} else {
		t.Sessions, err = q.allSessions(ctx, pictureColumns, from, to)
	}
	if err != nil {
		return t, err
	}
	t.Gaps, err = q.Gaps(ctx, from, to)
	return t, err
}

// Gaps returns the times within from..to in which nothing could be known, in
// the order in which they began. They may overlap.
func (q *Queries) Gaps(ctx context.Context, from, to time.Time) (gaps []Gap, err error) {
	db, err := q.past()
	if err != nil {
		return nil, err
	}
	err = eachRow(ctx, db, "reading gaps", func(rows *sql.Rows) error {
		var g Gap
		var began, ended int64
		err := rows.Scan(&g.Kind, &g.Interface, &began, &ended, &g.Why)
		g.From, g.To = toTime(began), toTime(ended)
		gaps = append(gaps, g)
		return err
	}, `SELECT kind, interface, began, ended, why FROM gaps WHERE began < ? AND began >= ? AND (ended = 0 OR ended > ?)
		ORDER BY began, id`, endOf(to), fromTime(from.Add(-maxGap)), fromTime(from))
	return gaps, err
}
