package supervisor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"porchlight/presence"
)

const (
	requestTime = 5 * time.Second
	firstPause  = 500 * time.Millisecond
	longPause   = 4 * time.Second
	maxAnswer   = 1 << 20
	maxMessage  = 200 // bytes of the Supervisor's words in a line of ours
)

// client asks the Supervisor.
type client struct {
	address string
	token   string
	http    *http.Client
	say     func(line string)
	waiting bool // has been said
}

func newClient(address, token string, say func(string)) *client {
	return &client{
		address: strings.TrimRight(cmp.Or(address, defaultAddress), "/"),
		token:   token,
		say:     say,
		http: &http.Client{
			// No proxy and no other host ever sees the token.
			Transport:     &http.Transport{Proxy: nil, DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Timeout:       requestTime,
		},
	}
}

// refusal is an answer of the Supervisor that says no, in its words.
type refusal struct{ message string }

func (r *refusal) Error() string { return "the Supervisor refuses: " + r.message }

// brokerInfo is how an app reaches Home Assistant's broker.
type brokerInfo struct {
	host, username, password string
	port                     int
	ssl                      bool
}

// broker asks for the MQTT service. The error is a refusal when there is none.
func (c *client) broker(ctx context.Context) (brokerInfo, error) {
	const path = "/services/mqtt"
	var data struct {
		Host     string      `json:"host"`
		Port     json.Number `json:"port"` // the documentation has it as a string
		SSL      bool        `json:"ssl"`
		Username string      `json:"username"`
		Password string      `json:"password"`
	}
	if err := c.get(ctx, path, &data); err != nil {
		return brokerInfo{}, fmt.Errorf("asking the Supervisor for the MQTT broker: %w", err)
	}
	port, err := data.Port.Int64()
	if data.Host == "" || err != nil || port < 1 || port > 65535 {
		return brokerInfo{}, fmt.Errorf("the Supervisor's answer to %s has no host or no port: restart the app that is the MQTT broker, or set the option mqtt_url", path)
	}
	return brokerInfo{host: data.Host, port: int(port), ssl: data.SSL, username: data.Username, password: data.Password}, nil
}

// ingressPort asks for the port that the Supervisor expects the page at.
func (c *client) ingressPort(ctx context.Context) (int, error) {
	const path = "/addons/self/info"
	var data struct {
		Port int `json:"ingress_port"`
	}
	if err := c.get(ctx, path, &data); err != nil {
		return 0, fmt.Errorf("asking the Supervisor for the port of the ingress: %w", err)
	}
	if data.Port < 1 || data.Port > 65535 {
		return 0, fmt.Errorf("the Supervisor's answer to %s has no ingress_port: reinstall the app", path)
	}
	return data.Port, nil
}

// get fills data from the answer to a path. It tries again, with growing
// pauses, while the Supervisor cannot be reached or is not ready, until ctx ends.
func (c *client) get(ctx context.Context, path string, data any) error {
	for pause := firstPause; ; pause = min(2*pause, longPause) {
		err := c.ask(ctx, path, data)
		if temporary := (*notNow)(nil); err == nil || !errors.As(err, &temporary) {
			return err
		}
		if !c.waiting && ctx.Err() == nil {
			c.waiting = true
			c.say("waiting for the Supervisor: " + err.Error())
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return fmt.Errorf("gave up after %s: %w: is the Supervisor running?", patience, err)
		case <-time.After(pause):
		}
	}
}

// notNow is a failure that another try may mend.
type notNow struct{ err error }

func (n *notNow) Error() string { return n.err.Error() }
func (n *notNow) Unwrap() error { return n.err }

// ask asks once.
func (c *client) ask(ctx context.Context, path string, data any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("%s=%q is not an address", addressVar, c.address)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(req)
	if err != nil {
		return &notNow{plain(c.address, err)}
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return &notNow{plain(c.address, err)}
	}
	if len(body) > maxAnswer {
		return fmt.Errorf("the answer to %s has more than 1 MB", path)
	}
	return c.read(path, resp.StatusCode, body, data)
}

// read takes an answer apart. What a proxy or another program would answer is
// no JSON, and none of it is shown.
func (c *client) read(path string, status int, body []byte, data any) error {
	var answer struct {
		Result  string          `json:"result"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	}
	wellFormed := json.Unmarshal(body, &answer) == nil
	message := strings.ReplaceAll(presence.CleanText(answer.Message, maxMessage), c.token, "…")
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fmt.Errorf("the Supervisor denies the app %s (status %d): reinstall the app", path, status)
	case status >= 500 || strings.Contains(message, "not ready"):
		return &notNow{fmt.Errorf("the Supervisor cannot answer %s yet (status %d)%s", path, status, behindColon(message))}
	case wellFormed && answer.Result == "error":
		return &refusal{cmp.Or(message, "no reason given")}
	case status != http.StatusOK:
		return fmt.Errorf("the answer to %s has status %d, which the Supervisor does not give", path, status)
	case !wellFormed || answer.Result != "ok":
		return fmt.Errorf("the answer to %s is not one of the Supervisor", path)
	}
	if err := json.Unmarshal(answer.Data, data); err != nil {
		return fmt.Errorf("the Supervisor's answer to %s is not of the documented form", path)
	}
	return nil
}

func behindColon(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}

// plain is a failure to reach address, without the method and the URL.
func plain(address string, err error) error {
	if outer := (*url.Error)(nil); errors.As(err, &outer) {
		if err = outer.Err; outer.Timeout() {
			err = fmt.Errorf("no answer within %s", requestTime)
		}
	}
	return fmt.Errorf("%s: %w", address, err)
}
