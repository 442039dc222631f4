package notify

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"

	"porchlight/presence"
)

const (
	// answerWithin is how long a service may take for its answer. It is longer than
	// a try, so that a slow answer is still taken for what it is.
	answerWithin = 90 * time.Second
	// maxAnswer bounds, in bytes, what is read of an answer.
	maxAnswer = 256 << 10
)

// exchange sends requests and reads the whole answers. The library has its own
// deadlines, reads answers without a bound, follows redirects, and takes some
// failures for success; here is one rule for all: what is no answer of the 2xx
// kind in time is an error, and its words are ours.
type exchange struct{ via *http.Transport }

// The ways to services: the usual one, and the one for who has set that a
// certificate need not be checked.
var (
	verified   = newExchange(false)
	unverified = newExchange(true)
)

// dial connects to a service. Tests put a network of their own in its place.
var dial = (&net.Dialer{Timeout: tryFor}).DialContext

func init() {
	// Most of the library's services ask by what has no other transport. Nothing
	// else of Porchlight does.
	http.DefaultTransport = verified
}

func newExchange(insecure bool) *exchange {
	return &exchange{via: &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dial(ctx, network, address)
		},
		// A connection that is kept may be closed by the other side just when it is
		// used, and then nobody knows whether the message has arrived.
		DisableKeepAlives:   true,
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: tryFor,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: insecure}, //nolint:gosec // the user's wish
	}}
}

// RoundTrip implements http.RoundTripper.
func (x *exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), answerWithin)
	defer cancel()
	if ready := expected(); ready != nil {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { ready() }})
	}
	// A fresh one, without the deadline that the library's client has put in.
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL.String(), r.Body)
	if err != nil {
		return nil, said(err.Error())
	}
	req.Header, req.Host, req.ContentLength, req.GetBody = r.Header, r.Host, r.ContentLength, r.GetBody
	resp, err := x.via.RoundTrip(req)
	if err != nil {
		return nil, unanswered(err)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close()
	switch code := resp.StatusCode; {
	case code >= 400:
		return nil, said(answered(code, body))
	case code >= 300:
		return nil, said(fmt.Sprintf("it answered %d %s: it has moved, or wants a login; nothing is sent to elsewhere", code, http.StatusText(code)))
	case err != nil:
		return nil, unanswered(err)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// answered says what a service has answered; services have a reason in JSON.
func answered(code int, body []byte) string {
	text := fmt.Sprintf("it answered %d", code)
	if known := http.StatusText(code); known != "" {
		text += " " + known
	}
	if why := reason(body); why != "" {
		text += ": " + why
	}
	return text
}

// reason finds in an answer why something did not work: Telegram's description,
// Gotify's errorDescription, the error of ntfy and Matrix, Discord's message,
// Pushover's errors.
func reason(body []byte) string {
	var a struct {
		Description      string   `json:"description"`
		ErrorDescription string   `json:"errorDescription"`
		Error            any      `json:"error"`
		Message          string   `json:"message"`
		Errors           []string `json:"errors"`
	}
	if err := json.Unmarshal(body, &a); err != nil && !isType(err) {
		return ""
	}
	text, _ := a.Error.(string)
	if len(a.Errors) > 0 {
		text = a.Errors[0]
	}
	return presence.CleanText(cmp.Or(a.Description, a.ErrorDescription, text, a.Message), 160)
}

// isType reports whether err is of a value of another type than expected, beside
// which the others are read.
func isType(err error) bool {
	var wrong *json.UnmarshalTypeError
	return errors.As(err, &wrong)
}

// unanswered says in words why there is no answer.
func unanswered(err error) error {
	var timeout net.Error
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &plain):
		return said("it does not speak TLS; a service in your own network may want disabletls=yes, ntfy scheme=http")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return said("no answer in time")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return said("it closed the connection without an answer")
	}
	return said(err.Error())
}

// A fault is an error in our words. The library wraps errors, some as text only,
// and with the service's address; what follows the mark is ours.
type fault string

const mark = "\x00"

func said(text string) error { return fault(text) }

// Error implements error.
func (f fault) Error() string { return mark + string(f) }
