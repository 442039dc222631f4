package connections

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/sqlitefile"
)

func openStore(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := OpenStore(t.Context(), dir, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func add1(t *testing.T, s *Store, snapshot *Snapshot, keep Keep) {
	t.Helper()
	if err := s.Add(t.Context(), snapshot, keep); err != nil {
		t.Fatal(err)
	}
}

func numbers(t *testing.T, s *Store) (all []int64) {
	t.Helper()
	list, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		all = append(all, e.Number)
	}
	return all
}

// What is stored is read again as it was, over more than one whole snapshot and
// a reboot; the average of a thousand connections is under 20 kB.
func TestStore(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	var all []*Snapshot
	for i := range 2*fullEvery + 3 {
		next := busy(1000, 1)
		if i > 0 {
			next = later(all[i-1], uint64(i))
		}
		if i == fullEvery/2 {
			next.Boot, next.Uptime = "another", time.Minute
			next.settle()
		}
		add1(t, s, next, Keep{})
		all = append(all, next)
	}
	list, err := s.List(t.Context())
	if err != nil || len(list) != len(all) {
		t.Fatalf("%d of %d in the list, %v", len(list), len(all), err)
	}
	total := 0
	for i, e := range list {
		total += e.Bytes
		if e.Number != int64(i+1) || e.Connections != 1000 || (i == 0 && e.Listeners != 100) || !e.Time.Equal(all[i].Time) || e.Boot != all[i].Boot {
			t.Fatalf("entry %d: %+v", i, e)
		}
	}
	average := total / len(all)
	t.Logf("1,000 connections: a whole snapshot takes %d bytes, a difference %d, all %d on average", list[0].Bytes, list[1].Bytes, average)
	if average > 20_000 {
		t.Errorf("%d bytes on average", average)
	}
	for _, i := range []int{0, fullEvery/2 - 1, fullEvery / 2, len(all) - 1} {
		got, err := s.Load(t.Context(), int64(i+1))
		if err != nil {
			t.Fatal(err)
		}
		want := *all[i]
		if diff := cmp.Diff(want.Connections, got.Connections, same); diff != "" || !got.Time.Equal(want.Time) || got.Boot != want.Boot || got.Uptime != want.Uptime {
			t.Fatalf("snapshot %d: %s", i+1, diff)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, "connections.db"))
	if err != nil || info.Size() > int64(len(all))*20_000 || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
}

// What an older version has stored is there, and what is usual finds room.
func TestOlderFile(t *testing.T) {
	dir := t.TempDir()
	old, err := sqlitefile.Open(t.Context(), filepath.Join(dir, file), true, schema[0])
	if err != nil {
		t.Fatal(err)
	}
	add1(t, &Store{old}, busy(10, 1), Keep{})
	must(t, old.Close())
	s := openStore(t, dir)
	add1(t, s, busy(20, 1), Keep{})
	for n, want := range map[int64]int{1: 10, 2: 20} {
		if got, err := s.Load(t.Context(), n); err != nil || len(got.Connections) != want {
			t.Errorf("snapshot %d: %v", n, err)
		}
	}
	if b, err := s.Baseline(t.Context()); err != nil || b != nil {
		t.Errorf("usual at first: %q, %v", b, err)
	}
	for _, want := range []string{"one", "another"} {
		must(t, s.SetBaseline(t.Context(), []byte(want)))
		if b, err := s.Baseline(t.Context()); err != nil || string(b) != want {
			t.Errorf("usual: %q, %v", b, err)
		}
	}
}

func TestNothingStored(t *testing.T) {
	if _, err := OpenStore(t.Context(), t.TempDir(), false); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
	s := openStore(t, filepath.Join(t.TempDir(), "not", "there"))
	if _, err := s.Load(t.Context(), 1); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
}

// What is too old goes with the whole snapshot that it builds on, never the last
// ones; a clock that jumped ahead empties nothing.
func TestRetention(t *testing.T) {
	s := openStore(t, t.TempDir())
	one := busy(3, 1)
	at := func(d time.Duration) *Snapshot {
		next := *one
		next.Time = began.Add(d)
		return &next
	}
	keep := Keep{Age: 24 * time.Hour}
	for i := range 5 * fullEvery {
		add1(t, s, at(time.Duration(i)*time.Hour), keep)
	}
	first := numbers(t, s)[0]
	if n := len(numbers(t, s)); n != leastKept || first != 3*fullEvery+1 {
		t.Fatalf("%d are left, from %d on", n, first)
	}
	add1(t, s, at(10*365*24*time.Hour), keep)
	add1(t, s, at(1000*time.Hour), keep)
	left := numbers(t, s)
	if len(left) < leastKept {
		t.Errorf("%d are left after the clock jumped", len(left))
	}
	for _, n := range []int64{left[0], left[len(left)-1]} {
		if _, err := s.Load(t.Context(), n); err != nil {
			t.Error(err)
		}
	}

	small := Keep{Size: 1}
	for range 3 {
		add1(t, s, at(1001*time.Hour), small)
	}
	if got := numbers(t, s); len(got) > fullEvery+3 {
		t.Errorf("%d are left of too many bytes", len(got))
	} else if _, err := s.Load(t.Context(), got[0]); err != nil {
		t.Error(err)
	}
}

// A month of one snapshot a second is no harder to add to than a minute of them.
func TestAddingToMany(t *testing.T) {
	few, many := openStore(t, t.TempDir()), openStore(t, t.TempDir())
	_, err := many.db.ExecContext(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
		INSERT INTO snapshots SELECT i, i - i % ?, ?, 'b', i, 3, 1, zeroblob(100) FROM n`, fullEvery, began.UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	least := map[*Store]time.Duration{few: time.Hour, many: time.Hour}
	for range 10 { // in turns: others have the machine too
		for _, s := range []*Store{few, many} {
			start := time.Now()
			add1(t, s, busy(3, 1), Keep{Age: 24 * time.Hour, Size: 1 << 30})
			least[s] = min(least[s], time.Since(start))
		}
	}
	if least[many] > 15*least[few] {
		t.Errorf("adding one takes %s, with many others %s", least[few], least[many])
	}
}

// A file that is damaged says so, and is gone on with.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	one := busy(10, 1)
	for range 3 {
		next := *one
		add1(t, s, &next, Keep{})
	}
	if _, err := s.db.ExecContext(t.Context(), "UPDATE snapshots SET data = x'00112233' WHERE number = 2"); err != nil {
		t.Fatal(err)
	}
	for number, bad := range map[int64]bool{1: false, 2: true, 3: true} {
		if _, err := s.Load(t.Context(), number); errors.Is(err, errDamaged) != bad {
			t.Errorf("%d: %v", number, err)
		}
	}
	next := *one
	add1(t, s, &next, Keep{})
	if got, err := s.Load(t.Context(), next.Number); err != nil || len(got.Connections) != 10 {
		t.Error(err)
	}
	if _, err := s.db.ExecContext(t.Context(), fmt.Sprintf("PRAGMA user_version = %d", len(schema)+1)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStore(t.Context(), dir, false); err == nil || !strings.Contains(err.Error(), "a newer Porchlight") {
		t.Error(err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "connections.db"), []byte(strings.Repeat("no database", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStore(t.Context(), other, false); err == nil || !strings.Contains(err.Error(), "connections.db") {
		t.Error(err)
	}
}

// Several at once take turns.
func TestTwoWriters(t *testing.T) {
	dir := t.TempDir()
	var each sync.WaitGroup
	for range 4 {
		s := openStore(t, dir)
		each.Go(func() {
			for i := range 10 {
				if err := s.Add(t.Context(), busy(20, uint64(i)), Keep{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	each.Wait()
	s := openStore(t, dir)
	all := numbers(t, s)
	if len(all) != 40 || all[39] != 40 {
		t.Fatalf("%v", all)
	}
	for _, n := range all {
		if got, err := s.Load(t.Context(), n); err != nil || len(got.Connections) != 20 {
			t.Fatal(n, err)
		}
	}
}
