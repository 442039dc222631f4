package traffic

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"testing"
	"time"
)

// TestBytesWrittenPerDay stores six hours of rounds of a minute, while as
// many become an hour each, and prints how much is written, times four: the bytes of
// the process's write calls (wchar in /proc/self/io), nearly all of which are
// SQLite's here.
func TestBytesWrittenPerDay(t *testing.T) {
	written := func() (n int64) {
		b, err := os.ReadFile("/proc/self/io")
		if err != nil {
			t.Skip("no /proc/self/io")
		}
		_, rest, _ := bytes.Cut(b, []byte("wchar:"))
		if _, err := fmt.Sscan(string(rest), &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const before, more = 24 * 60, 6 * 60
	var like []Round
	for i := range 50 {
		like = append(like, household(i))
	}
	round := func(i int) Round {
		r := like[i%len(like)]
		r.Start = noon.Add(time.Duration(i) * time.Minute)
		return r
	}
	s := openStore(t, t.TempDir())
	s.ages = ages{hours: day - 2*time.Hour, days: 100 * day}
	err := s.db.Within(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		for i := range before {
			r := round(i)
			if err := insert(ctx, tx, &r); err != nil {
				return err
			}
		}
		for range before / 60 { // as they would be by now
			if err := sumUp(ctx, tx, noon.Add(before*time.Minute)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		_, err = s.db.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	if err != nil {
		t.Fatal(err)
	}
	start := written()
	for i := range more {
		addAll(t, s, round(before+i))
	}
	total := 4 * (written() - start)
	t.Logf("%.1f MB a day", float64(total)/1e6)
	if hours := len(all(t, s)); hours == before+more {
		t.Error("none became an hour")
	}
	if total > 60e6 {
		t.Error("that wears out an SD card")
	}
}
