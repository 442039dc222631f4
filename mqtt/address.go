package mqtt

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// dialTimeout bounds the making of a connection, TLS and WebSocket included.
const dialTimeout = 10 * time.Second

// address is a broker's, taken apart. String never shows a secret.
type address struct {
	scheme             string // mqtt, mqtts, ws or wss
	host, port, path   string
	username, password string
}

// ports are the usual ones, by scheme.
var ports = map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443"}

// parseAddress takes the broker's address and credentials from c. Its errors do
// not repeat the URL, which may hold a password.
func parseAddress(c *Config) (address, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return address{}, errors.New("PORCHLIGHT_MQTT_URL is not a URL: want one such as mqtt://192.168.1.10:1883 (in a user or password, write %40 for @, %2F for /, %3A for : and so on)")
	}
	port, ok := ports[u.Scheme]
	if !ok {
		return address{}, fmt.Errorf("PORCHLIGHT_MQTT_URL has scheme %q: want mqtt, mqtts, ws or wss, such as mqtt://192.168.1.10:1883", u.Scheme)
	}
	if u.Hostname() == "" {
		return address{}, errors.New("PORCHLIGHT_MQTT_URL names no host: want one such as mqtt://192.168.1.10:1883")
	}
	a := address{scheme: u.Scheme, host: u.Hostname(), port: u.Port(), path: u.EscapedPath()}
	if a.port == "" {
		a.port = port
	}
	if a.web() && a.path == "" {
		a.path = "/mqtt" // what brokers that look at the path expect
	}
	if !a.web() && strings.Trim(a.path, "/") != "" {
		return address{}, fmt.Errorf("PORCHLIGHT_MQTT_URL has a path: %s:// takes none, such as mqtt://192.168.1.10:1883", a.scheme)
	}
	a.username, a.password = u.User.Username(), ""
	a.password, _ = u.User.Password()
	if c.Username != "" {
		a.username, a.password = c.Username, ""
	}
	if c.Password != "" {
		a.password = c.Password
	}
	if a.password != "" && a.username == "" {
		return address{}, errors.New("PORCHLIGHT_MQTT_PASSWORD is set without PORCHLIGHT_MQTT_USERNAME: MQTT needs both")
	}
	return a, nil
}

func (a address) web() bool       { return a.scheme == "ws" || a.scheme == "wss" }
func (a address) encrypted() bool { return a.scheme == "mqtts" || a.scheme == "wss" }

// String returns the address without user and password.
func (a address) String() string {
	s := a.scheme + "://" + net.JoinHostPort(a.host, a.port)
	if a.web() {
		s += a.path
	}
	return s
}

// tlsConfig reads the certificate files of c. It is nil for an address that is
// not encrypted.
func (a address) tlsConfig(c *Config) (*tls.Config, error) {
	if !a.encrypted() {
		for _, f := range []struct{ name, path string }{
			{"PORCHLIGHT_MQTT_CA_FILE", c.CAFile}, {"PORCHLIGHT_MQTT_CERT_FILE", c.CertFile}, {"PORCHLIGHT_MQTT_KEY_FILE", c.KeyFile},
		} {
			if f.path != "" {
				return nil, fmt.Errorf("%s is set, but %s is not encrypted: want mqtts:// or wss:// in PORCHLIGHT_MQTT_URL", f.name, a)
			}
		}
		return nil, nil
	}
	t := &tls.Config{ServerName: a.host, MinVersion: tls.VersionTLS12}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading PORCHLIGHT_MQTT_CA_FILE: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("PORCHLIGHT_MQTT_CA_FILE %q holds no certificate: want PEM, beginning with -----BEGIN CERTIFICATE-----", c.CAFile)
		}
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return nil, errors.New("of PORCHLIGHT_MQTT_CERT_FILE and PORCHLIGHT_MQTT_KEY_FILE only one is set: a client certificate needs both")
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading PORCHLIGHT_MQTT_CERT_FILE %q with PORCHLIGHT_MQTT_KEY_FILE %q: %w", c.CertFile, c.KeyFile, err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// dial makes a connection. The certificate files are read anew, since they are
// renewed while we run.
func (a address) dial(ctx context.Context, c *Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	t, err := a.tlsConfig(c)
	if err != nil {
		return nil, err
	}
	hostport := net.JoinHostPort(a.host, a.port)
	switch {
	case a.web():
		direct := &paho.WebsocketOptions{Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}
		return paho.NewWebsocket(a.String(), t, dialTimeout, nil, direct)
	case t != nil:
		return (&tls.Dialer{Config: t}).DialContext(ctx, "tcp", hostport)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", hostport)
}

// buffered spares a system call for each byte of a packet's header that paho
// reads, and says at once when the connection has ended: paho says so later, or
// not at all when it was closed on this side.
type buffered struct {
	net.Conn
	r     *bufio.Reader
	ended func(error)
}

func newBuffered(c net.Conn, ended func(error)) *buffered {
	return &buffered{c, bufio.NewReaderSize(c, 16<<10), ended}
}

func (b *buffered) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil {
		b.ended(err)
	}
	return n, err
}
