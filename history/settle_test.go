package history

import (
	"database/sql"
	"path/filepath"
	"testing"

	"porchlight/presence"
)

func TestSettle(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if s.Head() != 0 {
		t.Errorf("an empty log ends at %d", s.Head())
	}
	s.Append([]presence.Event{{Type: presence.Arrived}, {Type: presence.Left}})
	if s.Head() != 2 {
		t.Errorf("the log ends at %d", s.Head())
	}
	other, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "porchlight.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for seq := int64(1); seq <= 2; seq++ {
		s.SetCursor("mail", seq)
		s.SetMeta("mail", string(rune('a'+seq)))
		if err := s.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Another process sees it, so a kill would not take it back.
		var at int64
		var meta string
		if err := other.QueryRow("SELECT seq FROM cursors WHERE consumer = 'mail'").Scan(&at); err != nil || at != seq {
			t.Errorf("the cursor is at %d, %v; want %d", at, err, seq)
		}
		if err := other.QueryRow("SELECT value FROM meta WHERE key = 'mail'").Scan(&meta); err != nil || meta != string(rune('a'+seq)) {
			t.Errorf("the note says %q, %v", meta, err)
		}
	}
	s.Append([]presence.Event{{Type: presence.Arrived}})
	if got := s.Behind(); len(got) != 1 || got["mail"] != 1 {
		t.Errorf("behind: %v", got)
	}
	closed(t, s)
	if err := s.Settle(t.Context()); err == nil {
		t.Error("a closed store settles")
	}
}

// The numbers that are left out after an unclean end are no events that wait.
func TestBehindAfterUncleanEnds(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	s.Append(arrivals(3))
	s.SetCursor("mail", 2)
	for range 2 {
		closed(t, s)
		db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "porchlight.db"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("UPDATE log SET clean = 0"); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir)
	}
	if at, err := s.Cursor(t.Context(), "mail"); err != nil || at != 2 {
		t.Fatal(at, err)
	}
	s.Append(arrivals(2))
	if s.Head() < 2*afterLoss {
		t.Errorf("the log ends at %d: no number was left out", s.Head())
	}
	if got := s.Behind()["mail"]; got != 3 {
		t.Errorf("behind by %d, want 3", got)
	}
}
