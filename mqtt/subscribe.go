package mqtt

import (
	"context"
	"fmt"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// subscribe asks for everything that we listen to. A filter that the broker
// refuses is reported once; the rest goes on.
func (l *link) subscribe(ctx context.Context) error {
	s := l.s
	filters := map[string]byte{
		s.topics.Scan():    1,
		s.topics.AllSets(): 1,
		// What comes on these is our own, and much: nothing to acknowledge.
		s.topics.AllConfigs():    0,
		s.topics.AllStates():     0,
		s.topics.AllAttributes(): 0,
		s.topics.AllNames():      0,
		s.topics.AllLastSeen():   0,
	}
	if s.cfg.Announce {
		filters[s.cfg.HAStatusTopic] = 1
	}
	return l.await(ctx, filters)
}

// await subscribes to filters and waits for the broker's answer.
func (l *link) await(ctx context.Context, filters map[string]byte) error {
	answer := make(chan *paho.SubscribeToken, 1)
	l.s.writers.Go(func() { // the client may wait in it although the connection has ended
		token := l.client.SubscribeMultiple(filters, nil).(*paho.SubscribeToken)
		token.WaitTimeout(dialTimeout)
		answer <- token
	})
	var token *paho.SubscribeToken
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-l.lost:
		return l.lostErr
	case token = <-answer:
	}
	select {
	case <-token.Done():
	default:
		return errSilent
	}
	if err := token.Error(); err != nil {
		return fmt.Errorf("subscribing: %w", err)
	}
	for filter, code := range token.Result() {
		if code >= 0x80 {
			l.s.reportDenied(filter)
		}
	}
	return nil
}

// reportDenied says once that the broker refuses filter.
func (s *Session) reportDenied(filter string) {
	s.mu.Lock()
	known := s.denied[filter]
	s.denied[filter] = true
	s.mu.Unlock()
	if !known {
		s.log.Warn("the broker refuses a subscription: allow this user to read the topic", "topic", filter)
	}
}
