package notify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// tryFor is how long one try to send may take.
const tryFor = 30 * time.Second

func init() {
	// The services' library asks by the default client, which has no limit. Nothing
	// else here does.
	http.DefaultClient = &http.Client{Timeout: tryFor - 5*time.Second}
}

// lastWait is how long the end waits for a try that is under way.
const lastWait = 500 * time.Millisecond

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
	names := map[string]int{}
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
		if names[s.Name]++; names[s.Name] > 1 {
			s.Name += "-" + strconv.Itoa(names[s.Name])
		}
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
	if _, err := s.open(); err != nil {
		return errors.New(s.redact(err))
	}
	return nil
}

// secretsOf returns the parts of u that may be secret: all but the scheme and
// what is too short to be.
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
		}
	}
	return parts
}

var (
	someURL = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://\S+`)
	status  = regexp.MustCompile(`\b([45][0-9]{2})\b(?: ([A-Z][A-Za-z -]{2,30}))?`)
)

// redact says what is wrong without anything that may be secret: the library has
// the service's URL, token and all, in its errors.
func (s *Service) redact(err error) string {
	text := someURL.ReplaceAllString(err.Error(), "…")
	for _, secret := range s.hidden {
		text = strings.ReplaceAll(text, secret, "…")
	}
	if m := status.FindStringSubmatch(text); m != nil {
		code, _ := strconv.Atoi(m[1])
		if known := http.StatusText(code); known != "" {
			return fmt.Sprintf("it answered %d %s", code, known)
		}
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return text
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

var quietLog = log.New(io.Discard, "", 0)

func (s *Service) open() (types.Service, error) {
	r, err := router.New(quietLog)
	if err != nil {
		return nil, err
	}
	return r.Locate(s.url)
}

// templater is what mail has, to be given a text and an HTML part.
type templater interface {
	SetTemplateString(id, body string) error
}

// send sends m, however long that takes.
func (s *Service) send(m rendered) error {
	service, err := s.open()
	if err != nil {
		return errors.New(s.redact(err))
	}
	title := m.title
	if mail, ok := service.(templater); ok && service.GetID() == "smtp" {
		// A string constant in place of a template: nothing in it is carried out.
		_ = mail.SetTemplateString("plain", "{{"+strconv.Quote(m.text)+"}}")
		_ = mail.SetTemplateString("HTML", "{{"+strconv.Quote(m.html)+"}}")
		title = mime.QEncoding.Encode("utf-8", title)
	}
	if err := service.Send(m.text, &types.Params{types.TitleKey: title}); err != nil {
		return errors.New(s.redact(err))
	}
	return nil
}

// outbox sends one message at a time, and gives each try a deadline. The
// library cannot be told to stop, so what takes longer is waited for before the
// next try: it may have arrived after all.
type outbox struct {
	send func(rendered) error
	busy chan error // of the try under way; nil: there is none
}

var errSlow = errors.New("no answer within " + tryFor.String())

// try sends m. A nil error means that the service has it.
func (o *outbox) try(ctx context.Context, m rendered) error {
	if o.busy == nil {
		busy := make(chan error, 1)
		o.busy = busy
		go func() { busy <- o.send(m) }()
	}
	timeout := time.NewTimer(tryFor)
	defer timeout.Stop()
	select {
	case err := <-o.busy:
		o.busy = nil
		return err
	case <-timeout.C:
		return errSlow
	case <-ctx.Done():
	}
	select { // to know whether it arrived
	case err := <-o.busy:
		o.busy = nil
		return err
	case <-time.After(lastWait):
		return ctx.Err()
	}
}
