package main

import (
	"io"
	"slices"
	"strconv"
	"strings"
)

// spark draws values over time in one line.
type spark []rune

// The first rune is of no value, the second of zero, the others of more.
var (
	unicodeSpark = spark(" ▁▂▃▄▅▆▇█")
	asciiSpark   = spark(" _.:-=+*#")
)

// sparkFor returns what a terminal of this environment can show (locale(7)).
func sparkFor(environ []string) spark {
	text := strings.ToLower(variable(environ, "LC_ALL", "LC_CTYPE", "LANG"))
	if strings.Contains(text, "utf-8") || strings.Contains(text, "utf8") {
		return unicodeSpark
	}
	return asciiSpark
}

// variable returns the first of these variables that is not empty.
func variable(environ []string, names ...string) string {
	for _, name := range names {
		for _, v := range environ {
			if value, found := strings.CutPrefix(v, name+"="); found && value != "" {
				return value
			}
		}
	}
	return ""
}

// line draws the values, the greatest as high as there is room; below zero is no
// value.
func (s spark) line(values []float64) string {
	most := slices.Max(append([]float64{0}, values...))
	steps := float64(len(s) - 2)
	var b strings.Builder
	for _, v := range values {
		switch {
		case v < 0:
			b.WriteRune(s[0])
		case v == 0:
			b.WriteRune(s[1])
		default:
			b.WriteRune(s[2+min(int(v/most*steps), len(s)-3)])
		}
	}
	return b.String()
}

// columns is how wide what is printed may be.
func columns(w io.Writer, environ []string) int {
	const usual = 80
	if width := terminalWidth(w); width > 0 {
		return width
	}
	if width, err := strconv.Atoi(variable(environ, "COLUMNS")); err == nil && width > 0 {
		return width
	}
	return usual
}
