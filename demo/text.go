package demo

import (
	"strings"
	"unicode"

	"porchlight/presence"
)

// clean makes text from the LAN fit for a terminal. Porchlight has cleaned it
// already; a terminal does whatever an escape sequence says, so it is done again.
func clean(s string) string { return presence.CleanText(s, 400) }

// width returns how many columns a cleaned text takes.
func width(s string) (n int) {
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

// runeWidth is 0 for what combines with the rune before it, 2 for East Asian
// wide characters and emoji (Unicode Standard Annex 11), else 1.
func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff, r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60,
		r >= 0xffe0 && r <= 0xffe6, r >= 0x1f000 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}

// clip shortens s to at most columns; the last is then an ellipsis.
func clip(s string, columns int) string {
	if width(s) <= columns {
		return s
	}
	n := 0
	for i, r := range s {
		n += runeWidth(r)
		if n > columns-1 {
			if columns < 1 {
				return ""
			}
			return s[:i] + "…"
		}
	}
	return s
}

// pad makes s exactly as wide as columns.
func pad(s string, columns int) string {
	s = clip(s, columns)
	return s + strings.Repeat(" ", columns-width(s))
}

// wrap breaks s between words into at most lines of that many columns.
func wrap(s string, columns, lines int) []string {
	var all []string
	line := ""
	words := phrases(s)
	for i, w := range words {
		switch {
		case line == "":
			line = w
		case width(line)+1+width(w) <= columns:
			line += " " + w
		case len(all) == lines-1:
			return append(all, clip(line+" "+strings.Join(words[i:], " "), columns))
		default:
			all = append(all, clip(line, columns))
			line = w
		}
	}
	if line != "" {
		all = append(all, clip(line, columns))
	}
	return all
}

// phrases returns the words of s; "10 s" is one.
func phrases(s string) (words []string) {
	for _, w := range strings.Fields(s) {
		switch strings.TrimRight(w, ",;.") {
		case "s", "ms", "min", "h", "days":
			if len(words) > 0 {
				words[len(words)-1] += " " + w
				continue
			}
		}
		words = append(words, w)
	}
	return words
}
