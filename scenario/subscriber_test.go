package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"porchlight/lab"
	"porchlight/presence"
)

// subscriber hears everything that a broker says, as Home Assistant would.
type subscriber struct {
	t    testing.TB
	host *lab.Host // where the broker is
	addr string
	user *url.Userinfo // nil: nobody

	mu      sync.Mutex
	client  paho.Client
	heard   []heardMessage
	latest  map[string]string // the last payload of each topic
	events  []presence.Event  // each once, in order
	taken   int               // of events, by next
	changed chan struct{}     // closed, and made anew, at each message
}

type heardMessage struct {
	topic, payload string
	retained       bool
}

func newSubscriber(t testing.TB, host *lab.Host, addr string) *subscriber {
	s := &subscriber{t: t, host: host, addr: addr, latest: map[string]string{}, changed: make(chan struct{})}
	t.Cleanup(s.disconnect)
	return s
}

// dial opens a session in which receive gets everything.
func (s *subscriber) dial(receive func(paho.Message)) paho.Client {
	s.t.Helper()
	c := s.newClient()
	s.done("connecting", c.Connect())
	s.done("subscribing", c.Subscribe("#", 1, func(_ paho.Client, m paho.Message) { receive(m) }))
	return c
}

// try returns why the broker does not let the subscriber in.
func (s *subscriber) try() error {
	c := s.newClient()
	defer c.Disconnect(0)
	token := c.Connect()
	token.WaitTimeout(patience)
	return token.Error()
}

func (s *subscriber) newClient() paho.Client {
	o := paho.NewClientOptions().AddBroker("tcp://" + s.addr).
		SetAutoReconnect(false).SetConnectRetry(false).SetCleanSession(true).SetOrderMatters(true).
		SetWriteTimeout(patience).SetClientID(fmt.Sprintf("test-%d", time.Now().UnixNano()))
	if s.user != nil {
		password, _ := s.user.Password()
		o.SetUsername(s.user.Username()).SetPassword(password)
	}
	o.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
		return s.host.Dial(context.Background(), "tcp", s.addr)
	})
	return paho.NewClient(o)
}

func (s *subscriber) done(what string, token paho.Token) {
	s.t.Helper()
	if !token.WaitTimeout(patience) {
		s.t.Fatalf("%s: no answer", what)
	}
	if err := token.Error(); err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

// connect connects, again when the broker was away, and hears everything.
func (s *subscriber) connect() {
	s.t.Helper()
	s.disconnect()
	c := s.dial(s.receive)
	s.mu.Lock()
	s.client = c
	s.mu.Unlock()
}

func (s *subscriber) disconnect() {
	s.mu.Lock()
	c := s.client
	s.client = nil
	s.mu.Unlock()
	if c != nil {
		c.Disconnect(0)
	}
}

func (s *subscriber) receive(m paho.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, heardMessage{m.Topic(), string(m.Payload()), m.Retained()})
	s.latest[m.Topic()] = string(m.Payload())
	if m.Topic() == topics.Event() {
		s.receiveEvent(m)
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// receiveEvent keeps an event that is new: each comes at least once, in order.
func (s *subscriber) receiveEvent(m paho.Message) {
	var e presence.Event
	if err := json.Unmarshal(m.Payload(), &e); err != nil || m.Retained() {
		s.t.Errorf("event %q, retained %t: %v", m.Payload(), m.Retained(), err)
	}
	last := int64(0)
	if n := len(s.events); n > 0 {
		last = s.events[n-1].Seq
	}
	if e.Seq > last {
		s.events = append(s.events, e)
	}
}

// until waits for a condition, which is looked at under the lock after each
// message. It reports whether it came true in time.
func (s *subscriber) until(within time.Duration, f func() bool) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		s.mu.Lock()
		ok, changed := f(), s.changed
		s.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		}
	}
}

// await is until, and fails the test.
func (s *subscriber) await(what string, f func() bool) {
	s.t.Helper()
	if !s.until(patience, f) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.t.Fatalf("waited %s for %s; the last messages:\n%s", patience, what, s.tail())
	}
}

// patience is how long to wait for what comes at once on an idle machine.
const patience = time.Minute

func (s *subscriber) tail() (text string) {
	for _, m := range s.heard[max(0, len(s.heard)-25):] {
		text += fmt.Sprintf("%s %.300s\n", m.topic, m.payload)
	}
	return text
}

// awaitTopic waits for a topic's last payload to be want.
func (s *subscriber) awaitTopic(topic, want string) {
	s.t.Helper()
	s.await(topic+" to be "+want, func() bool { return s.latest[topic] == want })
}

// next returns the next event; false when none came in time.
func (s *subscriber) next(within time.Duration) (e presence.Event, ok bool) {
	ok = s.until(within, func() bool {
		if s.taken == len(s.events) {
			return false
		}
		e = s.events[s.taken]
		s.taken++
		return true
	})
	return e, ok
}

// told returns all events so far.
func (s *subscriber) told() []presence.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// awaitEvent waits for an event of a device, others may come before it.
func (s *subscriber) awaitEvent(what presence.EventType, mac presence.MAC) presence.Event {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		e, ok := s.next(time.Until(deadline))
		if !ok {
			s.t.Fatalf("no %s of %s in %s", what, mac, patience)
		}
		if e.Type == what && e.MAC == mac {
			return e
		}
	}
}

// get returns a topic's last payload.
func (s *subscriber) get(topic string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.latest[topic]
}

func (s *subscriber) count(f func(heardMessage) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.heard {
		if f(m) {
			n++
		}
	}
	return n
}

func (s *subscriber) publish(topic, payload string, retained bool) {
	s.t.Helper()
	s.mu.Lock()
	c := s.client
	s.mu.Unlock()
	s.done("publishing on "+topic, c.Publish(topic, 1, retained, payload))
}

// retained asks the broker for what it keeps.
func (s *subscriber) retained() map[string]string {
	s.t.Helper()
	kept := map[string]string{}
	marker, end := fmt.Sprintf("test/%d", time.Now().UnixNano()), make(chan struct{})
	c := s.dial(func(m paho.Message) {
		switch {
		case m.Topic() == marker:
			close(end)
		case m.Retained():
			kept[m.Topic()] = string(m.Payload())
		}
	})
	defer c.Disconnect(0)
	// The broker sends what it keeps before what comes later.
	s.done("publishing", c.Publish(marker, 1, false, "end"))
	select {
	case <-end:
	case <-time.After(patience):
		s.t.Fatal("the broker does not send what it keeps")
	}
	return kept
}
