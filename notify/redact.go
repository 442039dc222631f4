package notify

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"porchlight/presence"
)

// secretsOf returns the parts of u that may be secret: all but the scheme and
// what is too short to be. The longest come first, as a part may be in another.
func secretsOf(u *url.URL) (parts []string) {
	add := func(s string) {
		if len(s) >= 4 && s != u.Scheme {
			parts = append(parts, s, url.QueryEscape(s), url.PathEscape(s))
		}
	}
	add(u.String())
	if u.User != nil {
		password, _ := u.User.Password()
		add(u.User.String())
		add(password)
		add(u.User.Username())
	}
	add(u.Host)
	add(u.Hostname())
	for part := range strings.SplitSeq(u.Path, "/") {
		add(part)
	}
	for _, values := range u.Query() {
		for _, v := range values {
			add(v)
			for part := range strings.SplitSeq(v, ",") {
				add(part)
			}
		}
	}
	slices.SortFunc(parts, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(parts)
}

var someURL = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://\S+`)

// maxFault is the longest fault, in bytes, that is shown.
const maxFault = 300

// redact says what is wrong in one line without anything that may be secret: the
// library has the service's URL, token and all, in its errors.
func (s *Service) redact(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, mark); i >= 0 {
		text = text[i+len(mark):]
	}
	text = someURL.ReplaceAllString(text, "…")
	for _, secret := range s.hidden {
		text = strings.ReplaceAll(text, secret, "…")
	}
	if short := presence.CleanText(text, maxFault); short != "" {
		return short
	}
	return "it does not work, and does not say why"
}
