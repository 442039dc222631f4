package mqtt

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

const (
	keepAlive    = 20 * time.Second
	pingTimeout  = 10 * time.Second
	writeTimeout = 10 * time.Second
)

// wire is a client for one connection, never used again, that says at once when
// the connection has ended.
type wire struct {
	client paho.Client
	conn   atomic.Pointer[buffered]
	lost   chan struct{} // closed when the connection has ended, for lostErr

	lostOnce sync.Once
	lostErr  error
}

func newWire() *wire { return &wire{lost: make(chan struct{})} }

// options are the client's. Its own reconnecting and queueing are off: they
// leave old retained states behind. Messages are handled in the order in which
// they come, by a handler that never waits.
func (w *wire) options(ctx context.Context, dial func(context.Context) (net.Conn, error), user, password string) *paho.ClientOptions {
	o := paho.NewClientOptions().
		AddBroker("mqtt://unused"). // dialled below
		SetProtocolVersion(4).
		SetCleanSession(true).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetOrderMatters(true).
		SetKeepAlive(keepAlive).
		SetPingTimeout(pingTimeout).
		SetConnectTimeout(dialTimeout).
		SetWriteTimeout(writeTimeout).
		SetConnectionLostHandler(func(_ paho.Client, err error) { w.fail(err) })
	if user != "" {
		o.SetUsername(user).SetPassword(password)
	}
	return o.SetCustomOpenConnectionFn(func(_ *url.URL, _ paho.ClientOptions) (net.Conn, error) {
		c, err := dial(ctx)
		if err != nil {
			return nil, err
		}
		b := newBuffered(c, w.fail)
		w.conn.Store(b)
		return b, nil
	})
}

// refused is a CONNACK that says no.
type refused byte

func (r refused) Error() string { return packets.ConnackReturnCodes[byte(r)] }

// connect makes the connection and waits for the broker's yes.
func (w *wire) connect(ctx context.Context) error {
	token := w.client.Connect()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-token.Done():
	}
	if code := token.(*paho.ConnectToken).ReturnCode(); code != packets.Accepted && code < packets.ErrNetworkError {
		return refused(code)
	}
	if err := token.Error(); err != nil {
		return unanswered{err, w.conn.Load() != nil}
	}
	return nil
}

// subscribeAll subscribes to filters and waits for the broker's answer. It
// returns the filters that the broker refuses.
func (w *wire) subscribeAll(ctx context.Context, filters map[string]byte) (refused map[string]bool, err error) {
	answer := make(chan *paho.SubscribeToken, 1)
	go func() { // the client may wait in it although the connection has ended
		token := w.client.SubscribeMultiple(filters, nil).(*paho.SubscribeToken)
		token.WaitTimeout(dialTimeout)
		answer <- token
	}()
	var token *paho.SubscribeToken
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-w.lost:
		return nil, w.lostErr
	case token = <-answer:
	}
	select {
	case <-token.Done():
	default:
		return nil, errSilent
	}
	if err := token.Error(); err != nil {
		return nil, fmt.Errorf("subscribing: %w", err)
	}
	refused = make(map[string]bool)
	for filter, code := range token.Result() {
		if code >= 0x80 {
			refused[filter] = true
		}
	}
	return refused, nil
}

// unanswered is a connection that failed before a CONNACK came.
type unanswered struct {
	error
	open bool // there was a connection, TLS included
}

func (u unanswered) Unwrap() error { return u.error }

// fail ends the connection for the given reason; the first one counts.
func (w *wire) fail(err error) {
	w.lostOnce.Do(func() {
		w.lostErr = err
		close(w.lost)
	})
}

// hangUp ends the connection whatever state it is in. The socket is closed
// first, so that nothing in the client waits for it.
func (w *wire) hangUp() {
	if c := w.conn.Load(); c != nil {
		c.Close()
	}
	w.client.Disconnect(0)
}
