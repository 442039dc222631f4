package history

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/presence"
)

// lines writes a journal as a killed run leaves it.
func lines(t *testing.T, dir string, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, journalName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestJournalIsRecovered: what was written down and not committed is in the log
// after the next start, once; torn lines and nonsense are passed over.
func TestJournalIsRecovered(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	given := s.Append(arrivals(3))
	committed(t, s)
	text, err := os.ReadFile(filepath.Join(dir, journalName))
	if err != nil {
		t.Fatal(err)
	}
	closed(t, s)
	if after, err := os.ReadFile(filepath.Join(dir, journalName)); err != nil || len(bytes.Trim(after, "\x00")) != 0 {
		t.Fatalf("the journal after a good end: %q, %v", after, err)
	}
	text = bytes.Trim(text, "\x00")

	lines(t, dir, string(text)+ // the database has these
		`{"event_type":"left","seq":4,"time":"2026-03-01T10:00:00.5Z","id":"02005e100001","why":"killed"}`+"\n"+
		"\x00\x00 nonsense\n"+
		`{"event_type":"listener_opened","seq":5,"time":"2026-03-01T10:00:01Z","why":"too","program":"nginx","protocol":"tcp","port":8443}`+"\n"+
		`{"event_type":"arrived","seq":6,"ti`)
	for range 2 { // the second start finds them in the database
		s = open(t, dir)
		got := all(t, s, 0)
		if diff := cmp.Diff([]int64{1, 2, 3, 4, 5}, seqs(got)); diff != "" {
			t.Fatalf("events (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(given, got[:3], byString); diff != "" {
			t.Error(diff)
		}
		if e := got[3]; e.Type != presence.Left || e.Why != "killed" || e.Time.Nanosecond() != 500e6 {
			t.Errorf("recovered %+v", e)
		}
		if diff := cmp.Diff(&presence.Socket{Program: "nginx", Protocol: "tcp", Port: 8443}, got[4].Socket); diff != "" {
			t.Errorf("recovered (-want +got):\n%s", diff)
		}
		closed(t, s)
	}
	s = open(t, dir)
	if seq := s.Append(arrivals(1))[0].Seq; seq <= 5 {
		t.Errorf("seq %d was given before", seq)
	}
}

// TestJournalGoesRound: it begins anew once the database has its events for good.
func TestJournalGoesRound(t *testing.T) {
	running(t, nil, func(t *testing.T, s *Store) {
		var given []presence.Event
		for range 60 {
			given = append(given, s.Append(arrivals(100))...)
			s.mu.Lock()
			in := s.journal.last
			s.mu.Unlock()
			if last := given[len(given)-1].Seq; in != last {
				t.Fatalf("the journal has no room: it has %d of %d", in, last)
			}
			time.Sleep(tick)
			synctest.Wait()
		}
		if got := all(t, s, 0); !slices.Equal(seqs(got), seqs(given)) {
			t.Errorf("%d events of %d", len(got), len(given))
		}
	})
}

// TestJournalIsFull: events that it has no room for go into the database at once.
func TestJournalIsFull(t *testing.T) {
	s := open(t, t.TempDir())
	s.mu.Lock()
	s.journal.used = journalSize - 100
	s.mu.Unlock()
	s.Append(arrivals(2))
	if n := value[int](t, s, "SELECT count(*) FROM events"); n != 2 {
		t.Errorf("%d events in the database when Append returned, want 2", n)
	}
}

// TestWithoutJournal: there is none when its place is taken.
func TestWithoutJournal(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, journalName), 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	s.Append(arrivals(2))
	if n := value[int](t, s, "SELECT count(*) FROM events"); n != 2 || s.Fault() != nil {
		t.Errorf("%d events in the database when Append returned, want 2; fault %v", n, s.Fault())
	}
}
