package traffic

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/sqlitefile"
)

// quick are ages that a test lives to see.
var quick = ages{hours: 3 * time.Hour, days: 50 * time.Hour}

func openStore(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := OpenStore(t.Context(), dir, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	s.ages = quick
	return s
}

var only = Key{"eth0", TCP, In}

// small is a round of one packet and so many bytes.
func small(start time.Time, length time.Duration, bytes uint64) Round {
	return Round{Start: start, Length: length, Counted: length, Counts: map[Key]Count{only: {1, bytes}}}
}

func addAll(t *testing.T, s *Store, rounds ...Round) {
	t.Helper()
	for _, r := range rounds {
		if err := s.Add(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

// addEvery adds n rounds of a minute each, with step from one start to the next.
func addEvery(t *testing.T, s *Store, start time.Time, step time.Duration, n int) {
	t.Helper()
	for i := range n {
		addAll(t, s, small(start.Add(time.Duration(i)*step), time.Minute, 100))
	}
}

func all(t *testing.T, s *Store) []Round {
	t.Helper()
	return between(t, s, time.Time{}, noon.AddDate(200, 0, 0))
}

func between(t *testing.T, s *Store, since, until time.Time) (rounds []Round) {
	t.Helper()
	err := s.Each(t.Context(), since, until, func(r *Round) error {
		rounds = append(rounds, *r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return rounds
}

// amount is what all rounds have together.
func amount(rounds []Round) (c Count) {
	for _, r := range rounds {
		c.Add(r.Counts[only])
	}
	return c
}

func TestStore(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenStore(t.Context(), dir, false); !errors.Is(err, ErrEmpty) {
		t.Fatal(err)
	}
	s := openStore(t, dir)
	if _, _, err := s.Span(t.Context()); !errors.Is(err, ErrEmpty) {
		t.Error(err)
	}
	want := []Round{household(0), household(1), household(2)}
	addAll(t, s, want...)
	if diff := cmp.Diff(want, all(t, s), sameRounds); diff != "" {
		t.Errorf("what is stored (-want +got):\n%s", diff)
	}
	first, last, err := s.Span(t.Context())
	if err != nil || !first.Equal(noon) || !last.Equal(noon.Add(3*time.Minute)) {
		t.Error(first, last, err)
	}
	for name, c := range map[string]struct {
		since, until time.Duration
		want         []Round
	}{
		"all":             {0, 3 * time.Minute, want},
		"the middle":      {time.Minute, 2 * time.Minute, want[1:2]},
		"parts of two":    {30 * time.Second, 90 * time.Second, want[:2]},
		"before":          {-time.Hour, 0, nil},
		"after":           {3 * time.Minute, time.Hour, nil},
		"within one":      {time.Second, 2 * time.Second, want[:1]},
		"backwards":       {time.Minute, 0, nil},
		"much too long":   {-200 * 365 * day / 2, 200 * 365 * day / 2, want},
		"nothing of none": {0, 0, nil},
	} {
		got := between(t, s, noon.Add(c.since), noon.Add(c.until))
		if diff := cmp.Diff(c.want, got, sameRounds); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	buckets, err := s.Buckets(t.Context(), noon, noon.Add(3*time.Minute), time.Minute)
	if diff := cmp.Diff(want, buckets, sameRounds); err != nil || diff != "" {
		t.Errorf("buckets: %v %s", err, diff)
	}
	if err := s.Add(t.Context(), Round{Start: noon}); err == nil {
		t.Error("a round of no time was stored")
	}
	enough := errors.New("enough")
	if err := s.Each(t.Context(), noon, noon.Add(time.Hour), func(*Round) error { return enough }); err != enough { //nolint:errorlint // as it is
		t.Errorf("who is shown the rounds failed: %v", err)
	}
}

// Rounds become hours and then days as they age, and nothing is lost by it.
func TestAging(t *testing.T) {
	s := openStore(t, t.TempDir())
	const step, n = 10 * time.Minute, 5 * 24 * 6
	start := noon.Add(7 * time.Minute)
	addEvery(t, s, start, step, n)
	got := all(t, s)
	if amount(got) != (Count{n, n * 100}) {
		t.Errorf("%+v, want %d packets", amount(got), n)
	}
	var days, hours, rounds int
	end := start
	for _, r := range got {
		if r.Start.Before(end) {
			t.Errorf("one begins at %s, before the one before ends at %s", r.Start, end)
		}
		end = r.Start.Add(r.Length)
		switch age := start.Add(n * step).Sub(r.Start); {
		case r.Length == time.Minute:
			rounds++
		case r.Start.Truncate(time.Hour).Equal(end.Add(-time.Second).Truncate(time.Hour)) && age < 3*day+believed*step:
			hours++
		case r.Start.Truncate(day).Equal(end.Add(-time.Second).Truncate(day)):
			days++
		default:
			t.Errorf("one of %s from %s", r.Length, r.Start)
		}
	}
	t.Logf("%d days, %d hours, %d rounds", days, hours, rounds)
	if days < 2 || hours < 40 || rounds < believed || rounds > believed+60 {
		t.Errorf("%d days, %d hours, %d rounds", days, hours, rounds)
	}
}

// A clock that was wrong for less than an hour merges and deletes nothing; one
// that stays wrong deletes a little at a time.
func TestClockAhead(t *testing.T) {
	s := openStore(t, t.TempDir())
	s.Keep.Age = 30 * day
	addEvery(t, s, noon, time.Minute, 90)
	ahead := noon.AddDate(10, 0, 0)
	addEvery(t, s, ahead, time.Minute, believed-1)
	if n := len(all(t, s)); n != 90+believed-1 {
		t.Errorf("%d rounds are left", n)
	}
	addEvery(t, s, noon.Add(90*time.Minute), time.Minute, believed) // it was set right
	if got := all(t, s); len(got) != 90+2*believed-1 {
		t.Errorf("%d rounds are left", len(got))
	}
	s.ages = ages{hours: 100 * 365 * day, days: 100 * 365 * day}
	addEvery(t, s, noon.Add(-10*time.Hour), time.Minute, 600)
	before := amount(all(t, s)).Packets
	addEvery(t, s, ahead.Add(day), time.Minute, believed+3)
	gone := before + believed + 3 - amount(all(t, s)).Packets
	if most := uint64(4 * (60 + deletedForAge)); gone == 0 || gone > most {
		t.Errorf("%d packets are gone after 4 rounds, want %d at most", gone, most)
	}
	addEvery(t, s, ahead.Add(2*day), time.Minute, 200)
	for _, r := range all(t, s) {
		if r.Start.Before(ahead) {
			t.Errorf("one of %s is left, when the clock has been so for long", r.Start)
		}
	}
}

// What a clock that was set back makes of a time that was there is there twice,
// before it is merged and after.
func TestClockBack(t *testing.T) {
	s := openStore(t, t.TempDir())
	addEvery(t, s, noon, time.Minute, 60)
	addEvery(t, s, noon, time.Minute, 60)
	addEvery(t, s, time.Unix(0, 0), time.Minute, 3)
	addEvery(t, s, time.Unix(-7200, 0), time.Minute, 3)
	if n := len(all(t, s)); n != 126 {
		t.Fatalf("%d rounds", n)
	}
	addEvery(t, s, noon.Add(day), time.Minute, 2*believed)
	addEvery(t, s, noon, time.Minute, 10) // again, when the hour is merged
	addEvery(t, s, noon.Add(day+time.Hour), time.Minute, 2*believed)
	got := between(t, s, noon, noon.Add(time.Hour))
	if len(got) != 1 || amount(got) != (Count{130, 13000}) || got[0].Counted != 130*time.Minute || got[0].Length != time.Hour {
		t.Errorf("the hour: %+v", got)
	}
	if n := amount(all(t, s)).Packets; n != 126+2*believed+10+2*believed {
		t.Errorf("%d packets", n)
	}
}

// What is too old goes, and the oldest when the file is too big.
func TestKept(t *testing.T) {
	s := openStore(t, t.TempDir())
	s.ages = usualAges
	s.Keep = Keep{Age: 10 * time.Hour}
	addEvery(t, s, noon, 10*time.Minute, 3*6*24)
	first, last, err := s.Span(t.Context())
	if kept := last.Sub(first); err != nil || kept < 10*time.Hour || kept > (10+believed/6+1)*time.Hour {
		t.Errorf("kept for %s, %v", kept, err)
	}

	const size = 100 << 10
	s.Keep = Keep{Size: size}
	for i := range 250 {
		addAll(t, s, household(100_000+i))
	}
	got := all(t, s)
	if n := len(got); n < believed || n > 240 || !got[n-1].Start.Equal(household(100_249).Start) {
		t.Errorf("%d rounds are left, the last of %s", n, got[n-1].Start)
	}
	var pages int64
	if err := s.db.QueryRowContext(t.Context(), "SELECT page_count * 4096 FROM pragma_page_count").Scan(&pages); err != nil || pages > 2*size {
		t.Errorf("%d bytes, %v", pages, err)
	}
}

// With no space nothing is stored, half or whole, and what is there can be read;
// then it goes on.
func TestNoSpace(t *testing.T) {
	s := openStore(t, t.TempDir())
	s.db.SetMaxOpenConns(1) // the limit below is of a connection
	addAll(t, s, household(0))
	limit := func(pages int) {
		t.Helper()
		if _, err := s.db.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(1)
	stored, failed := 1, 0
	for i := 1; i < 30; i++ {
		if err := s.Add(t.Context(), household(i)); err != nil {
			failed++
		} else {
			stored++
		}
	}
	if n := len(all(t, s)); n != stored || failed == 0 {
		t.Errorf("%d rounds, want %d; %d failed", n, stored, failed)
	}
	limit(1 << 30)
	addAll(t, s, household(30))
	if n := len(all(t, s)); n != stored+1 {
		t.Errorf("%d rounds, want %d", n, stored+1)
	}
}

// A damaged file says so and can be set aside; a damaged row costs that round only.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	addEvery(t, s, noon, time.Minute, 60)
	if _, err := s.db.ExecContext(t.Context(), "UPDATE rounds SET data = x'00112233' WHERE id IN (7, 8)"); err != nil {
		t.Fatal(err)
	}
	if got := all(t, s); len(got) != 60 || amount(got).Packets != 58 || got[6].Counted != 0 || got[6].Length != time.Minute {
		t.Errorf("%d rounds, %+v, the damaged one %+v", len(got), amount(got), got[6])
	}
	addEvery(t, s, noon.Add(day), time.Minute, 2*believed)
	if got := all(t, s); amount(got).Packets != 58+2*believed || got[0].Length != time.Hour || got[0].Counted != 58*time.Minute {
		t.Errorf("%+v, the hour %+v", amount(got), got[0])
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	path := filepath.Join(dir, "traffic.db")
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(file); i++ {
		file[i] ^= 0x5a
	}
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	broken, err := OpenStore(t.Context(), dir, true)
	if err == nil {
		err = broken.Add(t.Context(), household(1))
		_ = broken.Close()
	}
	if !sqlitefile.Damaged(err) || !strings.Contains(err.Error(), path) {
		t.Fatal(err)
	}
	if aside, err := sqlitefile.SetAside(path, noon); err != nil || !strings.HasPrefix(aside, path+".corrupt-") {
		t.Error(aside, err)
	}
	addAll(t, openStore(t, dir), household(1))
}

// Several at once take turns, and reading keeps nobody from writing.
func TestAtOnce(t *testing.T) {
	dir := t.TempDir()
	addEvery(t, openStore(t, dir), noon, time.Minute, 100)
	var each sync.WaitGroup
	for range 3 {
		s := openStore(t, dir)
		each.Go(func() {
			for i := range 30 {
				if err := s.Add(t.Context(), small(noon.Add(time.Duration(i)*time.Hour), time.Minute, 100)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	reader := openStore(t, dir)
	writes := 0
	err := reader.Each(t.Context(), noon, noon.Add(day), func(*Round) error {
		writes++
		return reader.Add(t.Context(), small(noon.Add(2*day), time.Minute, 100))
	})
	each.Wait()
	if got := amount(all(t, reader)).Packets; err != nil || writes < 100 || got != uint64(100+90+writes) {
		t.Errorf("%d packets, %d written while reading, %v", got, writes, err)
	}
}

// childStore is where a child adds rounds until it is killed.
const childStore = "TRAFFIC_TEST_STORE"

// TestKilled: whenever it is killed, what was stored is there once, with the
// merging that goes on meanwhile.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(childStore); dir != "" {
		addUntilKilled(t, dir)
		return
	}
	dir := t.TempDir()
	at := 0
	for range 5 {
		acked := runAndKill(t, dir, 80+rand.IntN(80))
		s := openStore(t, dir)
		got := amount(all(t, s)).Packets
		if got != uint64(acked) && got != uint64(acked+1) {
			t.Fatalf("%d packets, and %d rounds of one were stored, the next perhaps", got, acked)
		}
		if acked <= at {
			t.Fatalf("%d rounds, %d before", acked, at)
		}
		at = acked
		_ = s.Close()
	}
	s := openStore(t, dir)
	if n := len(all(t, s)); n >= at {
		t.Errorf("%d rows of %d rounds: nothing was merged", n, at)
	}
}

// runAndKill starts a child and kills it some time after it has stored at least
// this many more rounds. It returns how many there were by then in all.
func runAndKill(t *testing.T, dir string, more int) (acked int) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$", "-test.v")
	child.Env = append(os.Environ(), childStore+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	stored := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "stored %d", &acked); err != nil {
			continue
		}
		if stored++; stored == more {
			_ = child.Process.Kill()
		}
	}
	if _ = child.Wait(); stored < more {
		t.Fatalf("the child ended by itself after %d", stored)
	}
	return acked
}

// addUntilKilled adds rounds of a packet each, and says how many there are.
func addUntilKilled(t *testing.T, dir string) {
	s := openStore(t, dir)
	for n := int(amount(all(t, s)).Packets); ; n++ {
		r := small(noon.Add(time.Duration(n)*10*time.Minute), 10*time.Minute, 100)
		if err := s.Add(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("stored %d\n", n+1)
	}
}

// A year of rounds of a minute takes less than 200 MB. Reckoned from the rows of
// some; make bench stores all of it (BENCH=rounds).
func TestYear(t *testing.T) {
	size := func(r Round) float64 {
		data, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		return float64(len(data) + 40) // with the row's other columns and its place in the index
	}
	var minutes, hours []Round
	var minute, hour float64
	for i := range 24 * 10 { // every sixth minute of a day
		minutes = append(minutes, household(6*i))
		minute += size(minutes[i]) / (24 * 10)
		if n := len(minutes); n%10 == 0 {
			hours = append(hours, Merge(minutes[n-10:]))
			hour += size(hours[len(hours)-1]) / 24
		}
	}
	whole := size(Merge(hours))
	const full = 4.0 / 3 // rows leave a part of each page free
	spans := func(d, of time.Duration) float64 { return float64(d / of) }
	bytes := full * (spans(usualAges.hours, time.Minute)*minute + spans(usualAges.days, time.Hour)*hour + spans(365*day-usualAges.days, day)*whole)
	t.Logf("a minute takes %.0f bytes, an hour %.0f, a day %.0f: a year %.1f MB", minute, hour, whole, bytes/1e6)
	if bytes > 200e6 {
		t.Error("that is too much")
	}
}
