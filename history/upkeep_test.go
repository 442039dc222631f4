package history

import (
	"context"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"porchlight/presence"
)

// running opens a store and runs it in a bubble of time of its own.
func running(t *testing.T, opts []Option, test func(t *testing.T, s *Store)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(dir, slog.New(slog.DiscardHandler), opts...)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ran := make(chan error)
		go func() { ran <- s.Run(ctx) }()
		test(t, s)
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		closed(t, s)
	})
}

func value[V any](t *testing.T, s *Store, query string) (v V) {
	t.Helper()
	if err := s.db.pool.QueryRowContext(context.Background(), query).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// What is written when: counted in transactions, and read from the file.
func TestCadence(t *testing.T) {
	running(t, nil, func(t *testing.T, s *Store) {
		commits := func() int {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.commits
		}
		lastSeen := func() int64 { return value[int64](t, s, "SELECT sum(last_seen) FROM seen") }

		devices := make([]presence.Record, 50)
		for i, e := range arrivals(50) {
			devices[i] = presence.Record{Device: presence.Device{ID: e.ID, State: presence.Home, LastSeen: time.Now()}}
		}
		s.SaveDevices(devices)
		time.Sleep(2 * commitDelay)
		synctest.Wait()
		if n := commits(); n != 1 {
			t.Fatalf("%d transactions for 50 new devices, want 1", n)
		}

		before, first := commits(), lastSeen()
		for second := range 180 {
			time.Sleep(time.Second)
			d := &devices[second%50]
			d.LastSeen = time.Now()
			s.SaveDevices([]presence.Record{*d})
			if second == 50 && lastSeen() != first {
				t.Error("sightings were written before the minute")
			}
		}
		synctest.Wait()
		if n := commits() - before; n != 3 {
			t.Errorf("%d transactions for 3 minutes of sightings, want 3", n)
		}
		if lastSeen() == first {
			t.Error("sightings were never written")
		}

		before = commits()
		devices[3].State = presence.NotHome
		s.SaveDevices(devices[3:4])
		time.Sleep(2 * commitDelay)
		synctest.Wait()
		if n := commits() - before; n != 1 || value[int](t, s, "SELECT count(*) FROM devices WHERE state = 'not_home'") != 1 {
			t.Errorf("a change of state was not written at once, %d transactions", n)
		}

		time.Sleep(time.Minute) // the last sightings from above
		synctest.Wait()
		before = commits()
		devices[4].Device.AwayAfter = 40 * time.Second
		s.SaveDevices(devices[4:5])
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := commits() - before; n != 0 {
			t.Errorf("what was learned was written within 5 minutes, %d transactions", n)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := value[int](t, s, "SELECT away_after FROM models WHERE device = '"+string(devices[4].ID)+"'"); got != 40_000 {
			t.Errorf("learned timeout %d, want 40000", got)
		}

		before = commits()
		for i := range 100 {
			s.SetCursor("mqtt", int64(i))
			s.SetCursor("notify", int64(i))
		}
		time.Sleep(tick + 2*commitDelay)
		synctest.Wait()
		if n := commits() - before; n != 1 || value[int](t, s, "SELECT sum(seq) FROM cursors") != 198 {
			t.Errorf("cursors after a second: %d transactions, want 1", n)
		}
	})
}

// Within about a second after a commit it is on the disk.
func TestSyncedWithinASecond(t *testing.T) {
	running(t, nil, func(t *testing.T, s *Store) {
		s.Append(arrivals(1))
		time.Sleep(2 * commitDelay)
		synctest.Wait()
		unsynced := func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.unsynced
		}
		if !unsynced() {
			t.Error("Append waited for the disk")
		}
		time.Sleep(tick + time.Millisecond)
		synctest.Wait()
		if unsynced() {
			t.Error("not synced after a second")
		}
	})
}

// The write-ahead log does not grow for ever.
func TestCheckpoint(t *testing.T) {
	running(t, nil, func(t *testing.T, s *Store) {
		var largest int64
		for range 5 {
			for range checkpointAfter {
				s.Append(arrivals(1))
				time.Sleep(2 * commitDelay)
			}
			time.Sleep(tick + time.Millisecond)
			synctest.Wait()
			info, err := os.Stat(s.path + "-wal")
			if err != nil {
				t.Fatal(err)
			}
			if largest == 0 {
				largest = info.Size()
			} else if info.Size() > largest*3/2 {
				t.Errorf("the log grew from %d to %d bytes", largest, info.Size())
			}
		}
		t.Logf("write-ahead log after %d commits: %d kB", checkpointAfter, largest/1000)
	})
}

func TestRetention(t *testing.T) {
	old := func(s *Store, n int, age time.Duration) {
		events := arrivals(n)
		for i := range events {
			events[i].Time = time.Now().Add(-age)
		}
		s.Append(events)
	}
	count := func(t *testing.T, s *Store) int { return value[int](t, s, "SELECT count(*) FROM events") }
	const day = 24 * time.Hour

	t.Run("age", func(t *testing.T) {
		running(t, []Option{Keep(30*day, 0), keepCount(10_000)}, func(t *testing.T, s *Store) {
			old(s, 300, 40*day)
			old(s, 100, 29*day)
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			if n := count(t, s); n != 100 {
				t.Errorf("%d events left, want 100", n)
			}
			time.Sleep(1*day + time.Hour)
			synctest.Wait()
			if n := count(t, s); n != 1 {
				t.Errorf("%d events left, want the newest", n)
			}
		})
	})
	t.Run("count", func(t *testing.T) {
		running(t, []Option{Keep(30*day, 0), keepCount(1000)}, func(t *testing.T, s *Store) {
			for range 30 {
				old(s, 100, 0)
			}
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			if n := count(t, s); n != 1000 {
				t.Errorf("%d events left, want 1000", n)
			}
			if got := all(t, s, 0); len(got) != 1024 || got[0].Seq != 1977 {
				t.Errorf("%d events seen, from %d: those in memory stay", len(got), got[0].Seq)
			}
		})
	})
	t.Run("unread", func(t *testing.T) {
		running(t, []Option{Keep(30*day, 0), keepCount(1000)}, func(t *testing.T, s *Store) {
			s.SetCursor("mqtt", 150)
			old(s, 1500, 40*day)
			time.Sleep(5 * time.Hour)
			synctest.Wait()
			if n := count(t, s); n != 1350 {
				t.Errorf("%d events left, want 1350: the rest is unread", n)
			}
			for range 20 {
				old(s, 100, 0)
			}
			time.Sleep(5 * time.Hour)
			synctest.Wait()
			if n := count(t, s); n > 2000 || n < 1750 {
				t.Errorf("%d events left, want about 2000: the log is bounded", n)
			}
		})
	})
	t.Run("clock jumped ahead", func(t *testing.T) {
		running(t, []Option{Keep(30*day, 0), keepCount(10_000)}, func(t *testing.T, s *Store) {
			old(s, 5000, 40*day)
			old(s, 1, 0)
			time.Sleep(time.Hour - time.Minute)
			synctest.Wait()
			if n := count(t, s); n < 4000 {
				t.Errorf("%d events left after an hour, want 4000", n)
			}
		})
	})
}
