package mqtt

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	mrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"porchlight/presence"
)

// mosquitto is a real broker on a port of its own, with its files in a
// temporary directory.
type mosquitto struct {
	dir, port string
	cmd       *exec.Cmd
	said      logBuffer
}

func newMosquitto(t testing.TB, config string) *mosquitto {
	t.Helper()
	if _, err := exec.LookPath("mosquitto"); err != nil {
		t.Skip("mosquitto is not installed")
	}
	m := &mosquitto{dir: t.TempDir(), port: freePort(t)}
	config = "user root\n" + config // only root would change to another, which cannot read DIR
	m.write(t, "mosquitto.conf", strings.NewReplacer("DIR", m.dir, "PORT", m.port, "PLAIN", freePort(t)).Replace(config), 0o644)
	t.Cleanup(func() { m.kill(syscall.SIGKILL) })
	return m
}

// freePort finds a port below those that the kernel gives to whoever asks for any.
func freePort(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(20_000 + mrand.IntN(12_000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

func (m *mosquitto) write(t testing.TB, name, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(m.dir, name)
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// start runs the broker and waits until it listens.
func (m *mosquitto) start(t testing.TB) {
	t.Helper()
	m.cmd = exec.Command("mosquitto", "-c", filepath.Join(m.dir, "mosquitto.conf"))
	m.cmd.Stderr = &m.said
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			t.Log(m.said.String())
		}
	}()
	eventually(t, "mosquitto listens", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+m.port)
		if err != nil {
			return false
		}
		defer c.Close()
		// The kernel takes connections before the broker's loop runs, and a
		// signal in between is lost: that it hangs up in turn shows that it runs.
		_ = c.SetDeadline(time.Now().Add(time.Second))
		_ = c.(*net.TCPConn).CloseWrite()
		_, err = c.Read(make([]byte, 1))
		return !errors.Is(err, os.ErrDeadlineExceeded)
	})
}

func (m *mosquitto) kill(sig syscall.Signal) {
	if m.cmd != nil {
		_ = m.cmd.Process.Signal(sig)
		_ = m.cmd.Wait()
		m.cmd = nil
	}
}

func (m *mosquitto) dial(context.Context) (net.Conn, error) {
	return net.Dial("tcp", "127.0.0.1:"+m.port)
}

// patience is how long to wait for what takes a moment, seconds on a busy machine.
const patience = time.Minute

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() || t.Failed() {
			return
		}
	}
	t.Fatalf("in %s not reached: %s", patience, what)
}

// plain is a broker that anybody on this machine may use.
const plain = `
listener PORT 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
`

func connected(r *running) func() bool {
	return func() bool { ok, _ := r.Status(); return ok }
}

func TestMosquittoAuthentication(t *testing.T) {
	m := newMosquitto(t, `
listener PORT 127.0.0.1
allow_anonymous false
password_file DIR/passwords
`)
	if out, err := exec.Command("mosquitto_passwd", "-c", "-b", filepath.Join(m.dir, "passwords"), "anna", "s3cret/@").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_ = os.Chmod(filepath.Join(m.dir, "passwords"), 0o644)
	m.start(t)
	r := start(t, Config{URL: "mqtt://127.0.0.1:" + m.port, Username: "anna", Password: "s3cret/@"}, newMemoryLog())
	eventually(t, "connected", connected(r))
	r = start(t, Config{URL: "mqtt://anna:s3cret%2F%40@127.0.0.1:" + m.port, Announce: true}, newMemoryLog())
	eventually(t, "connected with the password in the URL", connected(r))

	r = start(t, Config{URL: "mqtt://anna:hunter2@127.0.0.1:" + m.port}, newMemoryLog())
	eventually(t, "refused", func() bool { return strings.Contains(r.log.String(), "MQTT_PASSWORD") })
	time.Sleep(1500 * time.Millisecond) // several tries
	if n := strings.Count(r.log.String(), "\n"); n != 1 {
		t.Errorf("%d log lines, want 1:\n%s", n, r.log)
	}
	if strings.Contains(r.log.String(), "hunter2") {
		t.Error("the password is in the log:", r.log)
	}
}

// web is a WebSocket listener. mosquitto 2.0 does not run with that alone.
const web = `
listener PORT 127.0.0.1
protocol websockets
allow_anonymous true
listener PLAIN 127.0.0.1
`

func TestMosquittoWebSocket(t *testing.T) {
	m := newMosquitto(t, web)
	m.start(t)
	r := start(t, Config{URL: "ws://127.0.0.1:" + m.port + "/mqtt"}, newMemoryLog())
	r.Update([]presence.Device{phone(1, presence.Home)})
	r.SetSummary(household(1))
	eventually(t, "connected", connected(r))
	r = start(t, Config{URL: "mqtt://127.0.0.1:" + m.port}, newMemoryLog())
	eventually(t, "a reason", func() bool { return strings.Contains(r.log.String(), "no connection") })
}

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, a.cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a.pem = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return a
}

// issue returns a certificate for ip, until notAfter, and its key, in PEM.
func (a *authority) issue(t *testing.T, ip string, notAfter time.Time) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "broker"},
		NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: notAfter,
		IPAddresses: []net.IP{net.ParseIP(ip)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.cert, &k.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	kder, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: kder}))
}

func TestMosquittoTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	soon, past := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	const listen = "listener PORT 127.0.0.1\nallow_anonymous true\ncafile DIR/ca.pem\ncertfile DIR/cert.pem\nkeyfile DIR/key.pem\n"
	for name, c := range map[string]struct {
		config string
		ip     string
		until  time.Time
		ca     *authority
		client bool
		scheme string
		want   string // of the log
	}{
		"good":            {listen, "127.0.0.1", soon, ca, false, "mqtts", "connected"},
		"client":          {listen + "require_certificate true\n", "127.0.0.1", soon, ca, true, "mqtts", "connected"},
		"no client":       {listen + "require_certificate true\n", "127.0.0.1", soon, ca, false, "mqtts", "MQTT_CERT_FILE"},
		"expired":         {listen, "127.0.0.1", past, ca, false, "mqtts", "expired"},
		"other name":      {listen, "127.0.0.9", soon, ca, false, "mqtts", "is not for"},
		"other authority": {listen, "127.0.0.1", soon, other, false, "mqtts", "MQTT_CA_FILE"},
		"websocket":       {listen + "protocol websockets\nlistener PLAIN 127.0.0.1\n", "127.0.0.1", soon, ca, false, "wss", "connected"},
		"no TLS":          {plain, "127.0.0.1", soon, ca, false, "mqtts", "its TLS port"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMosquitto(t, c.config)
			cert, key := ca.issue(t, c.ip, c.until)
			m.write(t, "ca.pem", ca.pem, 0o644)
			m.write(t, "cert.pem", cert, 0o644)
			m.write(t, "key.pem", key, 0o644)
			_ = os.Chmod(m.dir, 0o755)
			m.start(t)
			cfg := Config{URL: c.scheme + "://127.0.0.1:" + m.port, CAFile: m.write(t, "trusted.pem", c.ca.pem, 0o644)}
			if c.client {
				cert, key := ca.issue(t, "127.0.0.1", soon)
				cfg.CertFile = m.write(t, "client.pem", cert, 0o644)
				cfg.KeyFile = m.write(t, "client.key", key, 0o600)
			}
			r := start(t, cfg, newMemoryLog())
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(r.log)
				}
			})
			eventually(t, c.want, func() bool { return strings.Contains(r.log.String(), c.want) })
			r.stop()
		})
	}
}

// tally is a subscriber with a persistent session that comes back by itself.
type tally struct {
	paho.Client
	mu     sync.Mutex
	states map[string]string // by topic
	seqs   []int64
}

func newTally(t testing.TB, m *mosquitto, id string, persistent bool, filters ...string) *tally {
	t.Helper()
	a := &tally{states: make(map[string]string)}
	o := paho.NewClientOptions().AddBroker("tcp://127.0.0.1:" + m.port).SetClientID(id).SetProtocolVersion(4).
		SetCleanSession(!persistent).SetAutoReconnect(true).SetMaxReconnectInterval(200 * time.Millisecond).
		SetOrderMatters(true).SetConnectRetry(true).SetConnectRetryInterval(100 * time.Millisecond).
		SetDefaultPublishHandler(func(_ paho.Client, msg paho.Message) { a.receive(msg) })
	o.OnConnect = func(c paho.Client) {
		for _, f := range filters {
			c.Subscribe(f, 1, nil)
		}
	}
	a.Client = paho.NewClient(o)
	if token := a.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatal("connecting the subscriber:", token.Error())
	}
	t.Cleanup(func() { a.Disconnect(100) })
	return a
}

func (a *tally) receive(m paho.Message) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m.Topic() == options.Topics.Event() {
		_, rest, _ := strings.Cut(string(m.Payload()), `"seq":`)
		digits, _, _ := strings.Cut(rest, ",")
		seq, _ := strconv.ParseInt(digits, 10, 64)
		a.seqs = append(a.seqs, seq)
		return
	}
	a.states[m.Topic()] = string(m.Payload())
}

// complete says what is wrong with the events received: each of 1 to n must
// have come, and none before its predecessor.
func (a *tally) complete(n int64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	last := int64(0)
	for _, seq := range a.seqs {
		if seq > last+1 {
			return fmt.Errorf("event %d came after %d", seq, last)
		}
		last = max(last, seq)
	}
	if last != n {
		return fmt.Errorf("%d events, want %d", last, n)
	}
	return nil
}

// cable is the way to a broker, and can be cut.
type cable struct {
	m     *mosquitto
	mu    sync.Mutex
	conns []net.Conn
}

func newCable(t *testing.T, m *mosquitto) *cable {
	c := &cable{m: m}
	t.Cleanup(c.cut)
	return c
}

func (c *cable) dial(ctx context.Context) (net.Conn, error) {
	conn, err := c.m.dial(ctx)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
	return conn, nil
}

// cut ends all connections without a word: what was written and not read yet is
// lost.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	c.conns = nil
}

// 50 times the broker is restarted or the connection to it cut while devices
// come and go. Afterwards the broker holds the truth, and a subscriber with a
// persistent session has had every event, in order.
func TestMosquittoKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	m := newMosquitto(t, plain+"persistence true\npersistence_location DIR/\nautosave_interval 1\nautosave_on_changes true\nmax_queued_messages 0\n")
	m.start(t)
	events := newTally(t, m, "events", true, options.Topics.Event())
	cable := newCable(t, m)
	s := start(t, Config{Dial: cable.dial, Announce: true, pauses: backoff{20 * time.Millisecond, 100 * time.Millisecond}}, newMemoryLog())
	const n = 40
	truth := make([]presence.State, n)
	var devices []presence.Device
	for i := range n {
		truth[i] = presence.NotHome
		devices = append(devices, phone(i, presence.NotHome))
	}
	s.Update(devices)
	s.SetSummary(household(0))
	eventually(t, "connected", connected(s))

	stop, done := make(chan struct{}), make(chan int64)
	go func() { // the household
		seq := int64(0)
		for {
			select {
			case <-stop:
				done <- seq
				return
			case <-time.After(2 * time.Millisecond):
			}
			i := mrand.IntN(n)
			truth[i] = map[presence.State]presence.State{presence.Home: presence.NotHome, presence.NotHome: presence.Home}[truth[i]]
			s.Update([]presence.Device{phone(i, truth[i])})
			s.events.append(presence.Event{Type: presence.Arrived, ID: phone(i, "").ID, Time: epoch})
			seq++
		}
	}()
	const rounds = 50
	for round := range rounds {
		time.Sleep(time.Duration(mrand.IntN(300)) * time.Millisecond)
		if round%2 == 0 {
			cable.cut()
			continue
		}
		m.kill(syscall.SIGTERM)
		m.start(t)
	}
	close(stop)
	last := <-done
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%v; cursor %d, log:\n%s", events.complete(last), s.events.cursor, s.log)
		}
	})
	eventually(t, "all events, in order", func() bool { return events.complete(last) == nil })
	check := newTally(t, m, "check", false, options.AllStates())
	eventually(t, "retained states equal the truth", func() bool {
		check.mu.Lock()
		defer check.mu.Unlock()
		for i := range n {
			if check.states[options.Topics.State(phone(i, "").ID)] != string(truth[i]) {
				return false
			}
		}
		return len(check.states) == n
	})
	events.mu.Lock()
	defer events.mu.Unlock()
	t.Logf("%d rounds, %d events in the log, %d received", rounds, last, len(events.seqs))
}

func TestTenThousand(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	const n = 10_000
	m := newMosquitto(t, plain+"max_queued_messages 0\n")
	m.start(t)
	live := newTally(t, m, "live", false, options.AllStates())
	devices := make([]presence.Device, n)
	for i := range devices {
		devices[i] = phone(i, presence.Home)
	}
	began := time.Now()
	s := start(t, Config{URL: "mqtt://127.0.0.1:" + m.port, Announce: true}, newMemoryLog())
	s.Update(devices)
	s.SetSummary(household(n))
	count := func(a *tally) func() bool {
		return func() bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			return len(a.states) == n
		}
	}
	eventually(t, "a subscriber that was there has all states", count(live))
	t.Log("10,000 states after", time.Since(began).Round(time.Millisecond))
	for _, filter := range []string{options.AllStates(), options.AllAttributes()} {
		late := newTally(t, m, "late", false, filter)
		eventually(t, "retained on "+filter, count(late))
		late.Disconnect(100)
	}
	configs := newTally(t, m, "configs", false, options.AllConfigs())
	eventually(t, "retained discovery", func() bool {
		configs.mu.Lock()
		defer configs.mu.Unlock()
		return len(configs.states) == n+1
	})
	t.Log("everything after", time.Since(began).Round(time.Millisecond))
}
