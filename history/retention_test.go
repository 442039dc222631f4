package history

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porchlight/presence"
)

// days lets n devices come and go once a day each, for some days up to now.
func days(s *Store, n, from, to int) {
	devices := arrivals(n)
	midnight := time.Now().Truncate(24 * time.Hour)
	for day := from; day > to; day-- {
		var events []presence.Event
		for hour := range 2 {
			for _, e := range devices {
				e.Time = midnight.Add(-time.Duration(day)*24*time.Hour + time.Duration(8+8*hour)*time.Hour)
				e.Why = strings.Repeat("heard a DHCP REQUEST ", 4)
				if hour == 1 {
					e.Type = presence.Left
				}
				events = append(events, e)
			}
		}
		s.Append(events)
		s.SetCursor("mqtt", s.Recent()[len(s.Recent())-1].Seq)
		time.Sleep(5 * time.Second) // to sync, and to begin the journal anew
	}
}

func TestRetentionOfSessions(t *testing.T) {
	running(t, []Option{Keep(30*24*time.Hour, 0)}, func(t *testing.T, s *Store) {
		days(s, 10, 60, 0)
		old := home(arrivals(11)[10], time.Now().Add(-300*24*time.Hour))
		s.SaveDevices([]presence.Record{old})
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		for query, want := range map[string]int{
			"SELECT count(*) FROM events WHERE time < %d": 0, "SELECT count(*) FROM events WHERE time >= %d": 2 * 10 * 30,
			"SELECT count(*) FROM sessions WHERE ended < %d AND ended <> 0": 0, "SELECT count(*) FROM sessions WHERE ended >= %d": 10 * 30,
			"SELECT count(*) FROM sessions WHERE began < %d AND ended = 0": 1, // who is home keeps the session
		} {
			cutoff := time.Now().Add(-30 * 24 * time.Hour).UnixMilli()
			if got := value[int](t, s, fmt.Sprintf(query, cutoff)); got < want-20 || got > want+20 || want < 10 && got != want {
				t.Errorf("%s: %d, want %d", query, got, want)
			}
		}
	})
}

func TestRetentionBySize(t *testing.T) {
	const limit = 512 << 10
	running(t, []Option{Keep(10*365*24*time.Hour, limit)}, func(t *testing.T, s *Store) {
		days(s, 50, 60, 0)
		before := s.Size(t.Context())
		if before < limit {
			t.Fatalf("the database has only %d bytes", before)
		}
		for range 3600 { // nothing waits for it
			time.Sleep(time.Second)
			now := time.Now()
			s.Append([]presence.Event{{Type: presence.SensingBack, Time: now, Interface: "eth0"}})
			if waited := time.Since(now); waited > 0 {
				t.Fatalf("an event waited %s", waited)
			}
		}
		synctest.Wait()
		after := s.Size(t.Context())
		if after > limit || after < limit/2 {
			t.Errorf("the database has %d bytes, it had %d and may have %d", after, before, limit)
		}
		if n := value[int](t, s, "SELECT count(*) FROM sessions WHERE ended < (SELECT min(time) FROM events)"); n > 0 {
			t.Errorf("%d sessions are older than all events", n)
		}
		if len(s.Skipped()) > 0 {
			t.Errorf("skipped %v, and all was delivered", s.Skipped())
		}
		for range 3 { // what was copied back from the write-ahead log
			if _, err := s.db.checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if info, err := os.Stat(s.path); err != nil || info.Size() > limit+limit/8 {
			t.Errorf("the file has %d bytes, %v", info.Size(), err)
		}
	})
}

// The size is kept even so when a consumer has had nothing, and that is told.
func TestSkippedIsTold(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s, err := Open(dir, slog.New(slog.NewTextHandler(&log, nil)), Keep(24*time.Hour, 384<<10))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- s.Run(ctx) }()
		if _, err := s.Cursor(ctx, "notify"); err != nil {
			t.Fatal(err)
		}
		days(s, 50, 4, 0) // older than they may be, and within the size
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := value[int](t, s, "SELECT count(*) FROM events"); n != 400 || len(s.Skipped()) > 0 || log.Len() > 0 {
			t.Errorf("%d events are left of 400 that were not delivered; skipped %v\n%s", n, s.Skipped(), &log)
		}
		days(s, 50, 24, 0)
		time.Sleep(time.Hour)
		synctest.Wait()
		given := 400 + 24*100
		left := value[int](t, s, "SELECT count(*) FROM events")
		if left == given || s.Skipped()["notify"] != given-left || s.Skipped()["mqtt"] != 0 {
			t.Errorf("%d of %d events are left, skipped %v", left, given, s.Skipped())
		}
		if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "consumer=notify") {
			t.Errorf("the log does not say so:\n%s", &log)
		}
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		closed(t, s)
	})
}

// What was taken out of the settings holds nothing back.
func TestConsumerThatIsNoMore(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		for run := range 2 {
			s, err := Open(dir, slog.New(slog.DiscardHandler), Keep(24*time.Hour, 0))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ran := make(chan error)
			go func() { ran <- s.Run(ctx) }()
			if run == 0 {
				s.SetCursor("notify:away", 0)
				days(s, 10, 5, 0)
			} else {
				s.SetCursor("mqtt", s.Head())
			}
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			if n := value[int](t, s, "SELECT count(*) FROM events"); run == 0 && n != 100 || run == 1 && n > 20 || len(s.Skipped()) > 0 {
				t.Errorf("run %d: %d of 100 events are left, skipped %v", run, n, s.Skipped())
			}
			cancel()
			if err := <-ran; err != nil {
				t.Error(err)
			}
			closed(t, s)
		}
	})
}
