package notify

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/discord"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/matrix"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/telegram"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/email/smtp"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/gotify"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ifttt"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ntfy"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

var quietLog = log.New(io.Discard, "", 0)

// line is an open line to a service. It is used by one at a time.
type line struct {
	service *Service
	open    types.Service // of the last message; nil: not yet, or not since the last fault
}

// send sends m, however long that takes, and calls ready just before the service
// can have it. Its errors have no secret.
func (l *line) send(m rendered, ready func()) (err error) {
	defer func() {
		if r := recover(); r != nil { // Zulip's does when there is no answer
			err = errors.New("it cannot be reached, or its answer is none that is known")
		}
		if err == nil {
			return
		}
		l.open = nil
		var some partly
		isSome := errors.As(err, &some)
		if err = errors.New(l.service.redact(err)); isSome {
			err = partly{err}
		}
	}()
	// Some services of the library keep what was in a message, such as its title,
	// for the next one. To open Matrix is to log in, and it keeps nothing.
	if _, keep := l.open.(*matrix.Service); !keep {
		if l.open, err = open(l.service.url); err != nil {
			return err
		}
	}
	if s, ok := l.open.(*smtp.Service); ok {
		return sendMail(s.Config, m, ready)
	}
	defer expect(ready)()
	if s, ok := l.open.(*telegram.Service); ok {
		return sendTelegram(s.Config, m)
	}
	return l.open.Send(m.text, &types.Params{types.TitleKey: m.title})
}

// partly is an error of some receivers of a message that others have got.
type partly struct{ error }

// Unwrap returns the error.
func (p partly) Unwrap() error { return p.error }

// open makes a service that asks by our exchange. For Matrix with a password it
// logs in.
func open(address string) (types.Service, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("it is not a URL")
	}
	kind, _, custom := strings.Cut(u.Scheme, "+")
	service, err := new(router.ServiceRouter).NewService(kind)
	if err != nil {
		return nil, err
	}
	if custom { // a webhook's own address behind the kind, as in generic+https://
		s, ok := service.(types.CustomURLService)
		if !ok {
			return nil, fmt.Errorf("%s takes no address of that form", kind)
		}
		if u, err = s.GetConfigURLFromCustom(u); err != nil {
			return nil, err
		}
	}
	if err := service.Initialize(u, quietLog); err != nil {
		return nil, err
	}
	switch s := service.(type) {
	case *ntfy.Service:
		s.SetHTTPClient(clientOf(s.Config.DisableTLSVerification))
	case *discord.Service:
		s.HTTPClient = clientOf(false) // without a deadline of its own, after which it tries again
	case *gotify.Service:
		// Its client is made by the first message, and a wrong one does.
		_ = s.Send("-", &types.Params{"priority": "99"})
		*s.GetHTTPClient() = *clientOf(s.Config.InsecureSkipVerify)
	case interface{ GetHTTPClient() *http.Client }:
		*s.GetHTTPClient() = *clientOf(false)
	}
	return service, nil
}

func clientOf(insecure bool) *http.Client {
	if insecure {
		return &http.Client{Transport: unverified}
	}
	return &http.Client{Transport: verified}
}

// check reports what is wrong with a service's address, which is also parsed as u.
// It asks nobody.
func check(address string, u *url.URL) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("the library cannot read this address")
		}
	}()
	if u.Scheme == "logger" {
		return errors.New("it would go nowhere")
	}
	if u.Scheme == "matrix" { // to open it is to log in
		var c matrix.Config
		if err := c.SetURL(u); err != nil {
			return err
		}
		return single(len(c.Rooms), "room")
	}
	service, err := open(address)
	if err != nil {
		return err
	}
	switch s := service.(type) {
	case *smtp.Service:
		return checkMail(s.Config)
	case *telegram.Service:
		return single(len(s.Config.Chats), "chat")
	case *ifttt.Service:
		return single(len(s.Config.Events), "event")
	}
	return nil
}

// single wants one receiver of a service that is asked once for each: when one
// of them does not work, the others would get a message again.
func single(n int, what string) error {
	if n != 1 {
		return fmt.Errorf("it names %d %ss: want one, and an address for each", n, what)
	}
	return nil
}
