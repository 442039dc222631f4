package doctor

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"porchlight/config"
)

// brokerTime bounds the whole conversation with the broker.
const brokerTime = 5 * time.Second

// ports are the default ones of MQTT_URL's schemes.
var ports = map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "80", "wss": "443"}

// checkBroker connects to the configured broker once and says goodbye. It has a
// client id of its own, so that it does not end the session of a Porchlight
// that runs (MQTT 3.1.1, section 3.1.4).
func checkBroker(ctx context.Context, cfg config.Config) Finding {
	const check = "broker"
	ctx, cancel := context.WithTimeout(ctx, brokerTime)
	defer cancel()
	at := cfg.MQTTURL.Redacted()
	if err := tryBroker(ctx, cfg); err != nil {
		why, remedy := explain(err, cfg.MQTTURL.Hostname())
		return fail(check, fmt.Sprintf("No connection to the broker %s: %s.", at, why), remedy)
	}
	return ok(check, fmt.Sprintf("The broker %s accepts the connection.", at))
}

func tryBroker(ctx context.Context, cfg config.Config) error {
	conn, err := dial(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := connect(conn, cfg.MQTTUsername, string(cfg.MQTTPassword)); err != nil {
		if ctx.Err() != nil {
			return os.ErrDeadlineExceeded
		}
		return err
	}
	return nil
}

// dial makes a connection as MQTT_URL and the certificate files say.
func dial(ctx context.Context, cfg config.Config) (net.Conn, error) {
	u := *cfg.MQTTURL
	port := u.Port()
	if port == "" {
		port = ports[u.Scheme]
	}
	var tlsConfig *tls.Config
	if u.Scheme == "mqtts" || u.Scheme == "wss" {
		var err error
		if tlsConfig, err = certificates(cfg); err != nil {
			return nil, err
		}
	}
	switch {
	case u.Scheme == "ws" || u.Scheme == "wss":
		if u.Path == "" {
			u.Path = "/mqtt"
		}
		direct := &paho.WebsocketOptions{Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}
		return paho.NewWebsocket(u.String(), tlsConfig, brokerTime, nil, direct)
	case tlsConfig != nil:
		return (&tls.Dialer{Config: tlsConfig}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	}
	return new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
}

// errCertificate: one of the files is not what it should be.
var errCertificate = errors.New("certificate file")

func certificates(cfg config.Config) (*tls.Config, error) {
	t := &tls.Config{ServerName: cfg.MQTTURL.Hostname(), MinVersion: tls.VersionTLS12}
	if cfg.MQTTCAFile != "" {
		pem, err := os.ReadFile(cfg.MQTTCAFile)
		t.RootCAs = x509.NewCertPool()
		if err != nil || !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: %s holds no certificate in PEM form", errCertificate, cfg.MQTTCAFile)
		}
	}
	if cfg.MQTTCertFile != "" {
		pair, err := tls.LoadX509KeyPair(cfg.MQTTCertFile, cfg.MQTTKeyFile)
		if err != nil {
			return nil, fmt.Errorf("%w: %s and %s are no pair: %w", errCertificate, cfg.MQTTCertFile, cfg.MQTTKeyFile, err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

// refusal is the return code of a CONNACK that says no (MQTT 3.1.1, section
// 3.2.2.3).
type refusal byte

func (r refusal) Error() string { return packets.ConnackReturnCodes[byte(r)] }

var errNotMQTT = errors.New("it answers, but not in MQTT")

// connect sends CONNECT, waits for CONNACK, and sends DISCONNECT.
func connect(conn io.ReadWriter, user, password string) error {
	var suffix [3]byte
	_, _ = rand.Read(suffix[:]) // never fails
	p := packets.NewControlPacket(packets.Connect).(*packets.ConnectPacket)
	p.ProtocolName, p.ProtocolVersion = "MQTT", 4
	p.CleanSession = true
	p.Keepalive = 10
	p.ClientIdentifier = "porchlightdoctor" + hex.EncodeToString(suffix[:])
	p.Username, p.UsernameFlag = user, user != ""
	p.Password, p.PasswordFlag = []byte(password), password != ""
	if err := p.Write(conn); err != nil {
		return err
	}
	answer, err := readConnack(conn)
	if err != nil {
		return err
	}
	if answer != packets.Accepted {
		return refusal(answer)
	}
	return packets.NewControlPacket(packets.Disconnect).Write(conn)
}

// readConnack returns the return code. A CONNACK is four bytes (MQTT 3.1.1,
// section 3.2); who sends others can send what it likes without it being read.
func readConnack(r io.Reader) (code byte, err error) {
	var b [4]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, err
	}
	if b[0] != packets.Connack<<4 || b[1] != 2 {
		return 0, errNotMQTT
	}
	return b[3], nil
}
