package presence

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the longest name, in bytes, that a stranger or a user can give a
// device (RFC 1035, section 2.3.4, allows a domain name 255; people need less).
const MaxName = 63

// CleanText makes a string from the LAN fit to be shown: valid UTF-8, no
// control, format or private-use characters, no leading or trailing blanks, at
// most limit bytes. It does not escape; that belongs to where it is shown.
func CleanText(s string, limit int) string {
	var b strings.Builder
	for _, r := range s {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			r = ' '
		}
		if b.Len()+utf8.RuneLen(r) > limit {
			break
		}
		if r == ' ' && (b.Len() == 0 || strings.HasSuffix(b.String(), " ")) {
			continue
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// CleanHostName makes a host name of a domain name from the LAN: its first
// label, fit to be shown.
func CleanHostName(domain string) string {
	label, _, _ := strings.Cut(domain, ".")
	return CleanText(label, MaxName)
}
