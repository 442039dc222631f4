package connections

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNewest(t *testing.T) {
	s := openStore(t, t.TempDir())
	if n, err := s.Before(t.Context(), time.Now()); n != 0 || err != nil {
		t.Errorf("an empty one: %d, %v", n, err)
	}
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range 100 {
		add1(t, s, &Snapshot{Time: begin.Add(time.Duration(i) * time.Minute), Boot: "b"}, Keep{})
	}
	if _, err := s.db.ExecContext(t.Context(), "DELETE FROM snapshots WHERE number < 25 OR number BETWEEN 40 AND 60"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		before int64
		want   []int64
	}{{0, []int64{100, 99, 98}}, {62, []int64{61, 39, 38}}, {27, []int64{26, 25}}, {25, nil}} {
		all, err := s.Newest(t.Context(), test.before, 3)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, e := range all {
			got = append(got, e.Number)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("before %d: %s", test.before, diff)
		}
	}
	// Number n was taken n-1 minutes after the begin.
	for minutes, want := range map[float64]int64{-5: 25, 0: 25, 24.5: 25, 25: 25, 25.5: 26, 39.5: 39, 50: 39, 60: 39, 60.5: 61, 98.5: 99, 99: 99, 99.5: 100, 1000: 100} {
		n, err := s.Before(t.Context(), begin.Add(time.Duration(minutes*float64(time.Minute))))
		if err != nil || n != want {
			t.Errorf("%v minutes after the begin: %d, want %d, %v", minutes, n, want, err)
		}
	}
}
