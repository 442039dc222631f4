package connections

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Each snapshot of a span is read as Load reads it, also behind gaps.
func TestEach(t *testing.T) {
	s := openStore(t, t.TempDir())
	last := busy(50, 1)
	for i := range 3*fullEvery + 3 {
		if i > 0 {
			last = later(last, uint64(i))
		}
		if i == fullEvery/2 {
			last.Boot, last.Uptime, last.Missing = "another", time.Minute, []string{"something"}
		}
		add1(t, s, last, Keep{})
	}
	all := numbers(t, s)
	for _, span := range [][2]int64{{1, all[len(all)-1]}, {7, 9}, {fullEvery - 1, 2*fullEvery + 1}, {-5, 2}, {all[len(all)-1], 1000}, {1000, 2000}, {5, 4}} {
		var want, got []int64
		for _, n := range all {
			if n >= span[0] && n <= span[1] {
				want = append(want, n)
			}
		}
		err := s.Each(t.Context(), span[0], span[1], func(found *Snapshot) error {
			got = append(got, found.Number)
			loaded, err := s.Load(t.Context(), found.Number) // nothing is locked
			if diff := cmp.Diff(loaded, found, same); diff != "" {
				t.Errorf("%d: %s", found.Number, diff)
			}
			return err
		})
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v; %v", span, got, want, err)
		}
	}
	stop := errors.New("stop")
	if err := s.Each(t.Context(), 1, 9, func(*Snapshot) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	if _, err := s.db.ExecContext(t.Context(), "DELETE FROM snapshots WHERE whole = 1"); err != nil {
		t.Fatal(err)
	}
	first := int64(0)
	err := s.Each(t.Context(), 1, 1000, func(found *Snapshot) error {
		if first == 0 {
			first = found.Number
		}
		return nil
	})
	if err != nil || first != fullEvery/2+1 {
		t.Errorf("the first one is %d: %v", first, err)
	}
	if _, err := s.db.ExecContext(t.Context(), "UPDATE snapshots SET data = x'01' WHERE number = 20"); err != nil {
		t.Fatal(err)
	}
	if err := s.Each(t.Context(), 1, 1000, func(*Snapshot) error { return nil }); !errors.Is(err, errDamaged) {
		t.Error(err)
	}
}
