package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"porchlight/presence"
)

const (
	journalName = "events.journal"
	// journalSize is what a journal holds: some hundreds of events.
	journalSize = 256 << 10
	// commitDelay is how long the database comes after the journal: long enough
	// for a state to be with the people who wait for it, and for the events of a
	// crowd to share a transaction.
	commitDelay = 20 * time.Millisecond
)

// journal is where events are written down before anything is published: lines
// of JSON in a file of fixed size that is mapped into memory, so that it takes
// microseconds and no system call. What is in it survives the end of the
// process, however that comes. The database has the events a moment later, all
// in one transaction, and a second later safe from a power cut; what a killed
// process left in the journal goes into the database at the next start.
//
// Without a journal (no room on the disk, another system than Linux) events go
// into the database at once.
type journal struct {
	mem  []byte // nil: there is none
	used int
	last int64 // the last event in it
	read bool  // what an earlier run left is in the database

	lines bytes.Buffer // what add writes, kept for the next time
}

// open maps the journal of dir.
func (j *journal) open(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, journalName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // the mapping stays
	j.mem, err = mapFile(f, journalSize)
	return err
}

func (j *journal) close() {
	if j.mem != nil {
		unmap(j.mem)
	}
	j.mem, j.used = nil, 0
}

// add writes events down, and reports whether it could.
func (j *journal) add(events []presence.Event) (ok bool) {
	if j.mem == nil {
		return false
	}
	b := &j.lines
	b.Reset()
	enc := json.NewEncoder(b)
	for i := range events {
		if enc.Encode(&events[i]) != nil {
			return false
		}
	}
	if j.used+b.Len() > len(j.mem) {
		return false
	}
	// A disk that has gone may make itself felt as a fault in memory.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			ok, j.mem = false, nil
		}
	}()
	copy(j.mem[j.used:], b.Bytes())
	j.used += b.Len()
	j.last = events[len(events)-1].Seq
	return true
}

// clear begins the journal anew, once everything in it is safe elsewhere.
func (j *journal) clear() {
	if j.mem != nil {
		clear(j.mem[:j.used])
	}
	j.used = 0
}

// left returns the events after seq that an earlier run left. Lines that are
// torn, or no events, are passed over.
func (j *journal) left(seq int64) (events []presence.Event) {
	for line := range bytes.Lines(j.mem) {
		var e presence.Event
		if json.Unmarshal(bytes.Trim(line, "\x00"), &e) == nil && e.Seq > seq && e.Type != "" {
			events, seq = append(events, e), e.Seq
		}
	}
	return events
}

// recover puts into db what a killed run wrote down but could not commit.
func (s *Store) recover(db *database) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.journal.read {
		return nil
	}
	if err := s.journal.open(s.dir); err != nil {
		s.log.Debug("there is no journal: events go into the database at once", "err", err)
	}
	var saved int64
	if err := db.conn.QueryRowContext(always, "SELECT coalesce(max(seq), 0) FROM events").Scan(&saved); err != nil {
		return err
	}
	if left := s.journal.left(saved); len(left) > 0 {
		if err := db.write(&batch{events: left}); err != nil {
			return err
		}
		s.log.Info("events of a run that did not end in good order are in the database now", "events", len(left))
	}
	if err := db.sync(); err != nil {
		return err
	}
	s.journal.used = len(s.journal.mem)
	s.journal.clear()
	s.journal.read = true
	return nil
}

// noted reports whether all events that wait for the database are in the
// journal, so that there is no hurry.
func (s *Store) noted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.db != nil && s.fault == nil && (s.tail.countWaiting() == 0 || s.journal.last >= s.seq)
}

// clearJournal begins the journal anew when the database has everything in it.
// synced is the last event that is safe from a power cut.
func (s *Store) clearJournal(db *database, synced int64) error {
	s.mu.Lock()
	last, full := s.journal.last, s.journal.used > journalSize*3/4
	s.mu.Unlock()
	if last > synced {
		if !full {
			return nil // the next time will do
		}
		if err := db.sync(); err != nil {
			return fmt.Errorf("syncing the database: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.journal.last <= max(synced, s.tail.saved) {
		s.journal.clear()
	}
	return nil
}
