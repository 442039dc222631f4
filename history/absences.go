package history

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"porchlight/presence"
)

// Absence is a time between two sessions of a device.
type Absence struct {
	Device presence.ID `json:"id"`
	From   time.Time   `json:"from"`
	To     time.Time   `json:"to,omitzero"` // zero: it is away still
}

// Length is how long it lasted, until now if it goes on.
func (a *Absence) Length(now time.Time) time.Duration {
	if a.To.IsZero() {
		return now.Sub(a.From)
	}
	return a.To.Sub(a.From)
}

const (
	// longestFirst looks at all absences, the longest first, until it has enough:
	// soon, if the span is long.
	longestFirst = `SELECT device, began - absent, began FROM sessions
		WHERE absent <> 0 AND began > ?1 AND began - absent < ?2 ORDER BY absent DESC LIMIT ?3`

	// longestOfFew looks at those within the span alone: of each device up to the
	// first that ends after it.
	longestOfFew = eachDevice + `SELECT s.device, s.began - s.absent, s.began FROM d JOIN sessions AS s ON s.device = d.device
		AND s.began > ?1 AND s.began <= coalesce((SELECT min(began) FROM sessions WHERE device = d.device AND began >= ?2), 1 << 62)
		AND s.began - s.absent < ?2 WHERE s.absent <> 0 ORDER BY s.absent DESC LIMIT ?3`

	// shortSpan is up to when that takes less time, in a home of 250 devices and a
	// year.
	shortSpan = 14 * 24 * time.Hour

	// absencesNow are those that go on.
	absencesNow = eachDevice + `SELECT s.device, s.ended, 0 FROM d JOIN sessions AS s
		ON s.device = d.device AND s.began = (SELECT max(began) FROM sessions WHERE device = d.device)
		WHERE s.ended <> 0 AND s.ended < ?`
)

// LongestAbsences returns the longest absences that overlap from..to, whole and
// longest first, at most limit. A zero to is the end of time. now is for how long
// those that go on have lasted.
func (q *Queries) LongestAbsences(ctx context.Context, from, to, now time.Time, limit int) (absences []Absence, err error) {
	db, same, err := q.pastAsMerged(ctx)
	if err != nil {
		return nil, err
	}
	ofMerged := map[presence.ID]bool{} // whose absences are between sessions of several ids
	for former := range same {
		ofMerged[former], ofMerged[same.now(former)] = true, true
	}
	add := func(rows *sql.Rows) error {
		var a Absence
		var left, back int64
		err := rows.Scan(&a.Device, &left, &back)
		a.From, a.To = toTime(left), toTime(back)
		if !ofMerged[a.Device] {
			absences = append(absences, a)
		}
		return err
	}
	query := longestFirst
	if !to.IsZero() && to.Sub(from) < shortSpan {
		query = longestOfFew
	}
	// One more for each that is counted otherwise, should they all be long.
	err = eachRow(ctx, db, "reading absences", add, query, fromTime(from), endOf(to), limit+len(ofMerged)*absencesPerMerged)
	if err != nil {
		return nil, err
	}
	err = eachRow(ctx, db, "reading absences", add, absencesNow, endOf(to))
	if err != nil {
		return nil, err
	}
	for id := range ofMerged {
		if same.now(id) == id {
			more, err := q.absencesOf(ctx, id, from, to)
			if err != nil {
				return nil, err
			}
			absences = append(absences, more...)
		}
	}
	slices.SortFunc(absences, func(a, b Absence) int {
		return cmp.Or(cmp.Compare(b.Length(now), a.Length(now)), cmp.Compare(a.Device, b.Device))
	})
	return absences[:min(len(absences), limit)], nil
}

// absencesPerMerged is how many of the longest absences may be those of one
// former id.
const absencesPerMerged = 8

// absencesOf returns the times in which none of a device's ids was home.
func (q *Queries) absencesOf(ctx context.Context, id presence.ID, from, to time.Time) (absences []Absence, err error) {
	sessions, err := q.Sessions(ctx, id, time.Time{}, time.Time{})
	if err != nil || len(sessions) == 0 {
		return nil, err
	}
	end := sessions[0].To
	open := sessions[0].Open()
	for _, s := range sessions[1:] {
		if !open && s.From.After(end) && s.From.After(from) && (to.IsZero() || end.Before(to)) {
			absences = append(absences, Absence{id, end, s.From})
		}
		open = open || s.Open()
		if s.To.After(end) {
			end = s.To
		}
	}
	if !open && (to.IsZero() || end.Before(to)) {
		absences = append(absences, Absence{Device: id, From: end})
	}
	return absences, nil
}
