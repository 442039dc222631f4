package mqtt

import (
	"context"
	"hash/maphash"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"porchlight/discovery"
	"porchlight/presence"
)

const (
	keepAlive    = 20 * time.Second
	pingTimeout  = 10 * time.Second
	writeTimeout = 10 * time.Second
	farewell     = 2 * time.Second // for the broker to take our offline
)

// link is one connection: a client that is never used again, and what has been
// published on it.
type link struct {
	s      *Session
	client paho.Client
	seed   maphash.Seed
	wake   chan struct{} // holds one: the writer has something to look at
	lost   chan struct{} // closed when the connection has ended, for lostErr
	conn   atomic.Pointer[buffered]

	lostOnce sync.Once
	lostErr  error

	// Guarded by Session.mu: work for the writer.
	states, details, seen []*tracked
	clears                []presence.ID
	summaryStale          bool

	inbound inbound
	batches chan []presence.Event // from the event pump

	// The writer's own.
	inflight  window
	sent      map[presence.ID]*sent
	sentInfo  sentInfo
	summaryAt time.Time // when a stale summary may go
	stage     stage
	stageAt   time.Time // when stage ends
	leftovers time.Time // when to look for left-overs; zero: done
	bulk      []item
	deferred  []due
	clearing  []due
	batch     []presence.Event
	unacked   int // events in flight
	urgent    urgent
}

// runLink makes a connection and serves it until it ends. lasted is how long
// the broker had accepted it, 0 if never.
func (s *Session) runLink(ctx context.Context, r *reporter) (lasted time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &link{
		s: s, seed: maphash.MakeSeed(),
		wake: make(chan struct{}, 1), lost: make(chan struct{}),
		batches: make(chan []presence.Event),
		sent:    make(map[presence.ID]*sent),
	}
	l.inbound.init()
	l.client = paho.NewClient(l.options(ctx))
	defer l.hangUp()
	if err := l.connect(ctx); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := l.subscribe(ctx); err != nil {
		return time.Since(began), err
	}
	s.attach(l)
	r.connected()
	defer s.detach(l)

	ended := make(chan error, 1)
	s.writers.Go(func() { ended <- l.write(ctx) })
	s.writers.Go(func() { l.pumpEvents(ctx) })
	s.writers.Go(func() { l.obey(ctx) })
	select {
	case <-ctx.Done():
		l.sayGoodbye(ended)
	case err = <-ended:
		// The writer found it broken. The client says why a moment later.
		select {
		case <-l.lost:
			err = l.lostErr
		case <-time.After(100 * time.Millisecond):
		}
	case <-l.lost:
		err = l.lostErr
	}
	return time.Since(began), err
}

// options are the client's. Its own reconnecting, queueing and ordering are
// off: they leave old retained states behind, and stall.
func (l *link) options(ctx context.Context) *paho.ClientOptions {
	s := l.s
	o := paho.NewClientOptions().
		AddBroker("mqtt://unused"). // dialled below
		SetClientID(s.cfg.clientID()).
		SetProtocolVersion(4).
		SetCleanSession(true).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetOrderMatters(false).
		SetKeepAlive(keepAlive).
		SetPingTimeout(pingTimeout).
		SetConnectTimeout(dialTimeout).
		SetWriteTimeout(writeTimeout).
		SetBinaryWill(s.topics.Status(), []byte(discovery.Offline), 1, true).
		SetDefaultPublishHandler(l.receive).
		SetConnectionLostHandler(func(_ paho.Client, err error) { l.fail(err) })
	if user, password := s.credentials(); user != "" {
		o.SetUsername(user).SetPassword(password)
	}
	dial := s.cfg.Dial
	if dial == nil {
		dial = func(ctx context.Context) (net.Conn, error) { return s.addr.dial(ctx, &s.cfg) }
	}
	return o.SetCustomOpenConnectionFn(func(_ *url.URL, _ paho.ClientOptions) (net.Conn, error) {
		c, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		b := newBuffered(c, l.fail)
		l.conn.Store(b)
		return b, nil
	})
}

// refused is a CONNACK that says no.
type refused byte

func (r refused) Error() string { return packets.ConnackReturnCodes[byte(r)] }

func (l *link) connect(ctx context.Context) error {
	token := l.client.Connect()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-token.Done():
	}
	if code := token.(*paho.ConnectToken).ReturnCode(); code != packets.Accepted && code < packets.ErrNetworkError {
		return refused(code)
	}
	if err := token.Error(); err != nil {
		return unanswered{err, l.conn.Load() != nil}
	}
	return nil
}

// unanswered is a connection that failed before a CONNACK came.
type unanswered struct {
	error
	open bool // there was a connection, TLS included
}

func (u unanswered) Unwrap() error { return u.error }

// fail ends the link for the given reason; the first one counts.
func (l *link) fail(err error) {
	l.lostOnce.Do(func() {
		l.lostErr = err
		close(l.lost)
	})
}

// poke makes the writer look for work. It may be called on a nil link.
func (l *link) poke() {
	if l == nil {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// hangUp ends the connection whatever state it is in. The socket is closed
// first, so that nothing in the client waits for it.
func (l *link) hangUp() {
	if c := l.conn.Load(); c != nil {
		c.Close()
	}
	l.client.Disconnect(0)
}

// sayGoodbye publishes offline when the writer has ended, since the last will
// fires on an unclean end only, and ends the connection cleanly.
func (l *link) sayGoodbye(ended <-chan error) {
	deadline := time.NewTimer(farewell)
	defer deadline.Stop()
	select {
	case <-ended:
	case <-l.lost:
		return
	case <-deadline.C:
		return
	}
	said := make(chan paho.Token, 1)
	l.s.writers.Go(func() {
		token := l.client.Publish(l.s.topics.Status(), 1, true, discovery.Offline)
		token.WaitTimeout(farewell)
		said <- token
	})
	select {
	case token := <-said:
		_ = l.reap() // the events that were in flight before it
		if token.Error() == nil {
			l.client.Disconnect(200)
		}
	case <-l.lost:
	case <-deadline.C:
	}
}
