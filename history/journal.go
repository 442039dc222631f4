package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"porchlight/presence"
)

// journal is where events are written down before anything is published: a
// line of JSON each, at the end of one file, which takes a tenth of the time of
// a commit. The database has them a moment later, all in one transaction; what
// a killed process left in the journal goes into it at the next start. It
// belongs to the writer.
type journal struct {
	file *os.File // nil: not open
	size int64
	last int64 // the last event in it
	read bool  // what an earlier run left is in the database
}

const (
	journalName = "events.journal"
	// journalSize is how large the journal grows before it begins anew.
	journalSize = 256 << 10
	// commitDelay is how long the database comes after the journal: long enough
	// for a state to be on its way to the people who wait for it.
	commitDelay = 3 * time.Millisecond
)

// open opens the journal of dir for appending.
func (j *journal) open(dir string) error {
	if j.file != nil {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(dir, journalName), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	j.file, j.size = f, info.Size()
	return nil
}

func (j *journal) close() {
	if j.file != nil {
		_ = j.file.Close()
		j.file = nil
	}
}

// add writes events down. On an error it is as before, and closed.
func (j *journal) add(events []presence.Event) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for i := range events {
		if err := enc.Encode(&events[i]); err != nil {
			return err
		}
	}
	n, err := j.file.Write(b.Bytes())
	if err != nil {
		_ = j.file.Truncate(j.size) // a torn line is passed over in any case
		j.close()
		return err
	}
	j.size += int64(n)
	j.last = events[len(events)-1].Seq
	return nil
}

// clear begins the journal anew, once everything in it is safe elsewhere.
func (j *journal) clear() error {
	if j.file == nil || j.size == 0 {
		return nil
	}
	if err := j.file.Truncate(0); err != nil {
		return err
	}
	j.size = 0
	return nil
}

// events returns the events after seq that an earlier run left. Lines that are
// torn, or no events, are passed over.
func (j *journal) events(seq int64) (left []presence.Event, err error) {
	lines := bufio.NewScanner(&fromStart{j.file, 0})
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e presence.Event
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Seq > seq && e.Type != "" {
			left, seq = append(left, e), e.Seq
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return left, nil
	}
	return left, lines.Err()
}

// fromStart reads a file without moving its place.
type fromStart struct {
	file *os.File
	at   int64
}

func (r *fromStart) Read(p []byte) (int, error) {
	n, err := r.file.ReadAt(p, r.at)
	r.at += int64(n)
	return n, err
}

// recover puts into db what a killed run wrote down but could not commit.
func (s *Store) recover(db *database) error {
	if s.journal.read {
		return nil
	}
	if err := s.journal.open(s.dir); err != nil {
		return fmt.Errorf("opening the journal of events: %w", err)
	}
	var saved int64
	if err := db.conn.QueryRowContext(always, "SELECT coalesce(max(seq), 0) FROM events").Scan(&saved); err != nil {
		return err
	}
	left, err := s.journal.events(saved)
	if err != nil {
		return fmt.Errorf("reading the journal of events: %w", err)
	}
	if len(left) > 0 {
		if err := db.write(&batch{events: left}); err != nil {
			return err
		}
		s.log.Info("events of a run that did not end in good order are in the database now", "events", len(left))
	}
	s.journal.read = true
	return nil
}

// note writes the events that wait into the journal, and lets those go who
// waited for that. false means that they must go into the database at once.
func (s *Store) note() bool {
	s.mu.Lock()
	var events []presence.Event
	if s.db != nil && s.fault == nil {
		waiting := s.tail.after(max(s.tail.saved, s.journal.last), s.seq, eventsPerCommit)
		events = append(events, waiting...)
	}
	ready := s.db != nil && s.fault == nil
	s.mu.Unlock()
	if !ready {
		return false
	}
	if len(events) == 0 {
		return true
	}
	if s.journal.open(s.dir) != nil || s.journal.add(events) != nil {
		return false // the database will say what is wrong
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noted = s.journal.size
	s.show(s.journal.last)
	s.release(s.journal.last)
	return s.tail.index(s.seq) == s.tail.index(s.journal.last)
}

// clearJournal is for when the database has everything in it, safe from a power cut.
func (s *Store) clearJournal() error {
	if err := s.journal.clear(); err != nil {
		return fmt.Errorf("beginning the journal of events anew: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noted = 0
	return nil
}
