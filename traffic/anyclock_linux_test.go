package traffic

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"testing"
	"time"
)

// TestAnyClock has rounds of any length while the clock goes back and forth: each
// packet is in what is stored once, however it is read.
func TestAnyClock(t *testing.T) {
	lengths := []time.Duration{time.Minute, time.Hour, 13 * time.Second, 7 * time.Minute}
	if raced { // it starts no goroutines
		lengths = lengths[:2]
	}
	for seed, length := range lengths {
		rnd := rand.New(rand.NewPCG(uint64(seed), 0))
		s := openStore(t, t.TempDir())
		s.ages = ages{hours: 200*length + 5*time.Hour, days: 300*length + 40*time.Hour}
		var rounds []Round
		at := noon
		err := s.db.Within(t.Context(), func(ctx context.Context, tx *sql.Tx) (err error) {
			for i := 0; i < 500 && err == nil; i++ {
				if rnd.IntN(100) == 0 {
					at = at.Add(time.Duration(rnd.IntN(400)-180)*length + 17*time.Second)
				}
				r := small(at, length-time.Duration(rnd.IntN(10_000))*time.Millisecond, uint64(i+1))
				rounds, at = append(rounds, r), r.Start.Add(r.Length)
				if err = insert(ctx, tx, &r); err == nil {
					err = s.age(ctx, tx)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		want := amount(rounds)
		if got := amount(all(t, s)); got != want {
			t.Errorf("rounds of %s: %v in all, want %v", length, got, want)
		}
		first, last, err := s.Span(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []time.Duration{30 * time.Minute, 97 * time.Minute, 4 * time.Hour} {
			got, err := s.Buckets(t.Context(), first.Truncate(day).Add(-17*time.Minute), last.Add(time.Minute), step)
			if err != nil || amount(got) != want {
				t.Errorf("rounds of %s, every %s: %v, want %v: %v", length, step, amount(got), want, err)
			}
		}
	}
}
