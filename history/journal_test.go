package history

import (
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
	if info, err := os.Stat(filepath.Join(dir, journalName)); err != nil || info.Size() != 0 {
		t.Fatalf("the journal after a good end: %v, %v", info, err)
	}

	lines(t, dir, string(text)+ // the database has these
		`{"event_type":"left","seq":4,"time":"2026-03-01T10:00:00.5Z","id":"02005e100001","why":"killed"}`+"\n"+
		"\x00\x00 nonsense\n"+
		`{"event_type":"arrived","seq":5,"time":"2026-03-01T10:00:01Z","id":"02005e100001","why":"too"}`+"\n"+
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
		closed(t, s)
	}
	s = open(t, dir)
	if seq := s.Append(arrivals(1))[0].Seq; seq <= 5 {
		t.Errorf("seq %d was given before", seq)
	}
}

// TestJournalIsBounded: it begins anew once the database has its events for good.
func TestJournalIsBounded(t *testing.T) {
	running(t, nil, func(t *testing.T, s *Store) {
		var given []presence.Event
		for range 60 {
			given = append(given, s.Append(arrivals(100))...)
			time.Sleep(tick)
			synctest.Wait()
			if info, err := os.Stat(filepath.Join(s.dir, journalName)); err != nil || info.Size() > 5*journalSize {
				t.Errorf("the journal has %d bytes, %v", info.Size(), err)
			}
		}
		if got := all(t, s, 0); !slices.Equal(seqs(got), seqs(given)) {
			t.Errorf("%d events of %d", len(got), len(given))
		}
	})
}

// TestWithoutJournal: events go straight into the database when there can be no
// journal.
func TestWithoutJournal(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.Append(arrivals(1))
	committed(t, s)
	_ = s.journal.file.Close() // writes fail from now on
	if err := os.Remove(filepath.Join(dir, journalName)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, journalName), 0o700); err != nil {
		t.Fatal(err)
	}
	given := s.Append(arrivals(2))
	if n := value[int](t, s, "SELECT count(*) FROM events"); n != 3 {
		t.Errorf("%d events in the database when Append returned, want 3", n)
	}
	if seqs(given)[1] != 3 || s.Fault() != nil {
		t.Errorf("given %v, fault %v", seqs(given), s.Fault())
	}
}
