package doctor

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/eclipse/paho.mqtt.golang/packets"
	"github.com/gorilla/websocket"
)

// explain says in words why the broker was not reached or refused.
func explain(err error, host string) (why, remedy string) {
	var code refusal
	if errors.As(err, &code) {
		return explainRefusal(code)
	}
	if why, remedy = explainTLS(err, host); why != "" {
		return why, remedy
	}
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("the name %s is not known", host), "Correct the host in PORCHLIGHT_MQTT_URL, or put the broker's IP address there."
	case errors.As(err, &dns):
		return fmt.Sprintf("the name server gives no answer for %s", host), "Check the name server in /etc/resolv.conf, or put the broker's IP address into PORCHLIGHT_MQTT_URL."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there", "Start the broker, or correct the port in PORCHLIGHT_MQTT_URL."
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "the host cannot be reached", "Check the network and the host in PORCHLIGHT_MQTT_URL."
	case errors.Is(err, websocket.ErrBadHandshake):
		return "a web server answers, but there is no MQTT over WebSocket at that address", "Correct the port and the path in PORCHLIGHT_MQTT_URL."
	case errors.Is(err, errNotMQTT):
		return errNotMQTT.Error(), "Correct the port in PORCHLIGHT_MQTT_URL; 1883 is usual, 8883 with TLS."
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "it closes the connection", "Look at the broker's log; a port with TLS needs mqtts:// in PORCHLIGHT_MQTT_URL."
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Sprintf("there is no answer within %d s", int(brokerTime.Seconds())), "Check the network, a firewall in between, and that the port in PORCHLIGHT_MQTT_URL is one for MQTT."
	}
	return err.Error(), "Look at the broker's log, and check PORCHLIGHT_MQTT_URL."
}

func explainRefusal(code refusal) (why, remedy string) {
	switch byte(code) {
	case packets.ErrRefusedBadUsernameOrPassword:
		return "the user name or the password is wrong", "Correct PORCHLIGHT_MQTT_USERNAME and PORCHLIGHT_MQTT_PASSWORD."
	case packets.ErrRefusedNotAuthorised:
		// What most brokers also say to a wrong password.
		return "the user name or the password is wrong, or this user is not authorised", "Correct PORCHLIGHT_MQTT_USERNAME and PORCHLIGHT_MQTT_PASSWORD, and allow the user at the broker."
	case packets.ErrRefusedServerUnavailable:
		return "it says that it is not available", "Look at the broker's log."
	case packets.ErrRefusedIDRejected:
		return "it refuses the client id", "Allow client ids that begin with porchlight at the broker."
	case packets.ErrRefusedBadProtocolVersion:
		return "it does not speak MQTT 3.1.1", "Allow MQTT 3.1.1 at the broker."
	}
	return fmt.Sprintf("it refuses with code %d", byte(code)), "Look at the broker's log."
}

func explainTLS(err error, host string) (why, remedy string) {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var alert *net.OpError
	switch {
	case errors.Is(err, errCertificate):
		return err.Error(), "Correct PORCHLIGHT_MQTT_CA_FILE, PORCHLIGHT_MQTT_CERT_FILE and PORCHLIGHT_MQTT_KEY_FILE."
	case errors.As(err, &authority):
		return "its certificate is signed by an authority that is not known here", "Set PORCHLIGHT_MQTT_CA_FILE to the authority's certificate."
	case errors.As(err, &name):
		return fmt.Sprintf("its certificate is not for %s", host), "Use a name that the certificate is for in PORCHLIGHT_MQTT_URL."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired or is not valid yet", "Renew the certificate, and check the clock of this machine."
	case errors.As(err, &invalid):
		return "its certificate is not valid (" + invalid.Error() + ")", "Renew the broker's certificate."
	case errors.As(err, &record):
		return "there is no TLS on this port", "Use the broker's TLS port, or mqtt:// (ws://) in PORCHLIGHT_MQTT_URL."
	case errors.As(err, &alert) && alert.Op == "remote error": // what crypto/tls calls the other side's alert
		return fmt.Sprintf("it ends the TLS handshake (%v)", alert.Err), "If it wants a client certificate, set PORCHLIGHT_MQTT_CERT_FILE and PORCHLIGHT_MQTT_KEY_FILE."
	}
	return "", ""
}
