package history

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"porchlight/presence"
)

// The columns of a session, and those of one in a picture: to read the others
// takes a third of the time.
const (
	sessionColumns = "s.device, s.mac, s.began, s.ended, s.why_began, s.why_ended, s.addresses"
	pictureColumns = "s.device, '', s.began, s.ended, s.why_began, s.why_ended, ''"
)

// eachDevice lists the devices that have sessions by stepping through the index,
// from one device to the next, rather than through all sessions.
const eachDevice = `WITH RECURSIVE d (device) AS (
	SELECT min(device) FROM sessions
	UNION ALL SELECT (SELECT min(device) FROM sessions WHERE device > d.device) FROM d WHERE d.device IS NOT NULL) `

// sessionsBetween returns the sessions of the devices d that overlap from..to: of
// each the last one that began by then, and those that began later.
const sessionsBetween = ` FROM d JOIN sessions AS s ON s.device = d.device
	AND s.began >= coalesce((SELECT max(began) FROM sessions WHERE device = d.device AND began <= ?1), ?1)
	AND s.began < ?2 AND (s.ended = 0 OR s.ended > ?1)`

// devicesAsked are those whose ids are in a JSON array.
const devicesAsked = "WITH d (device) AS (SELECT value FROM json_each(?3)) "

// Sessions returns the sessions of a device that overlap from..to, in order. A
// zero to is the end of time.
func (q *Queries) Sessions(ctx context.Context, device presence.ID, from, to time.Time) ([]Session, error) {
	return q.sessionsOf(ctx, sessionColumns, []presence.ID{device}, from, to)
}

// sessionsOf returns the sessions of devices that overlap from..to, ordered by
// device and time. A zero to is the end of time.
func (q *Queries) sessionsOf(ctx context.Context, columns string, devices []presence.ID, from, to time.Time) (sessions []Session, err error) {
	db, err := q.past()
	if err != nil || len(devices) == 0 {
		return nil, err
	}
	same, err := loadMerged(ctx, db)
	if err != nil {
		return nil, err
	}
	asked := map[presence.ID]presence.ID{}
	for _, device := range devices {
		for _, id := range same.all(device) {
			asked[id] = device
		}
	}
	ids, err := json.Marshal(slices.Sorted(maps.Keys(asked))) // sorted, as the answer is then
	if err != nil {
		return nil, err
	}
	return readSessions(ctx, db, asked, devicesAsked+"SELECT "+columns+sessionsBetween, fromTime(from), endOf(to), string(ids))
}

// readSessions reads sessions, each under the id that stands for its own now.
func readSessions(ctx context.Context, db querier, now map[presence.ID]presence.ID, query string, args ...any) (sessions []Session, err error) {
	err = eachRow(ctx, db, "reading sessions", func(rows *sql.Rows) error {
		s, err := scanSession(rows)
		if id, found := now[s.Device]; found {
			s.Device = id
		}
		sessions = append(sessions, s)
		return err
	}, query, args...)
	slices.SortFunc(sessions, func(a, b Session) int {
		return cmp.Or(cmp.Compare(a.Device, b.Device), a.From.Compare(b.From))
	})
	return sessions, err
}

// AllSessions returns the sessions of all devices that overlap from..to, ordered
// by device and time. A zero to is the end of time.
func (q *Queries) AllSessions(ctx context.Context, from, to time.Time) ([]Session, error) {
	return q.allSessions(ctx, sessionColumns, from, to)
}

func (q *Queries) allSessions(ctx context.Context, columns string, from, to time.Time) ([]Session, error) {
	db, same, err := q.pastAsMerged(ctx)
	if err != nil {
		return nil, err
	}
	for former := range same {
		same[former] = same.now(former)
	}
	return readSessions(ctx, db, same, eachDevice+"SELECT "+columns+sessionsBetween, fromTime(from), endOf(to))
}

// HomeAt returns the sessions that went on at a time: who was home. They are
// ordered by device. Of a device that was merged it can be several.
func (q *Queries) HomeAt(ctx context.Context, t time.Time) ([]Session, error) {
	return q.AllSessions(ctx, t, t.Add(time.Millisecond))
}

func scanSession(rows *sql.Rows) (s Session, err error) {
	var mac, addresses string
	var began, ended int64
	err = rows.Scan(&s.Device, &mac, &began, &ended, &s.WhyBegan, &s.WhyEnded, &addresses)
	s.MAC, s.Addresses, s.From, s.To = toMAC(mac), toAddrs(addresses), toTime(began), toTime(ended)
	return s, err
}

// endOf is the end of a span of time in the database's form.
func endOf(to time.Time) int64 {
	if to.IsZero() {
		return 1 << 62
	}
	return fromTime(to)
}

// Found is a device that was seen for the first time.
type Found struct {
	Device presence.ID  `json:"id"`
	MAC    presence.MAC `json:"mac"`
	At     time.Time    `json:"first_seen"`
	Name   string       `json:"name"`  // what it is called, or was when it came
	Known  bool         `json:"known"` // false: it was forgotten since
}

const firstSeen = `SELECT id, mac, first_seen, CASE WHEN set_name <> '' THEN set_name ELSE coalesce((SELECT name FROM names
		WHERE device = id AND kind = 'shown' ORDER BY since DESC LIMIT 1), host_name) END, 1
	FROM devices WHERE first_seen >= ?1 AND first_seen < ?2 AND first_seen > 0
	UNION ALL SELECT device, mac, time, name, 0 FROM events WHERE type = 'new_device' AND type NOT IN ('arrived', 'left')
		AND time >= ?1 AND time < ?2 AND device NOT IN (SELECT id FROM devices)
	ORDER BY 3, 1`

// FirstSeen returns the devices that were seen for the first time in from..to,
// in that order. Those that were forgotten since are known by their events.
func (q *Queries) FirstSeen(ctx context.Context, from, to time.Time) (found []Found, err error) {
	db, same, err := q.pastAsMerged(ctx)
	if err != nil {
		return nil, err
	}
	err = eachRow(ctx, db, "reading first sightings", func(rows *sql.Rows) error {
		var f Found
		var mac string
		var at int64
		err := rows.Scan(&f.Device, &mac, &at, &f.Name, &f.Known)
		f.MAC, f.At = toMAC(mac), toTime(at)
		if same.now(f.Device) == f.Device { // else it turned out to be another one
			found = append(found, f)
		}
		return err
	}, firstSeen, fromTime(from), endOf(to))
	return found, err
}
