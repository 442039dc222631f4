package history

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"porchlight/presence"
)

const eventColumns = "seq, time, type, device, mac, ip, name, host_name, vendor, private_mac, interface, why, found"

// An event that is there already is the same one: a commit that reported a
// failure may have succeeded nevertheless.
const insertEvent = "INSERT INTO events (" + eventColumns + ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (seq) DO NOTHING"

// foundAbout is what stands in the column found for an event that is about two
// devices, or about a socket of this machine. Of others it is the list of devices.
type foundAbout struct {
	Other   presence.ID      `json:"other,omitempty"`
	Devices []presence.Found `json:"devices,omitempty"`
	Socket  *presence.Socket `json:"socket,omitempty"`
}

func eventArgs(e *presence.Event) ([]any, error) {
	found, err := "", error(nil)
	switch {
	case e.Other != "" || e.Socket != nil:
		found, err = fromJSON(foundAbout{e.Other, e.Devices, e.Socket}, false)
	case e.Devices != nil:
		found, err = fromJSON(e.Devices, false)
	}
	if err != nil {
		return nil, fmt.Errorf("event %d: %w", e.Seq, err)
	}
	return []any{
		e.Seq, fromTime(e.Time), string(e.Type), string(e.ID), fromMAC(e.MAC), fromAddr(e.Addr), e.Name,
		e.HostName, e.Vendor, e.PrivateMAC, e.Interface, e.Why, found,
	}, nil
}

func scanEvent(rows *sql.Rows) (e presence.Event, err error) {
	var ms int64
	var mac, ip, found string
	err = rows.Scan(&e.Seq, &ms, &e.Type, &e.ID, &mac, &ip, &e.Name, &e.HostName, &e.Vendor,
		&e.PrivateMAC, &e.Interface, &e.Why, &found)
	if err != nil {
		return e, err
	}
	e.Time, e.MAC, e.Addr = toTime(ms), toMAC(mac), toAddr(ip)
	switch { // what cannot be read is left out: the rest of the event still counts
	case strings.HasPrefix(found, "{"):
		var about foundAbout
		_ = json.Unmarshal([]byte(found), &about)
		e.Other, e.Devices, e.Socket = about.Other, about.Devices, about.Socket
	case found != "":
		_ = json.Unmarshal([]byte(found), &e.Devices)
	}
	return e, nil
}

// querier is what reads need of a *sql.DB or *sql.Conn.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// eventsBetween returns up to limit events with after < Seq <= until, in order.
func eventsBetween(ctx context.Context, q querier, after, until int64, limit int) ([]presence.Event, error) {
	return queryEvents(ctx, q, "WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?", after, until, limit)
}

// lastEvents returns the n most recent events, oldest first. With an error come
// those that could be read.
func lastEvents(ctx context.Context, q querier, n int) ([]presence.Event, error) {
	events, err := queryEvents(ctx, q, "ORDER BY seq DESC LIMIT ?", n)
	slices.Reverse(events)
	return events, err
}

func queryEvents(ctx context.Context, q querier, where string, args ...any) (events []presence.Event, err error) {
	err = eachRow(ctx, q, "reading events", func(rows *sql.Rows) error {
		e, err := scanEvent(rows)
		if err != nil {
			return fmt.Errorf("reading an event: %w", err)
		}
		events = append(events, e)
		return nil
	}, "SELECT "+eventColumns+" FROM events "+where, args...)
	return events, err
}
