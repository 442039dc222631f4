package config

import (
	"fmt"
	"slices"
	"strings"
)

// unknown returns a line for each variable with our prefix that is no setting,
// with the setting that was probably meant. The values are not shown: who
// misspells a password has still written a password.
func unknown(settings []setting, vars map[string]string) (lines []string) {
	var known []string
	for _, s := range settings {
		known = append(known, s.name)
		if s.secret() {
			known = append(known, s.fileName())
		}
	}
	for name := range vars {
		if !strings.HasPrefix(name, Prefix) || slices.Contains(known, name) {
			continue
		}
		line := fmt.Sprintf("%s is not a setting and does nothing", name)
		if meant := nearest(name, known); meant != "" {
			line += "; did you mean " + meant + "?"
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// nearest returns the known name with the fewest changes to name, or none when
// all are too far from it.
func nearest(name string, known []string) (meant string) {
	const tooFar = 5
	fewest := tooFar
	for _, k := range known {
		if n := distance(name, k); n < fewest {
			meant, fewest = k, n
		}
	}
	return meant
}

// distance is how many letters must be put in, taken out or changed to make b
// of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
