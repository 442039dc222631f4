package traffic

import (
	"context"
	"database/sql"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What is read by the hour is what is read by the minute, wherever the spans that
// are asked for begin and end, and when rounds came late.
func TestHoursBeside(t *testing.T) {
	s := openStore(t, t.TempDir())
	s.ages = ages{hours: 10 * day, days: 100 * day}
	start := noon.Add(13 * time.Minute)
	var rounds []Round
	add := func(i int) {
		r := small(start.Add(time.Duration(i)*10*time.Minute), 10*time.Minute, uint64(i*i))
		r.Dropped = uint64(i)
		r.Hosts = []Talker{{Addr: addr(i % 9), In: Count{7, uint64(1000 * i)}}}
		r.Devices = []Talker{{Device: "phone", Out: Count{3, uint64(i)}}}
		r.Ports = []Port{{"tcp", uint16(i % 5), "nginx", r.Length}}
		rounds = append(rounds, r)
		addAll(t, s, r)
	}
	same := func(when string) {
		t.Helper()
		for _, step := range []time.Duration{30 * time.Minute, time.Hour, 61 * time.Minute, 5 * time.Hour, 40 * time.Hour} {
			for _, since := range []time.Time{noon, start, noon.Add(5*time.Hour + 17*time.Minute), noon.Add(-time.Hour)} {
				until := since.Add(33*time.Hour + 5*time.Minute)
				got, err := s.Buckets(t.Context(), since, until, step)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(Bucket(rounds, since, until, step), got, sameRounds); diff != "" {
					t.Fatalf("%s, every %s from %s (-want +got):\n%s", when, step, since, diff)
				}
			}
		}
	}
	levels := func(level int) (n int) {
		t.Helper()
		if err := s.db.QueryRowContext(t.Context(), "SELECT count(*) FROM rounds WHERE level = ?", level).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for i := range 25 * 6 {
		add(i)
	}
	if n := levels(besideHour); n < 13 || levels(inHour) < 6*13 {
		t.Errorf("%d hours, beside %d rounds", n, levels(inHour))
	}
	same("in time")
	for _, i := range []int{3, 20, 21} { // the clock was wrong for a while
		add(i)
	}
	slices.SortStableFunc(rounds, func(x, y Round) int { return x.Start.Compare(y.Start) })
	same("before they are in their hours")
	for i := range 2 * believed {
		add(25*6 + i)
	}
	same("in hours that were there")
	if before := amount(all(t, s)); before != amount(rounds) {
		t.Errorf("%+v in all, want %+v", before, amount(rounds))
	}

	n := len(all(t, s))
	s.ages.hours = 20 * time.Hour
	for i := range 2 * believed {
		add(25*6 + 2*believed + i)
	}
	if got := amount(all(t, s)); got != amount(rounds) {
		t.Errorf("when rounds have gone, %+v in all, want %+v", got, amount(rounds))
	}
	if more := len(all(t, s)) - n; more > believed || levels(hour) < 10 {
		t.Errorf("%d rows more, %d hours without rounds", more, levels(hour))
	}
}

// Whoever reads while the rounds beside an hour go has each packet once.
func TestHoursLetGoMeanwhile(t *testing.T) {
	s := openStore(t, t.TempDir())
	s.ages = ages{hours: 100 * day, days: 100 * day}
	const step, n = 20 * time.Minute, 180
	addEvery(t, s, noon, step, n)
	var letting sync.WaitGroup
	letting.Go(func() {
		for i := 0; i < 50 && !t.Failed(); i++ {
			if err := s.db.Within(t.Context(), func(ctx context.Context, tx *sql.Tx) error { return letGo(ctx, tx, noon.Add(n*step)) }); err != nil {
				t.Error(err)
			}
		}
	})
	defer letting.Wait()
	for range 50 {
		got, err := s.Buckets(t.Context(), noon.Add(-30*time.Minute), noon.Add((n+2)*step), time.Hour)
		if err != nil || amount(got).Packets != n {
			t.Fatalf("%d packets of %d: %v", amount(got).Packets, n, err)
		}
	}
}

// A round that is read by the hour is in no bucket twice, and in none that it does
// not belong to.
func TestDivides(t *testing.T) {
	b := NewBuckets(noon, noon.Add(4*time.Hour), 2*time.Hour)
	for _, c := range []struct {
		from, until time.Duration
		want        bool
	}{
		{0, time.Hour, false},
		{time.Hour, 2 * time.Hour, false},
		{time.Hour, 2*time.Hour + 1, true},
		{-1, time.Hour, true},
		{3 * time.Hour, 4 * time.Hour, false},
		{3 * time.Hour, 4*time.Hour + 1, true},
	} {
		if got := b.divides(noon.Add(c.from), noon.Add(c.until)); got != c.want {
			t.Errorf("from %s until %s: %t", c.from, c.until, got)
		}
	}
}
