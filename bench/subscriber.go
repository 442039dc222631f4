package main

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"porchlight/lab"
)

// message is one publication as a subscriber got it.
type message struct {
	at       time.Time
	topic    string
	payload  string
	retained bool // it was retained before the subscription
}

// subscription says what to listen to.
type subscription struct {
	host    *lab.Host // where from
	broker  string    // host:port
	id      string
	session bool // keep the session at the broker; reconnect when the broker is back
	filters []string
	take    func(message) // called in order
}

// subscribe connects and subscribes at QoS 1.
func subscribe(ctx context.Context, s subscription) (paho.Client, error) {
	o := paho.NewClientOptions().
		AddBroker("tcp://" + s.broker).
		SetClientID(s.id).
		SetCleanSession(!s.session).
		SetAutoReconnect(s.session).
		SetMaxReconnectInterval(200 * time.Millisecond).
		SetConnectTimeout(5 * time.Second).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) {
			s.take(message{time.Now(), m.Topic(), string(m.Payload()), m.Retained()})
		}).
		SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
			dial, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			return s.host.Dial(dial, "tcp", s.broker)
		})
	client := paho.NewClient(o)
	if err := await(ctx, client.Connect()); err != nil {
		return nil, fmt.Errorf("connecting a subscriber to %s: %w", s.broker, err)
	}
	filters := map[string]byte{}
	for _, f := range s.filters {
		filters[f] = 1
	}
	if err := await(ctx, client.SubscribeMultiple(filters, nil)); err != nil {
		client.Disconnect(0)
		return nil, fmt.Errorf("subscribing at %s: %w", s.broker, err)
	}
	return client, nil
}

func await(ctx context.Context, t paho.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(10 * time.Second):
		return fmt.Errorf("no answer in 10 s")
	}
}

// The topics of the default settings.
const (
	statusTopic = "porchlight/home/status"
	eventTopic  = "porchlight/home/event"
	stateFilter = "porchlight/home/devices/+/state"
)

func stateTopic(id string) string { return "porchlight/home/devices/" + id + "/state" }

// stateOf returns the device whose state topic it is; empty: none's.
func stateOf(topic string) string {
	rest, ok := strings.CutPrefix(topic, "porchlight/home/devices/")
	id, ok2 := strings.CutSuffix(rest, "/state")
	if !ok || !ok2 {
		return ""
	}
	return id
}

// isConfig reports whether it is the discovery topic of a device.
func isConfig(topic string) bool {
	id, ok := strings.CutPrefix(topic, "homeassistant/device/home/")
	return ok && id != "bridge/config" && strings.HasSuffix(id, "/config")
}

// watch follows a broker: the last value of every topic, and all messages in order.
type watch struct {
	client paho.Client
	mu     sync.Mutex
	last   map[string]string
	all    []message
	news   chan struct{} // closed, and made anew, at each message
}

// watch subscribes to the topics that match the filters; by default all of
// Porchlight's.
func (l *lan) watch(ctx context.Context, filters ...string) (*watch, error) {
	if len(filters) == 0 {
		filters = []string{"porchlight/#", "homeassistant/#"}
	}
	w := &watch{last: map[string]string{}, news: make(chan struct{})}
	var err error
	w.client, err = subscribe(ctx, subscription{
		host: l.obs.Host, broker: l.address, id: fmt.Sprintf("watch-%d", time.Now().UnixNano()),
		filters: filters, take: w.take,
	})
	return w, err
}

func (w *watch) take(m message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m.payload == "" {
		delete(w.last, m.topic)
	} else {
		w.last[m.topic] = m.payload
	}
	w.all = append(w.all, m)
	close(w.news)
	w.news = make(chan struct{})
}

func (w *watch) close() { w.client.Disconnect(100) }

// mark returns how many messages there were so far.
func (w *watch) mark() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.all)
}

// since returns the messages from mark on.
func (w *watch) since(mark int) []message {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]message(nil), w.all[mark:]...)
}

// said reports whether a topic had this value since mark. w.mu is held, as in
// the condition of until.
func (w *watch) said(mark int, topic, payload string) bool {
	for _, m := range w.all[mark:] {
		if m.topic == topic && m.payload == payload {
			return true
		}
	}
	return false
}

// values returns the last value of each topic.
func (w *watch) values() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.last)
}

// until waits until ok says so of the topics' last values.
func (w *watch) until(ctx context.Context, patience time.Duration, what string, ok func(last map[string]string) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		w.mu.Lock()
		done, news := ok(w.last), w.news
		w.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			last := w.values()
			return fmt.Errorf("waiting for %s: %w (status %q, %d home, %d not_home, last event %s)", what, ctx.Err(),
				last[statusTopic], count(last, "home"), count(last, "not_home"), last[eventTopic])
		}
	}
}

// ready waits until a Porchlight that was just started is connected and has
// made its first list.
func (w *watch) ready(ctx context.Context, d *daemon, baseline bool) error {
	err := w.until(ctx, 60*time.Second, "porchlight to be ready", func(last map[string]string) bool {
		return last[statusTopic] == "online" && (!baseline || strings.Contains(last[eventTopic], `"baseline"`))
	})
	if err != nil {
		return fmt.Errorf("%w, it said: %s", err, d.log())
	}
	return nil
}

// count returns how many devices have this state.
func count(last map[string]string, state string) (n int) {
	for topic, value := range last {
		if value == state && stateOf(topic) != "" {
			n++
		}
	}
	return n
}
