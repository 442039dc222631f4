package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Service is somewhere that messages go to.
type Service struct {
	Name   string // given by the user, else the kind, as "ntfy"
	id     string // of its cursor
	url    string // a secret
	hidden []string
}

// named is a service's URL with a name before it: "phone=ntfy://…".
var named = regexp.MustCompile(`^([a-zA-Z0-9_-]{1,32})=(.*)$`)

// newURL begins a service's URL, with or without a name.
var newURL = regexp.MustCompile(`(^|[\s,])(?:[a-zA-Z0-9_-]{1,32}=)?[a-z][a-z0-9+.-]*://`)

// ParseServices reads the services' URLs (shoutrrr.nickfedor.com, "Services"),
// with blanks, line ends or commas between them, each perhaps with a name of its
// own before it. The error names the place of the wrong one, and shows none.
func ParseServices(text string) (services []Service, err error) {
	starts := newURL.FindAllStringIndex(text, -1)
	if strings.TrimSpace(text) != "" && (len(starts) == 0 || strings.Trim(text[:starts[0][0]], " ,\t\r\n") != "") {
		return nil, errors.New("the first one: want a URL such as ntfy://ntfy.sh/topic")
	}
	names := map[string]bool{}
	for i, at := range starts {
		end := len(text)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		raw := strings.Trim(text[at[0]:end], " ,\t\r\n")
		s := Service{url: raw}
		if m := named.FindStringSubmatch(raw); m != nil {
			s.Name, s.url = m[1], m[2]
		}
		if err := s.check(); err != nil {
			return nil, fmt.Errorf("number %d: %w", i+1, err)
		}
		base := s.Name
		for n := 2; names[s.Name]; n++ {
			s.Name = base + "-" + strconv.Itoa(n)
		}
		names[s.Name] = true
		services = append(services, s)
	}
	return services, nil
}

// check reads the URL, and finds what of it must not be shown.
func (s *Service) check() error {
	u, err := url.Parse(s.url)
	if err != nil {
		return errors.New("it is not a URL; a special character in a password is written as % and two digits")
	}
	if s.Name == "" {
		s.Name, _, _ = strings.Cut(u.Scheme, "+")
	}
	sum := sha256.Sum256([]byte(s.url))
	s.id = hex.EncodeToString(sum[:6])
	s.hidden = secretsOf(u)
	if err := check(s.url, u); err != nil {
		return errors.New(s.redact(err))
	}
	return nil
}

// room is how long a text the service takes, in bytes.
func (s *Service) room() int {
	kind, _, _ := strings.Cut(s.url, ":")
	kind, _, _ = strings.Cut(kind, "+")
	switch kind {
	case "pushover":
		return 1000 // pushover.net/api, "Limitations"
	case "discord":
		return 1900
	case "smtp", "generic", "gotify", "matrix":
		return 64 << 10
	}
	return 3500 // ntfy and Telegram take 4,096
}
