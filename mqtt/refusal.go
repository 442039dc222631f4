package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/gorilla/websocket"
)

func (s *Session) explain(err error) string { return explain(err, &s.addr, &s.cfg) }

// explain says in one line why there is no connection to a, with the remedy.
func explain(err error, a *address, cfg *Config) string {
	if err == nil {
		return "the connection ended"
	}
	if why := explainRefusal(err); why != "" {
		return why
	}
	if why := explainTLS(err, a); why != "" {
		return why
	}
	var dns *net.DNSError
	var timeout net.Error
	var at forbidden
	switch {
	case errors.As(err, &at) && errors.Is(err, errSilent):
		return "the broker did not acknowledge what Porchlight wrote to " + at.at.filter
	case errors.As(err, &at):
		return fmt.Sprintf("the broker ended the connection when Porchlight wanted to %s %s", at.at.do, at.at.filter)
	case strings.Contains(err.Error(), "pingresp"): // the client has no name for this error
		return "the broker has stopped answering: check the network, and the broker's log"
	case errors.Is(err, errSilent):
		return "the broker takes messages but acknowledges none: look at its log"
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("no address is known for the host name %q: check PORCHLIGHT_MQTT_URL, or use the broker's IP address", dns.Name)
	case errors.As(err, &dns):
		return fmt.Sprintf("the name server gives no answer for %q: %v", dns.Name, dns.Err)
	case errors.Is(err, connRefused):
		return "nothing listens there: is the broker running, and does PORCHLIGHT_MQTT_URL have its port?"
	case errors.Is(err, hostUnreachable), errors.Is(err, netUnreachable):
		return "the host cannot be reached: check the network and PORCHLIGHT_MQTT_URL"
	case errors.Is(err, websocket.ErrBadHandshake):
		return "no MQTT over WebSocket at that address: check the port and path of PORCHLIGHT_MQTT_URL"
	case endedByBroker(err):
		return explainClosed(err, a, cfg)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "the broker does not answer: check the network, and that the port is one for MQTT"
	}
	return err.Error()
}

func endedByBroker(err error) bool {
	var closed *websocket.CloseError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &closed) || errors.Is(err, connReset) || errors.Is(err, brokenPipe)
}

// explainClosed explains a connection that the broker ended without a word.
func explainClosed(err error, a *address, cfg *Config) string {
	var u unanswered
	switch {
	case !errors.As(err, &u):
		return "the broker closed the connection"
	case a.encrypted() && !u.open:
		return "the broker closed the connection in the TLS handshake: does PORCHLIGHT_MQTT_URL have its TLS port?"
	case a.encrypted() && cfg.CertFile == "":
		return "the broker closed the connection without an answer: if it wants a client certificate, set PORCHLIGHT_MQTT_CERT_FILE and PORCHLIGHT_MQTT_KEY_FILE"
	}
	return "the broker closed the connection without an answer: is the port in PORCHLIGHT_MQTT_URL one for mqtt, not for TLS (mqtts://) or WebSocket (ws://)?"
}

// explainRefusal explains a CONNACK that says no (MQTT 3.1.1, section 3.2.2.3).
func explainRefusal(err error) string {
	var code refused
	if !errors.As(err, &code) {
		return ""
	}
	switch byte(code) {
	case packets.ErrRefusedBadUsernameOrPassword:
		return "the broker refuses the user name or password: check PORCHLIGHT_MQTT_USERNAME and PORCHLIGHT_MQTT_PASSWORD"
	case packets.ErrRefusedNotAuthorised:
		return "the broker refuses this user: check PORCHLIGHT_MQTT_USERNAME and PORCHLIGHT_MQTT_PASSWORD, and that the broker allows the user"
	case packets.ErrRefusedServerUnavailable:
		return "the broker says that it is not available: look at its log"
	case packets.ErrRefusedIDRejected:
		return "the broker refuses the client id: look at its log for clients that it allows"
	case packets.ErrRefusedBadProtocolVersion:
		return "the broker does not speak MQTT 3.1.1: allow it there"
	}
	return "the broker refuses the connection: " + code.Error()
}

func explainTLS(err error, a *address) string {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var alert *net.OpError
	switch {
	case errors.As(err, &authority):
		return "the broker's certificate is signed by an unknown authority: set PORCHLIGHT_MQTT_CA_FILE to the authority's certificate"
	case errors.As(err, &name):
		return fmt.Sprintf("the broker's certificate is not for %q: use a name that it is for in PORCHLIGHT_MQTT_URL", a.host)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the broker's certificate has expired or is not valid yet: renew it, and check the clock of this machine"
	case errors.As(err, &invalid):
		return "the broker's certificate is not valid: " + invalid.Error()
	case errors.As(err, &record):
		return "the broker answers without TLS on this port: use its TLS port, or mqtt:// (ws://) in PORCHLIGHT_MQTT_URL"
	case errors.As(err, &alert) && alert.Op == "remote error": // what crypto/tls calls the other side's alert
		return fmt.Sprintf("the broker ends the TLS handshake (%v): if it wants a client certificate, set PORCHLIGHT_MQTT_CERT_FILE and PORCHLIGHT_MQTT_KEY_FILE", alert.Err)
	}
	return ""
}

// tooBrief explains connections that the broker accepts and ends, again and
// again.
func tooBrief(why string) string {
	return fmt.Sprintf("the broker ends each connection soon after it was made (%s): look at its log", why)
}

// remindEvery is how often a reason that stays the same is logged again.
const remindEvery = 30 * time.Minute

// reporter logs why there is no connection: once for each change of the
// reason, then at long intervals.
type reporter struct {
	log    *slog.Logger
	broker string
	brief  int // connections in a row that ended soon
	why    string
	at     time.Time
}

func (r *reporter) report(why string) {
	if why == r.why && time.Since(r.at) < remindEvery {
		return
	}
	r.why, r.at = why, time.Now()
	r.log.Warn("no connection to the broker: "+why, "broker", r.broker)
}

func (r *reporter) connected() {
	if r.brief < briefLimit {
		r.why = ""
		r.log.Info("connected to the broker", "broker", r.broker)
	}
}

// throttle lets one warning a minute through for each key.
type throttle struct {
	mu   sync.Mutex
	last map[string]time.Time
}

const (
	throttleEvery = time.Minute
	throttleKeys  = 256 // strangers can make up topics
)

func (t *throttle) warn(log *slog.Logger, key, msg string, args ...any) {
	if t.allow(key, time.Now()) {
		log.Warn(msg, args...)
	}
}

func (t *throttle) allow(key string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, ok := t.last[key]; ok && now.Sub(at) < throttleEvery {
		return false
	}
	if t.last == nil {
		t.last = make(map[string]time.Time)
	}
	if len(t.last) >= throttleKeys {
		for k, at := range t.last {
			if now.Sub(at) >= throttleEvery {
				delete(t.last, k)
			}
		}
		if len(t.last) >= throttleKeys {
			return false
		}
	}
	t.last[key] = now
	return true
}
