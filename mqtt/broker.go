package mqtt

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Limits of the embedded broker. It is for one house: Porchlight, Home
// Assistant and a few programs more.
const (
	brokerConnections = 64
	brokerSessions    = 256    // connected or remembered
	brokerRetained    = 50_000 // topics
	brokerPacket      = 128 << 10
	brokerQueue       = 16 << 10 // messages that wait for one client
)

// ownListener is the name under which connections by Dial are known.
const ownListener = "own"

// BrokerConfig is the embedded broker's.
type BrokerConfig struct {
	Listen             string // host:port; other than loopback needs a user and a password
	Username, Password string
	Log                *slog.Logger
}

// Broker is an MQTT broker inside this program, which needs no other to be
// installed. It keeps retained messages in memory: a Session publishes them
// anew at each start.
type Broker struct {
	server   *mochi.Server
	takeover *takeover
	listener *guarded
	log      *slog.Logger
}

// NewBroker checks cfg and takes the port. Clients are served once Run is
// called; Dial works before that, too.
func NewBroker(cfg BrokerConfig) (*Broker, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, explainListen(cfg.Listen, err)
	}
	b := &Broker{log: cfg.Log, listener: newGuarded(l)}
	capabilities := mochi.NewDefaultServerCapabilities()
	capabilities.MaximumMessageExpiryInterval = 0 // else retained messages vanish after a day
	capabilities.MaximumSessionExpiryInterval = uint32((7 * 24 * time.Hour).Seconds())
	capabilities.MaximumClients = brokerConnections
	capabilities.MaximumPacketSize = brokerPacket
	capabilities.MaximumClientWritesPending = brokerQueue
	capabilities.MaximumInflight = brokerQueue
	b.server = mochi.New(&mochi.Options{
		Capabilities: capabilities,
		// mochi logs whole packets, passwords included.
		Logger:                 slog.New(slog.DiscardHandler),
		SysTopicResendInterval: int64(time.Hour / time.Second), // each stops the world to count memory
	})
	b.takeover = newTakeover(b.server)
	for _, hook := range []mochi.Hook{newDoorman(cfg, b.server), b.takeover, &packetIDs{server: b.server}, &turnstile{}} {
		if err := b.server.AddHook(hook, nil); err != nil {
			l.Close()
			return nil, fmt.Errorf("preparing the embedded broker: %w", err)
		}
	}
	if err := b.server.AddListener(entrance{listeners.NewNet("tcp", b.listener), b.takeover}); err != nil {
		l.Close()
		return nil, fmt.Errorf("preparing the embedded broker: %w", err)
	}
	return b, nil
}

func (cfg *BrokerConfig) check() error {
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil || port == "" {
		return fmt.Errorf("PORCHLIGHT_BROKER_LISTEN %q: want host:port, such as 127.0.0.1:1883", cfg.Listen)
	}
	if (cfg.Username == "") != (cfg.Password == "") {
		return errors.New("of PORCHLIGHT_BROKER_USERNAME and PORCHLIGHT_BROKER_PASSWORD only one is set: set both, or neither")
	}
	if cfg.Username == "" && !loopback(host) {
		return fmt.Errorf("PORCHLIGHT_BROKER_LISTEN %q is open to the network: set PORCHLIGHT_BROKER_USERNAME and PORCHLIGHT_BROKER_PASSWORD, or listen on 127.0.0.1", cfg.Listen)
	}
	return nil
}

// loopback reports whether host can be reached from this machine only. An empty
// host means every address.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

func explainListen(listen string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("the embedded broker cannot listen on %s, the port is taken: if another broker runs there, set PORCHLIGHT_MQTT_URL to it (mqtt://%s), else choose another PORCHLIGHT_BROKER_LISTEN", listen, listen)
	}
	return fmt.Errorf("the embedded broker cannot listen on PORCHLIGHT_BROKER_LISTEN %q: %w", listen, err)
}

// Addr is where the broker listens.
func (b *Broker) Addr() net.Addr { return b.listener.Addr() }

// Run serves until ctx is cancelled.
func (b *Broker) Run(ctx context.Context) error {
	if err := b.server.Serve(); err != nil {
		return fmt.Errorf("starting the embedded broker: %w", err)
	}
	b.log.Info("the embedded broker listens", "address", b.Addr().String())
	<-ctx.Done()
	b.listener.shut()
	return b.server.Close()
}

// Dial connects from within the program, without a password.
func (b *Broker) Dial(context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	guard := b.listener.guard(theirs, false)
	if guard == nil {
		ours.Close()
		return nil, errors.New("the embedded broker has stopped")
	}
	go func() { _ = b.takeover.serve(ownListener, guard) }() // it logs what goes wrong
	return ours, nil
}

// doorman decides who may come in.
type doorman struct {
	mochi.HookBase
	server         *mochi.Server
	user, password [sha256.Size]byte // hashed, to compare in constant time
	open           bool              // no credentials: loopback only
	log            *slog.Logger
	warnings       throttle
}

func newDoorman(cfg BrokerConfig, server *mochi.Server) *doorman {
	return &doorman{
		server: server,
		user:   sha256.Sum256([]byte(cfg.Username)), password: sha256.Sum256([]byte(cfg.Password)),
		open: cfg.Username == "",
		log:  cfg.Log,
	}
}

func (d *doorman) ID() string { return "doorman" }

func (d *doorman) Provides(b byte) bool {
	return b == mochi.OnConnect || b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck || b == mochi.OnPublish
}

// OnConnect bounds the sessions that are remembered.
func (d *doorman) OnConnect(cl *mochi.Client, _ packets.Packet) error {
	if _, known := d.server.Clients.Get(cl.ID); !known && d.server.Clients.Len() >= brokerSessions {
		return packets.ErrServerBusy
	}
	return nil
}

func (d *doorman) OnConnectAuthenticate(cl *mochi.Client, pk packets.Packet) bool {
	if d.open || cl.Net.Listener == ownListener {
		return true
	}
	user, password := sha256.Sum256(pk.Connect.Username), sha256.Sum256(pk.Connect.Password)
	ok := subtle.ConstantTimeCompare(user[:], d.user[:])&subtle.ConstantTimeCompare(password[:], d.password[:]) == 1
	if !ok {
		host, _, _ := net.SplitHostPort(cl.Net.Remote)
		d.warnings.warn(d.log, host, "the embedded broker refused a wrong user name or password", "from", cl.Net.Remote)
	}
	return ok
}

func (d *doorman) OnACLCheck(*mochi.Client, string, bool) bool { return true }

// OnPublish bounds the retained topics; those that exist can be changed.
func (d *doorman) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if pk.FixedHeader.Retain && atomic.LoadInt64(&d.server.Info.Retained) >= brokerRetained && cl.Net.Listener != ownListener {
		if _, known := d.server.Topics.Retained.Get(pk.TopicName); !known {
			return pk, packets.ErrRejectPacket
		}
	}
	return pk, nil
}
