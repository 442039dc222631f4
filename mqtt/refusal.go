package mqtt

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/gorilla/websocket"
)

// Refusal says in plain words why there is no connection to the broker, and
// what to do about it: two clauses that begin with a small letter and end
// without a full stop. Remedy may be empty. It never holds a secret.
type Refusal struct {
	Why, Remedy string
}

// Error returns both on one line.
func (r Refusal) Error() string {
	if r.Remedy == "" {
		return r.Why
	}
	return r.Why + ": " + r.Remedy
}

const checkLog = "look at its log"

// explain says why there is no connection to a.
func explain(err error, a *address, cfg *Config) Refusal {
	if err == nil {
		return Refusal{Why: "the connection ended"}
	}
	for _, why := range []Refusal{explainForbidden(err), explainCode(err), explainTLS(err, a)} {
		if why != (Refusal{}) {
			return why
		}
	}
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case strings.Contains(err.Error(), "pingresp"): // the client has no name for this error
		return Refusal{"the broker has stopped answering", "check the network, and the broker's log"}
	case errors.Is(err, errSilent):
		return Refusal{"the broker takes messages but acknowledges none", checkLog}
	case notMQTT(err):
		return Refusal{"what answers there does not speak MQTT", "correct the port in PORCHLIGHT_MQTT_URL; 1883 is usual, 8883 with TLS"}
	case errors.As(err, &dns) && dns.IsNotFound:
		return Refusal{fmt.Sprintf("no address is known for the host name %q", dns.Name), "correct the host in PORCHLIGHT_MQTT_URL, or put the broker's IP address there"}
	case errors.As(err, &dns):
		return Refusal{fmt.Sprintf("the name server gives no answer for %q", dns.Name), "check the name server in /etc/resolv.conf, or put the broker's IP address into PORCHLIGHT_MQTT_URL"}
	case errors.Is(err, connRefused):
		return Refusal{"nothing listens there", "start the broker, or correct the port in PORCHLIGHT_MQTT_URL"}
	case errors.Is(err, hostUnreachable), errors.Is(err, netUnreachable):
		return Refusal{"the host cannot be reached", "check the network and the host in PORCHLIGHT_MQTT_URL"}
	case errors.Is(err, websocket.ErrBadHandshake):
		return Refusal{"a web server answers, but there is no MQTT over WebSocket at that address", "correct the port and the path in PORCHLIGHT_MQTT_URL"}
	case endedByBroker(err):
		return explainClosed(err, a, cfg)
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return Refusal{"the broker does not answer", "check the network, a firewall in between, and that the port in PORCHLIGHT_MQTT_URL is one for MQTT"}
	}
	return Refusal{Why: err.Error()}
}

// notMQTT reports whether the first answer was no CONNACK. The client has no
// names for these errors.
func notMQTT(err error) bool {
	return strings.Contains(err.Error(), "CONNACK") || strings.Contains(err.Error(), "unsupported packet type")
}

func endedByBroker(err error) bool {
	var closed *websocket.CloseError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &closed) ||
		errors.Is(err, connReset) || errors.Is(err, brokenPipe)
}

// explainForbidden explains a connection that ended at what the broker seems to
// forbid.
func explainForbidden(err error) (r Refusal) {
	var at forbidden
	switch {
	case !errors.As(err, &at):
	case errors.Is(err, errSilent):
		r.Why = "the broker did not acknowledge what Porchlight wrote to " + at.at.filter
	default:
		r.Why = fmt.Sprintf("the broker ended the connection when Porchlight wanted to %s %s", at.at.do, at.at.filter)
	}
	return r
}

// explainClosed explains a connection that the broker ended without a word.
func explainClosed(err error, a *address, cfg *Config) Refusal {
	const unsaid = "the broker closed the connection without an answer"
	const certificate = "if it wants a client certificate, set PORCHLIGHT_MQTT_CERT_FILE and PORCHLIGHT_MQTT_KEY_FILE"
	var u unanswered
	switch {
	case !errors.As(err, &u):
		return Refusal{Why: "the broker closed the connection"}
	case a.encrypted() && !u.open:
		return Refusal{"the broker closed the connection in the TLS handshake", "use its TLS port in PORCHLIGHT_MQTT_URL"}
	case a.encrypted() && cfg.CertFile == "":
		return Refusal{unsaid, certificate}
	case a.encrypted():
		return Refusal{unsaid, checkLog}
	case a.web():
		return Refusal{unsaid, "correct the port in PORCHLIGHT_MQTT_URL: brokers have one of its own for WebSocket; on the others it is mqtt:// or mqtts://"}
	}
	return Refusal{unsaid, "look at its log; a port with TLS needs mqtts:// in PORCHLIGHT_MQTT_URL, one for WebSocket ws://"}
}

// explainCode explains a CONNACK that says no (MQTT 3.1.1, section 3.2.2.3).
func explainCode(err error) Refusal {
	var code refused
	if !errors.As(err, &code) {
		return Refusal{}
	}
	const credentials = "correct PORCHLIGHT_MQTT_USERNAME and PORCHLIGHT_MQTT_PASSWORD"
	switch byte(code) {
	case packets.ErrRefusedBadUsernameOrPassword:
		return Refusal{"the user name or the password is wrong", credentials}
	case packets.ErrRefusedNotAuthorised: // what most brokers also say to a wrong password
		return Refusal{"the user name or the password is wrong, or this user is not authorised", credentials + ", and allow the user at the broker"}
	case packets.ErrRefusedServerUnavailable:
		return Refusal{"the broker says that it is not available", checkLog}
	case packets.ErrRefusedIDRejected:
		return Refusal{"the broker refuses the client id", "allow client ids that begin with porchlight"}
	case packets.ErrRefusedBadProtocolVersion:
		return Refusal{"the broker does not speak MQTT 3.1.1", "allow MQTT 3.1.1 there"}
	}
	return Refusal{fmt.Sprintf("the broker refuses the connection with code %d", byte(code)), checkLog}
}

func explainTLS(err error, a *address) Refusal {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var alert *net.OpError
	switch {
	case errors.As(err, &authority):
		return Refusal{"the broker's certificate is signed by an authority that is not known here", "set PORCHLIGHT_MQTT_CA_FILE to the authority's certificate"}
	case errors.As(err, &name):
		return Refusal{fmt.Sprintf("the broker's certificate is not for %q", a.host), "use a name that it is for in PORCHLIGHT_MQTT_URL"}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return Refusal{"the broker's certificate has expired or is not valid yet", "renew it, and check the clock of this machine"}
	case errors.As(err, &invalid):
		return Refusal{"the broker's certificate is not valid (" + invalid.Error() + ")", "renew it"}
	case errors.As(err, &record):
		return Refusal{"there is no TLS on this port of the broker", "use its TLS port, or mqtt:// (ws://) in PORCHLIGHT_MQTT_URL"}
	case errors.As(err, &alert) && alert.Op == "remote error": // what crypto/tls calls the other side's alert
		return Refusal{fmt.Sprintf("the broker ends the TLS handshake (%v)", alert.Err), "if it wants a client certificate, set PORCHLIGHT_MQTT_CERT_FILE and PORCHLIGHT_MQTT_KEY_FILE"}
	}
	return Refusal{}
}

// tooBrief explains connections that the broker accepts and ends, again and
// again.
func tooBrief(why string) string {
	return fmt.Sprintf("the broker ends each connection soon after it was made (%s): %s", why, checkLog)
}
