package homeassistant

import (
	"context"
	"net"
	"net/url"
	"slices"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// ear hears what passes the broker under some filters, first what is retained.
type ear struct {
	s        *scene
	client   paho.Client
	messages chan paho.Message
}

// listen makes one, which the caller closes.
func (s *scene) listen(filters ...string) *ear {
	s.t.Helper()
	e := &ear{s: s, messages: make(chan paho.Message, 10000)}
	e.client = paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + s.broker.Addr()).SetAutoReconnect(false).
		SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) {
			return s.obs.Dial(context.Background(), "tcp", s.broker.Addr())
		}))
	e.wait(e.client.Connect())
	wanted := map[string]byte{}
	for _, f := range filters {
		wanted[f] = 1
	}
	e.wait(e.client.SubscribeMultiple(wanted, func(_ paho.Client, m paho.Message) { e.messages <- m }))
	return e
}

func (e *ear) wait(token paho.Token) {
	e.s.t.Helper()
	if !token.WaitTimeout(time.Minute) || token.Error() != nil {
		e.s.t.Fatalf("the broker does not take it: %v", token.Error())
	}
}

func (e *ear) close() { e.client.Disconnect(0) }

// until waits for a message that fulfils a condition.
func (e *ear) until(what string, ok func(paho.Message) bool) {
	e.s.t.Helper()
	for deadline := time.After(patience); ; {
		select {
		case m := <-e.messages:
			if ok(m) {
				return
			}
		case <-deadline:
			e.s.t.Fatalf("waited %s at the broker for %s", patience, what)
		}
	}
}

// says waits until the broker has a payload on a topic.
func (s *scene) says(topic, payload string) {
	s.t.Helper()
	e := s.listen(topic)
	defer e.close()
	e.until(topic+" to say "+payload, func(m paho.Message) bool { return string(m.Payload()) == payload })
}

// retained are the topics under these filters for which the broker holds
// something. It passes a message to itself, which comes after those.
func (s *scene) retained(filters ...string) (topics []string) {
	s.t.Helper()
	const mark = "check/mark"
	e := s.listen(append(filters, mark)...)
	defer e.close()
	e.wait(e.client.Publish(mark, 1, false, "mark"))
	e.until("a message to itself", func(m paho.Message) bool {
		if m.Retained() {
			topics = append(topics, m.Topic())
		}
		return m.Topic() == mark
	})
	slices.Sort(topics)
	return topics
}
