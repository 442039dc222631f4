package mqtt

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/gorilla/websocket"
)

func TestExplain(t *testing.T) {
	plain, secure := &address{scheme: "mqtt", host: "broker"}, &address{scheme: "mqtts", host: "broker"}
	for _, test := range []struct {
		err          error
		a            *address
		cfg          Config
		why, remedy  string
		nothingToAdd bool
	}{
		{err: x509.UnknownAuthorityError{}, a: secure, why: "an authority that is not known here", remedy: "PORCHLIGHT_MQTT_CA_FILE"},
		{err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "broker"}, a: secure, why: `not for "broker"`, remedy: "PORCHLIGHT_MQTT_URL"},
		{err: x509.CertificateInvalidError{Reason: x509.Expired}, a: secure, why: "has expired or is not valid yet", remedy: "clock"},
		{err: x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, a: secure, why: "is not valid (", remedy: "renew"},
		{err: &net.DNSError{Name: "broker", IsNotFound: true}, a: plain, why: `no address is known for the host name "broker"`, remedy: "IP address"},
		{err: &net.DNSError{Name: "broker", IsTimeout: true}, a: plain, why: `gives no answer for "broker"`, remedy: "resolv.conf"},
		{err: os.NewSyscallError("connect", syscall.EHOSTUNREACH), a: plain, why: "cannot be reached", remedy: "network"},
		{err: os.NewSyscallError("connect", syscall.ECONNREFUSED), a: plain, why: "nothing listens there", remedy: "start the broker"},
		{err: websocket.ErrBadHandshake, a: plain, why: "no MQTT over WebSocket", remedy: "path"},
		{err: os.ErrDeadlineExceeded, a: plain, why: "does not answer", remedy: "firewall"},
		{err: context.DeadlineExceeded, a: plain, why: "does not answer", remedy: "firewall"},
		{err: errors.New("pingresp not received, disconnecting"), a: plain, why: "has stopped answering", remedy: "network"},
		{err: errors.New("non-CONNACK first packet received"), a: plain, why: "does not speak MQTT", remedy: "1883"},
		{err: errSilent, a: plain, why: "acknowledges none", remedy: "log"},
		{err: forbidden{errSilent, access{write, "a/b"}}, a: plain, why: "did not acknowledge what Porchlight wrote to a/b", nothingToAdd: true},
		{err: forbidden{io.EOF, access{write, "a/b"}}, a: plain, why: "ended the connection when Porchlight wanted to write a/b", nothingToAdd: true},
		{err: io.EOF, a: plain, why: "the broker closed the connection", nothingToAdd: true},
		{err: &websocket.CloseError{Code: 1006}, a: plain, why: "the broker closed the connection", nothingToAdd: true},
		{err: unanswered{io.EOF, true}, a: plain, why: "without an answer", remedy: "mqtts://"},
		{err: unanswered{io.EOF, true}, a: &address{scheme: "ws", host: "broker"}, why: "without an answer", remedy: "one of its own for WebSocket"},
		{err: unanswered{io.EOF, false}, a: secure, why: "in the TLS handshake", remedy: "TLS port"},
		{err: unanswered{io.EOF, true}, a: secure, why: "without an answer", remedy: "PORCHLIGHT_MQTT_CERT_FILE"},
		{err: unanswered{io.EOF, true}, a: secure, cfg: Config{CertFile: "x"}, why: "without an answer", remedy: "log"},
		{err: refused(packets.ErrRefusedBadUsernameOrPassword), a: plain, why: "the password is wrong", remedy: "PORCHLIGHT_MQTT_PASSWORD"},
		{err: refused(packets.ErrRefusedNotAuthorised), a: plain, why: "not authorised", remedy: "allow the user"},
		{err: refused(77), a: plain, why: "code 77", remedy: "log"},
		{err: os.ErrInvalid, a: plain, why: "dialling: invalid argument", nothingToAdd: true},
		{err: nil, a: plain, why: "the connection ended", nothingToAdd: true},
	} {
		err := test.err
		if err != nil {
			err = fmt.Errorf("dialling: %w", err)
		}
		got := explain(err, test.a, &test.cfg)
		if !strings.Contains(got.Why, test.why) || !strings.Contains(got.Remedy, test.remedy) || (got.Remedy == "") != test.nothingToAdd {
			t.Errorf("%v: %q, %q; want %q, %q", test.err, got.Why, got.Remedy, test.why, test.remedy)
		}
		if strings.HasSuffix(got.Error(), ".") || strings.HasSuffix(got.Error(), ": ") {
			t.Errorf("%q", got.Error())
		}
	}
}
