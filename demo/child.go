package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"porchlight/discovery"
	"porchlight/history"
	"porchlight/lab"
)

// The settings of the demo that its story depends on.
const (
	probeInterval = 2 * time.Second
	awayInitial   = 12 * time.Second
	awayMin       = 10 * time.Second
	awayMax       = time.Minute
)

// settings are what Porchlight is started with, without the prefix of the names.
var settings = []string{
	"INTERFACES=" + observerInterface,
	"PROBE_INTERVAL=" + probeInterval.String(),
	"AWAY_INITIAL=" + awayInitial.String(),
	"AWAY_MIN=" + awayMin.String(),
	"AWAY_MAX=" + awayMax.String(),
	"SWEEP_INTERVAL=30s",
	"OUTAGE_HOLD=30s",
	"BROKER_LISTEN=" + brokerAddr,
	"LOG_LEVEL=warn",
}

// brokerAddr is where the embedded broker listens, in the observer's namespace.
const brokerAddr = "127.0.0.1:1883"

// topics are those of the default settings.
var topics = discovery.Topics{Prefix: "porchlight", Node: "home", HAPrefix: "homeassistant"}

const (
	// readyWithin is how long Porchlight may take to start.
	readyWithin = time.Minute
	// stopWithin is how long it has to end before it is killed.
	stopWithin = 2 * time.Second
)

// remember gives Porchlight its past.
func remember(dir, settled string, s *stage) error {
	store, err := history.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	store.SaveDevices(past(s.things, s.addrs(), time.Now()))
	if settled != "" {
		store.SetMeta(settled, time.Now().UTC().Format(time.RFC3339))
	}
	return store.Close()
}

// message is one publication of Porchlight's.
type message struct {
	topic   string
	payload []byte
}

// child is the Porchlight that runs on the stage, and an ear at its broker.
type child struct {
	cmd    *lab.Cmd
	said   *said
	broker paho.Client

	messages chan message
	ended    chan struct{} // closed by stop: nobody takes messages any more
}

// start starts Porchlight on the stage's observer and listens to its broker.
// The caller stops it.
func start(ctx context.Context, program, dir string, s *stage) (*child, error) {
	c := &child{said: new(said), messages: make(chan message, 256), ended: make(chan struct{})}
	c.cmd = s.obs.Command(context.WithoutCancel(ctx), program, "run")
	c.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "PORCHLIGHT_DATA_DIR=" + dir}
	for _, setting := range settings {
		c.cmd.Env = append(c.cmd.Env, "PORCHLIGHT_"+setting)
	}
	c.cmd.Stdout, c.cmd.Stderr = c.said, c.said
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting Porchlight: %w", err)
	}
	if err := c.listen(ctx, s.obs); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// listen connects to the broker as soon as it is there, and subscribes.
func (c *child) listen(ctx context.Context, obs *lab.Observer) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	for {
		conn, err := obs.Dial(ctx, "tcp", brokerAddr)
		if err == nil {
			return c.subscribe(ctx, conn)
		}
		select {
		case <-c.cmd.Done():
			return c.fault()
		case <-ctx.Done():
			return fmt.Errorf("waiting for Porchlight's broker: %w, it said: %s", err, c.said)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c *child) subscribe(ctx context.Context, conn net.Conn) error {
	options := paho.NewClientOptions().
		AddBroker("tcp://" + brokerAddr).SetClientID("porchlight-demo").
		SetAutoReconnect(false).SetConnectRetry(false).SetWriteTimeout(readyWithin).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) {
			select {
			case c.messages <- message{m.Topic(), m.Payload()}:
			case <-c.ended:
			}
		}).
		SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) { return conn, nil })
	c.broker = paho.NewClient(options)
	if err := await(ctx, c.broker.Connect()); err != nil {
		return fmt.Errorf("connecting to Porchlight's broker: %w", err)
	}
	filters := map[string]byte{topics.Prefix + "/#": 1, topics.AllConfigs(): 1}
	if err := await(ctx, c.broker.SubscribeMultiple(filters, nil)); err != nil {
		return fmt.Errorf("subscribing at Porchlight's broker: %w", err)
	}
	return nil
}

func await(ctx context.Context, t paho.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fault says why Porchlight has ended by itself.
func (c *child) fault() error {
	err := c.cmd.Wait()
	if err == nil {
		err = errors.New("by itself")
	}
	return fmt.Errorf("porchlight has ended: %w, it said: %s", err, c.said)
}

// stop ends Porchlight, at the latest after stopWithin.
func (c *child) stop() {
	close(c.ended)
	if c.broker != nil {
		c.broker.Disconnect(0)
	}
	_ = c.cmd.Stop(stopWithin)
}

// look is the command by which a person sees what Porchlight publishes.
func (c *child) look() string {
	return fmt.Sprintf("sudo nsenter --net=/proc/%d/ns/net mosquitto_sub -v -t '#'", c.cmd.Process.Pid)
}

// said keeps the end of what Porchlight has said.
type said struct {
	mu   sync.Mutex
	text []byte
}

const saidMost = 4 << 10

// Write implements io.Writer.
func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, p...)
	s.text = s.text[max(0, len(s.text)-saidMost):]
	return len(p), nil
}

// String implements fmt.Stringer.
func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.TrimSpace(string(s.text))
}
