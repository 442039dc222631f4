package history

import "porchlight/presence"

// The kinds of names, as they stand in the table of names.
const (
	shownName = "shown"     // in events: the user's name, else the host name, else one that was made up
	setName   = "set"       // by the user's commands
	hostName  = "host_name" // what it calls itself, else what others call it
)

// maxNames is how many names of a kind a device has, give or take a few; the
// oldest go.
const maxNames = 64

const (
	// insertName adds a name unless the newest one of its kind is the same.
	insertName = `INSERT INTO names (device, kind, since, name) SELECT ?1, ?2, ?3, ?4
		WHERE ?4 <> coalesce((SELECT name FROM names WHERE device = ?1 AND kind = ?2 ORDER BY since DESC LIMIT 1), '')
		ON CONFLICT (device, kind, since) DO UPDATE SET name = excluded.name`
	trimNames = `DELETE FROM names WHERE device = ?1 AND kind = ?2 AND since <=
		(SELECT since FROM names WHERE device = ?1 AND kind = ?2 ORDER BY since DESC LIMIT 1 OFFSET ?3)`
)

// nameKey is one kind of names of one device.
type nameKey struct {
	id   presence.ID
	kind string
}

// lastName is the name that is in the database, or that it was tried to write.
type lastName struct {
	name    string
	changes int
}

// trimEvery is after how many changes of a name the oldest ones go.
const trimEvery = 8

// maxLastNames bounds the memory of which names are known to be there.
const maxLastNames = 30_000

// called notes what a device is called from a time on.
func (db *database) called(id presence.ID, kind string, since int64, name string) error {
	key := nameKey{id, kind}
	last := db.lastNames[key]
	if name == "" || last.name == name {
		return nil
	}
	if db.lastNames == nil || len(db.lastNames) >= maxLastNames {
		db.lastNames = make(map[nameKey]lastName)
	}
	last.name = name
	last.changes++
	db.lastNames[key] = last
	stmt, err := db.prepared(insertName)
	if err != nil {
		return err
	}
	result, err := stmt.ExecContext(always, string(id), kind, since, name)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err
	}
	if last.changes%trimEvery != 0 {
		return nil
	}
	return db.exec(trimNames, string(id), kind, maxNames)
}

// calledBy notes the names of a device's row, from when it was last heard.
func (db *database) calledBy(d *presence.Device) error {
	at := fromTime(d.LastSeen)
	if at == 0 {
		at = fromTime(d.Since)
	}
	if err := db.called(d.ID, hostName, at, d.HostName); err != nil {
		return err
	}
	return db.called(d.ID, setName, at, d.Name)
}
