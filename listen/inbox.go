package listen

import (
	"sync"

	"porchlight/mqtt"
)

// inboxSize is how many bytes of messages wait for an output that is read
// slowly, each counted with what it costs beside its payload.
const (
	inboxSize   = 16 << 20
	messageCost = 200
)

// inbox is what has come and is not shown yet. The broker never waits for it:
// what has no room is lost and counted.
type inbox struct {
	ready chan struct{} // holds one: there is something to take

	mu       sync.Mutex
	messages []mqtt.Message
	bytes    int
	lost     int
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

// Connected implements mqtt.Follower: a message without a topic stands for it.
func (b *inbox) Connected() { b.put(mqtt.Message{}) }

// Hear implements mqtt.Follower.
func (b *inbox) Hear(m mqtt.Message) { b.put(m) }

func (b *inbox) put(m mqtt.Message) {
	cost := messageCost + len(m.Topic) + len(m.Payload)
	b.mu.Lock()
	if b.bytes+cost > inboxSize {
		b.lost++
	} else {
		b.bytes += cost
		b.messages = append(b.messages, m)
	}
	b.mu.Unlock()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take returns what has come since the last call, in order, and how many were
// lost after it.
func (b *inbox) take() (messages []mqtt.Message, lost int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	messages, lost = b.messages, b.lost
	b.messages, b.bytes, b.lost = nil, 0, 0
	return messages, lost
}
