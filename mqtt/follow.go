package mqtt

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// Message is what was published on a topic that is followed.
type Message struct {
	Topic    string
	Payload  []byte // empty if it was longer than MaxFollowed
	Retained bool   // published before we subscribed
}

// MaxFollowed is the longest payload, in bytes, that Follow takes in. It is as
// much as the embedded broker takes; other brokers pass on 256 MB.
const MaxFollowed = brokerPacket

// Follower is told what happens on the topics that are followed. Its methods
// are called one at a time, in the order in which things happen, and return
// soon.
type Follower interface {
	// Connected says that a connection has been made and messages follow. What
	// was published since the last one ended is lost.
	Connected()
	Hear(m Message)
}

// Follow subscribes to filters and hands f what comes, publishes nothing, and
// connects again when the connection ends, until ctx is cancelled; then it
// returns nil. Of cfg it takes the broker's address and credentials. An error is
// about them, a line each, with the remedy and no secret in it.
func Follow(ctx context.Context, cfg Config, filters []string, f Follower) error {
	w := following{cfg: cfg, filters: filters, f: f, denied: make(map[string]bool)}
	if cfg.Dial == nil {
		var err error
		if w.addr, err = parseAddress(&cfg); err != nil {
			return err
		}
		if _, err := w.addr.tlsConfig(&cfg); err != nil {
			return err
		}
	}
	// Another id for each follower: brokers end the connection of the first
	// client when a second comes with its id (MQTT 3.1.1, section 3.1.4).
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails
	w.id = "porchlight" + hex.EncodeToString(random[:])

	reasons := reporter{log: cfg.Log, broker: w.addr.String()}
	for tries := 0; ctx.Err() == nil; tries++ {
		lasted, err := w.once(ctx, &reasons)
		switch {
		case ctx.Err() != nil:
			continue
		case lasted > steady:
			tries, reasons.brief = 0, 0
		case lasted > 0:
			reasons.brief++
		}
		reasons.report(explain(err, &w.addr, &cfg).Error())
		sleep(ctx, defaultBackoff.delay(tries))
	}
	return nil
}

type following struct {
	cfg     Config
	addr    address
	id      string
	filters []string
	f       Follower
	denied  map[string]bool // filters that the broker refused, to say so once
}

// once makes a connection and follows until it ends. lasted is how long the
// broker had accepted it, 0 if never.
func (w *following) once(ctx context.Context, r *reporter) (lasted time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := newWire()
	hear := make(chan struct{}) // closed when Connected has been called
	c.client = paho.NewClient(c.options(ctx, w.dial, w.addr.username, w.addr.password).
		SetClientID(w.id).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) {
			select {
			case <-hear:
				w.f.Hear(Message{Topic: m.Topic(), Payload: m.Payload(), Retained: m.Retained()})
			case <-ctx.Done():
			}
		}))
	defer c.hangUp()
	if err := c.connect(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	r.connected()
	w.f.Connected()
	close(hear)
	if err := w.subscribe(ctx, c); err != nil {
		return time.Since(began), err
	}
	select {
	case <-ctx.Done():
		return time.Since(began), ctx.Err()
	case <-c.lost:
		return time.Since(began), c.lostErr
	}
}

func (w *following) dial(ctx context.Context) (c net.Conn, err error) {
	if w.cfg.Dial != nil {
		c, err = w.cfg.Dial(ctx)
	} else {
		c, err = w.addr.dial(ctx, &w.cfg)
	}
	if err != nil {
		return nil, err
	}
	return newSlim(c), nil
}

// subscribe asks for the filters. One that the broker refuses is reported once;
// the rest goes on.
func (w *following) subscribe(ctx context.Context, c *wire) error {
	filters := make(map[string]byte, len(w.filters))
	for _, filter := range w.filters {
		filters[filter] = 1
	}
	refused, err := c.subscribeAll(ctx, filters)
	if err != nil {
		return err
	}
	for filter := range refused {
		if !w.denied[filter] {
			w.denied[filter] = true
			w.cfg.Log.Warn("the broker refuses a subscription: allow this user to read the topic", "topic", filter)
		}
	}
	return nil
}
