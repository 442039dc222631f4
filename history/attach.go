package history

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"time"

	"porchlight/presence"
	"porchlight/sqlitefile"
)

// attach opens the database for the writer: at the start, and again after
// trouble. What memory holds by then is newer than what the file holds.
func (s *Store) attach() error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if s.lock == nil {
		lock, err := lockDir(s.dir)
		if err != nil {
			return err
		}
		s.lock = lock
	}
	err := s.openAndAdopt()
	if damaged(err) {
		if err = s.replace(err); err == nil {
			err = s.openAndAdopt()
		}
	}
	return err
}

func (s *Store) openAndAdopt() error {
	db, err := openDatabase(always, s.path)
	if err != nil {
		return err
	}
	if err := s.adopt(db); err != nil {
		_ = db.close() // the first error is the one that matters
		return err
	}
	return nil
}

// adopt makes db the store's, and the end of this run an unclean one until
// Close says otherwise. That mark is on the disk before any number is given.
func (s *Store) adopt(db *database) error {
	if err := s.recover(db); err != nil {
		return err
	}
	last, clean, err := db.lastSeq(always)
	if err != nil {
		return err
	}
	if !clean && !s.loaded {
		last += afterLoss
	}
	held, err := readAll(always, db.conn)
	if err != nil {
		return err
	}
	if !s.told {
		if err := db.noteStart(s.opened); err != nil {
			return err
		}
		s.told = true
	}
	if _, err := db.clean.ExecContext(always, 0, last, fromTime(time.Now())); err != nil {
		return err
	}
	if err := db.sync(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded {
		s.notes.merge(held.cursors, held.meta)
		s.notes.all()
		s.changes.all()
		s.tail.saved = min(s.tail.saved, held.lastEvent())
	} else {
		s.remember(held)
		s.head = last
	}
	s.db, s.seq = db, max(s.seq, last)
	return nil
}

// contents is what a start takes from a file into memory.
type contents struct {
	devices []stored
	cursors map[string]int64
	meta    map[string]string
	events  []presence.Event
}

// readAll reads what it can; the error says what it could not.
func readAll(ctx context.Context, q querier) (c contents, err error) {
	var errs [4]error
	c.devices, errs[0] = loadDevices(ctx, q)
	c.cursors, errs[1] = loadCursors(ctx, q)
	c.meta, errs[2] = loadMeta(ctx, q)
	c.events, errs[3] = lastEvents(ctx, q, keepRecent)
	return c, errors.Join(errs[:]...)
}

func (c *contents) lastEvent() int64 {
	if len(c.events) == 0 {
		return 0
	}
	return c.events[len(c.events)-1].Seq
}

// remember takes over what a file holds, at the start. It is called with mu
// held.
func (s *Store) remember(c contents) {
	s.loaded = true
	for _, d := range c.devices {
		s.changes.devices[d.ID] = d
	}
	s.notes.merge(c.cursors, c.meta)
	s.tail.events = c.events
	s.tail.saved = c.lastEvent()
	if len(c.events) == keepRecent {
		s.tail.floor = c.events[0].Seq - 1
	}
	s.seq = s.tail.saved
}

// startBlind starts without a database. From a file that cannot be written, on
// a full or read-only disk, the household is known even so, as it was when the
// write-ahead log was last copied into the file.
//
// As the file cannot be marked as in use, it will not know which numbers this
// run gives. They begin at the seconds since 1970: that is higher than any
// given before, as long as there is less than one event a second.
func (s *Store) startBlind() {
	var c contents
	var err error
	if _, none := os.Stat(s.path); none == nil {
		if c, err = readFile(s.path, "mode=ro&immutable=1"); err != nil {
			s.log.Warn("history could not be read in full", "err", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.loaded {
		s.remember(c)
	}
	s.jump()
	s.blind = len(s.tail.events) == 0
	if s.blind {
		s.tail.floor, s.tail.saved = s.seq, s.seq
	}
}

// jump moves on to numbers that were never given, when nobody can say which
// were. It is called with mu held.
func (s *Store) jump() {
	s.seq = max(s.seq+afterLoss, time.Now().Unix())
	for _, c := range s.notes.cursors {
		s.seq = max(s.seq, c)
	}
	s.head = s.seq
}

// readFile reads a file that is not to be written.
func readFile(path, params string) (contents, error) {
	pool, err := sql.Open("sqlite", sqlitefile.DSN(path, params))
	if err != nil {
		return contents{}, err
	}
	c, err := readAll(always, pool)
	return c, errors.Join(err, pool.Close())
}

// detach closes the database.
func (s *Store) detach() {
	s.mu.Lock()
	db := s.db
	s.db, s.suspect = nil, nil
	s.mu.Unlock()
	if db != nil {
		_ = db.close() // whatever it could not write is in memory
	}
}

func (s *Store) unlock() {
	if s.lock != nil {
		_ = s.lock.Close()
		s.lock = nil
	}
}

// report takes note of damage that a reader of db met. It returns true when db
// has been replaced since, so that reading again is worth it.
func (s *Store) report(db *database, err error) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != db {
		return true
	}
	if damaged(err) {
		s.suspect = err
		s.nudge()
	}
	return false
}

// replace sets a damaged file aside and keeps in memory what can still be read
// of it. A disk that damages one file after the other gets a new one once an
// hour at most.
func (s *Store) replace(cause error) error {
	if !s.replaced.IsZero() && time.Since(s.replaced) < time.Hour {
		return cause
	}
	aside, err := sqlitefile.SetAside(s.path, time.Now())
	if err != nil {
		return errors.Join(cause, err)
	}
	s.replaced = time.Now()
	var unread error
	if !s.loaded {
		var c contents
		c, unread = readFile(aside, readParams)
		s.mu.Lock()
		s.remember(c)
		s.jump()
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log.Error("the database was damaged: it is set aside and a new one is begun",
		"file", aside, "damage", cause, "devices_kept", len(s.changes.devices), "unread", unread)
	return nil
}
