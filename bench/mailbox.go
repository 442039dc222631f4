package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"porchlight/presence"
)

// mailbox is a subscriber to the events with a persistent session: what is
// published while it is cut off waits for it at the broker.
type mailbox struct {
	client paho.Client
	mu     sync.Mutex
	got    []presence.Event
	faults []string
}

func newMailbox(ctx context.Context, l *lan) (m *mailbox, err error) {
	m = &mailbox{}
	m.client, err = subscribe(ctx, subscription{
		host: l.obs.Host, broker: l.address, id: "mailbox", session: true,
		filters: []string{eventTopic}, take: m.take,
	})
	return m, err
}

func (m *mailbox) take(msg message) {
	var e presence.Event
	err := json.Unmarshal([]byte(msg.payload), &e)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil || msg.retained {
		m.faults = append(m.faults, fmt.Sprintf("not an event (%v, retained %t): %q", err, msg.retained, msg.payload))
		return
	}
	m.got = append(m.got, e)
}

// connected waits until the mailbox is connected: while it and the broker are
// both away, nobody could keep what is sent.
func (m *mailbox) connected(ctx context.Context) error {
	for deadline := time.Now().Add(15 * time.Second); !m.client.IsConnectionOpen(); {
		if time.Now().After(deadline) {
			return fmt.Errorf("the persistent subscriber does not reach the broker")
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// check compares what came with the log: every event at least once, unchanged,
// and those that came for the first time in order. again is how many came more
// than once.
func (m *mailbox) check(log []presence.Event) (faults []string, again int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	faults = append(faults, m.faults...)
	logged := map[int64]presence.Event{}
	for _, e := range log {
		logged[e.Seq] = e
	}
	seen := map[int64]bool{}
	newest := int64(0)
	for _, e := range m.got {
		l, ok := logged[e.Seq]
		switch {
		case !ok:
			faults = append(faults, fmt.Sprintf("event %d (%s %s) came but is not in the log", e.Seq, e.Type, e.ID))
		case l.Type != e.Type || l.ID != e.ID || l.Why != e.Why || !l.Time.Equal(e.Time):
			faults = append(faults, fmt.Sprintf("event %d came as %s %s %q, but the log has %s %s %q", e.Seq, e.Type, e.ID, e.Why, l.Type, l.ID, l.Why))
		case seen[e.Seq]:
			again++
			continue
		case e.Seq < newest:
			faults = append(faults, fmt.Sprintf("event %d (%s %s at %s) came after %d", e.Seq, e.Type, e.ID, e.Time.Format("15:04:05.000"), newest))
		}
		seen[e.Seq] = true
		newest = max(newest, e.Seq)
	}
	for _, e := range log {
		if !seen[e.Seq] {
			faults = append(faults, fmt.Sprintf("event %d (%s %s at %s) never came", e.Seq, e.Type, e.ID, e.Time.Format("15:04:05.000")))
		}
	}
	return faults, again
}
