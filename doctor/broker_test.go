package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"porchlight/config"
	"porchlight/mqtt"
)

const password = "correct horse"

// embedded starts a real broker that wants a user and a password.
func embedded(t *testing.T) string {
	t.Helper()
	b, err := mqtt.NewBroker(mqtt.BrokerConfig{Listen: "127.0.0.1:0", Username: "porch", Password: password, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b.Addr().String()
}

// peer accepts connections and does something with each.
func peer(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

// answer reads the CONNECT and writes b.
func answer(b ...byte) func(net.Conn) {
	return func(c net.Conn) {
		_, _ = c.Read(make([]byte, 512))
		_, _ = c.Write(b)
	}
}

func TestCheckBroker(t *testing.T) {
	real := embedded(t)
	hold := make(chan struct{})
	defer close(hold)
	silent := peer(t, func(net.Conn) { <-hold })
	closed := peer(t, func(net.Conn) {})
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	strict := httptest.NewUnstartedServer(http.NotFoundHandler())
	strict.Config.ErrorLog = secure.Config.ErrorLog
	strict.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	strict.StartTLS()
	t.Cleanup(strict.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})))
	noCA := filepath.Join(t.TempDir(), "no.pem")
	write(t, noCA, "nothing")
	webAt, secureAt := strings.TrimPrefix(web.URL, "http://"), strings.TrimPrefix(secure.URL, "https://")

	for _, test := range []struct {
		name, url, user, password string
		ca                        string
		level                     Level
		text, remedy              string
	}{
		{"accepts", "mqtt://" + real, "porch", password, "", OK, "accepts the connection", ""},
		{"wrong password", "mqtt://" + real, "porch", "battery staple", "", Fail, "the user name or the password is wrong", "PORCHLIGHT_MQTT_PASSWORD"},
		{"no password", "mqtt://" + real, "", "", "", Fail, "the user name or the password is wrong", "PORCHLIGHT_MQTT_USERNAME"},
		{"not authorised", "mqtt://" + peer(t, answer(0x20, 2, 0, 5)), "porch", password, "", Fail, "not authorised", "allow the user"},
		{"bad password", "mqtt://" + peer(t, answer(0x20, 2, 0, 4)), "porch", password, "", Fail, "the user name or the password is wrong.", "PORCHLIGHT_MQTT_PASSWORD"},
		{"unavailable", "mqtt://" + peer(t, answer(0x20, 2, 0, 3)), "", "", "", Fail, "not available", "log"},
		{"id refused", "mqtt://" + peer(t, answer(0x20, 2, 0, 2)), "", "", "", Fail, "client id", "begin with porchlight"},
		{"old broker", "mqtt://" + peer(t, answer(0x20, 2, 0, 1)), "", "", "", Fail, "3.1.1", "3.1.1"},
		{"no code", "mqtt://" + peer(t, answer(0x20, 2, 0, 77)), "", "", "", Fail, "code 77", "log"},
		{"a web server", "mqtt://" + webAt, "", "", "", Fail, "not in MQTT", "port"},
		{"nothing there", "mqtt://127.0.0.1:1", "", "", "", Fail, "nothing listens", "Start the broker"},
		{"closes", "mqtt://" + closed, "", "", "", Fail, "closes the connection", "mqtts://"},
		{"says nothing", "mqtt://" + silent, "", "", "", Fail, "no answer", "firewall"},
		{"unknown authority", "mqtts://" + secureAt, "", "", "", Fail, "not known here", "PORCHLIGHT_MQTT_CA_FILE"},
		{"known authority, no MQTT", "mqtts://" + secureAt, "", "", ca, Fail, "not in MQTT", "8883"},
		{"wants a client certificate", strings.Replace(strict.URL, "https", "mqtts", 1), "", "", ca, Fail, "it ends the TLS handshake (tls: certificate required)", "PORCHLIGHT_MQTT_CERT_FILE"},
		{"bad authority file", "mqtts://" + secureAt, "", "", noCA, Fail, "holds no certificate", "PORCHLIGHT_MQTT_CA_FILE"},
		{"no TLS", "mqtts://" + peer(t, answer([]byte("HTTP/1.0 400 Bad Request\r\n\r\n")...)), "", "", "", Fail, "no TLS on this port", "mqtt://"},
		{"no WebSocket", "ws://" + webAt, "", "", "", Fail, "no MQTT over WebSocket", "path"},
	} {
		t.Run(test.name, func(t *testing.T) {
			u, err := url.Parse(test.url)
			if err != nil {
				t.Fatal(err)
			}
			patience := brokerTime
			if test.name == "says nothing" {
				patience = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			f := checkBroker(ctx, config.Config{MQTTURL: u, MQTTUsername: test.user, MQTTPassword: config.Secret(test.password), MQTTCAFile: test.ca})
			if f.Level != test.level || !strings.Contains(f.Text, test.text) || !strings.Contains(f.Remedy, test.remedy) {
				t.Errorf("got %+v, want %s with %q and remedy %q", f, test.level, test.text, test.remedy)
			}
			if test.password != "" && strings.Contains(fmt.Sprint(f), test.password) {
				t.Errorf("the password is shown: %+v", f)
			}
		})
	}
}

func TestExplain(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{x509.HostnameError{Certificate: &x509.Certificate{}, Host: "broker"}, "its certificate is not for broker"},
		{x509.CertificateInvalidError{Reason: x509.Expired}, "its certificate has expired or is not valid yet"},
		{x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, "its certificate is not valid"},
		{&net.DNSError{Name: "broker", IsNotFound: true}, "the name broker is not known"},
		{&net.DNSError{Name: "broker", IsTimeout: true}, "the name server gives no answer for broker"},
		{os.NewSyscallError("connect", syscall.EHOSTUNREACH), "the host cannot be reached"},
		{os.ErrInvalid, "dialling: invalid argument"},
	} {
		why, remedy := explain(fmt.Errorf("dialling: %w", test.err), "broker")
		if !strings.HasPrefix(why, test.want) || remedy == "" {
			t.Errorf("%v: got %q, %q; want %q", test.err, why, remedy, test.want)
		}
	}
}

func FuzzReadConnack(f *testing.F) {
	f.Add([]byte{0x20, 2, 0, 0})
	f.Add([]byte("HTTP/1.1 400"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		code, err := readConnack(r)
		if err == nil && (len(b) < 4 || code != b[3]) {
			t.Errorf("%x gives code %d", b, code)
		}
		if read := len(b) - r.Len(); read > 4 {
			t.Errorf("%d bytes were read", read)
		}
	})
}
