package household

import (
	"fmt"
	"time"

	"porchlight/presence"
)

// Learning is how much of a play is not scored: the Engine knows nobody when
// it begins.
const Learning = 7 * 24 * time.Hour

// FixedWindows returns the fixed ways to decide that the Engine is compared
// with: three minutes as scanners have it, ten minutes, and what a phone that
// sleeps for forty needs.
func FixedWindows() []Fixed {
	return []Fixed{
		{Window: 3 * time.Minute, Ask: 12 * time.Second},
		{Window: 10 * time.Minute, Ask: time.Minute},
		{Window: 45 * time.Minute, Ask: time.Minute},
	}
}

// Compare plays p against the Engine with its default settings and against
// each of FixedWindows, for a Table. Home(seed) takes some seconds.
func Compare(p Play) []Row {
	rows := []Row{{"Porchlight", Run(p, presence.New(presence.Config{})).Score(Learning)}}
	for _, f := range FixedWindows() {
		name := fmt.Sprintf("silent for %s, asked every %s", presence.Words(f.Window), presence.Words(f.Ask))
		rows = append(rows, Row{name, Run(p, &f).Score(Learning)})
	}
	return rows
}
