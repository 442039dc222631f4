package household

import (
	"strings"
	"testing"
)

// BenchmarkCompare prints the table of the README.
func BenchmarkCompare(b *testing.B) {
	for range b.N {
		b.Log("\n" + Table(Compare(Home(1))))
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	p := Home(1)
	p.Days = 8
	rows := Compare(p)
	table := Table(rows)
	if len(rows) != 1+len(FixedWindows()) {
		t.Errorf("%d rows", len(rows))
	}
	for _, want := range []string{"| Porchlight | ", "| silent for 3 min, asked every 12 s | ", "| silent for 10 min, asked every 60 s | "} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in:\n%s", want, table)
		}
	}
}
