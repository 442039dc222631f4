package history

import (
	"database/sql"
	"errors"
	"net/netip"
	"slices"
	"time"

	"porchlight/presence"
)

// Sessions follow from events, in the event's own transaction, and only from
// events that were not in the log before: a journal that is read twice makes no
// session twice. What no event tells follows from the device's row, which has
// the state and since when: who was home at the baseline, and what happened
// while the log was lost. A row may be older than the events, and then it
// changes nothing.

// maxSessionAddrs bounds the addresses of one session.
const maxSessionAddrs = 16

const (
	selectOpen = "SELECT id, began, addresses FROM sessions WHERE device = ? AND ended = 0"
	selectLast = "SELECT began, ended FROM sessions WHERE device = ? ORDER BY began DESC LIMIT 1"
	// insertSession does nothing when a session goes on. Absent it was since the
	// last one ended.
	insertSession = `INSERT INTO sessions (device, mac, began, ended, absent, why_began, why_ended, addresses)
		VALUES (?1, ?2, ?3, 0, coalesce(max(?3 - nullif((SELECT ended FROM sessions WHERE device = ?1
		ORDER BY began DESC LIMIT 1), 0), 0), 0), ?4, '', ?5) ON CONFLICT DO NOTHING`
	endSession      = "UPDATE sessions SET ended = max(began, ?), why_ended = ? WHERE device = ? AND ended = 0"
	updateAddresses = "UPDATE sessions SET addresses = ? WHERE id = ?"
)

// stay is the session of a device that goes on.
type stay struct {
	id, began int64
	addresses string
}

// follow keeps what follows from an event that is new in the log.
func (db *database) follow(e *presence.Event) error {
	at := fromTime(e.Time)
	var err error
	switch e.Type {
	case presence.SensingLost, presence.SensingBack:
		return db.followSensing(e)
	case presence.Arrived:
		err = db.exec(insertSession, string(e.ID), fromMAC(e.MAC), at, e.Why, fromAddr(e.Addr))
	case presence.Left:
		err = db.exec(endSession, at, e.Why, string(e.ID))
	case presence.Merged:
		err = db.exec(endSession, at, e.Why, string(e.Other))
	case presence.AddressChanged:
		err = db.addAddresses(e.ID, e.Addr)
	}
	if err != nil || e.ID == "" {
		return err
	}
	return db.called(e.ID, shownName, at, e.Name)
}

// followDevice keeps what follows from a device's row.
func (db *database) followDevice(d *presence.Device) error {
	since := fromTime(d.Since)
	open, isOpen, err := db.openStay(d.ID)
	switch {
	case err != nil:
	case d.State == presence.Home && isOpen:
		err = db.addTo(open, append(slices.Clone(d.IPv6), d.Addr)...)
	case d.State == presence.Home && since > 0:
		var began, ended int64
		var found bool
		found, err = db.row(selectLast, []any{string(d.ID)}, &began, &ended)
		if err == nil && (!found || since > began && since >= ended) {
			err = db.exec(insertSession, string(d.ID), fromMAC(d.MAC), since, d.Why,
				addressList("", append(slices.Clone(d.IPv6), d.Addr)...))
		}
	case d.State != presence.Home && isOpen && since > open.began:
		err = db.exec(endSession, since, d.Why, string(d.ID))
	}
	if err == nil {
		err = db.calledBy(d)
	}
	return err
}

func (db *database) openStay(id presence.ID) (s stay, found bool, err error) {
	found, err = db.row(selectOpen, []any{string(id)}, &s.id, &s.began, &s.addresses)
	return s, found, err
}

// addAddresses adds to the session of a device that goes on, if there is one.
func (db *database) addAddresses(id presence.ID, addrs ...netip.Addr) error {
	s, found, err := db.openStay(id)
	if err != nil || !found {
		return err
	}
	return db.addTo(s, addrs...)
}

func (db *database) addTo(s stay, addrs ...netip.Addr) error {
	list := addressList(s.addresses, addrs...)
	if list == s.addresses {
		return nil
	}
	return db.exec(updateAddresses, list, s.id)
}

// addressList puts those of addrs that are not in list before it, the last one
// first.
func addressList(list string, addrs ...netip.Addr) string {
	all := toAddrs(list)
	for _, a := range addrs {
		if a.IsValid() && !slices.Contains(all, a) {
			all = slices.Insert(all, 0, a)
		}
	}
	return fromAddrs(all[:min(len(all), maxSessionAddrs)])
}

// forget ends the session of a device that is deleted.
func (db *database) forget(id presence.ID) error {
	return db.exec(endSession, fromTime(time.Now()), "it was forgotten", string(id))
}

// exec carries out a statement on the write connection. It is for the writer.
func (db *database) exec(query string, args ...any) error {
	stmt, err := db.prepared(query)
	if err == nil {
		_, err = stmt.ExecContext(always, args...)
	}
	return err
}

// row reads the first row of a query on the write connection. It is for the
// writer.
func (db *database) row(query string, args []any, to ...any) (found bool, err error) {
	stmt, err := db.prepared(query)
	if err != nil {
		return false, err
	}
	err = stmt.QueryRowContext(always, args...).Scan(to...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// prepared returns the statement for a query of the write connection.
func (db *database) prepared(query string) (*sql.Stmt, error) {
	if stmt := db.cached[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := db.conn.PrepareContext(always, query)
	if err != nil {
		return nil, err
	}
	if db.cached == nil {
		db.cached = make(map[string]*sql.Stmt)
	}
	db.cached[query] = stmt
	db.statements = append(db.statements, stmt)
	return stmt, nil
}
