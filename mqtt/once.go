package mqtt

import (
	"log/slog"
	"sync"

	"porchlight/presence"
)

// maxOnce bounds what is remembered: strangers can make up topics.
const maxOnce = 256

// once lets a warning about a topic through a single time.
type once struct {
	mu   sync.Mutex
	said map[string]bool
}

func (o *once) warn(log *slog.Logger, msg, topic string) {
	o.mu.Lock()
	said := o.said[topic] || len(o.said) >= maxOnce
	if !said {
		if o.said == nil {
			o.said = make(map[string]bool)
		}
		o.said[topic] = true
	}
	o.mu.Unlock()
	if !said {
		log.Warn(msg, "topic", presence.CleanText(topic, 200))
	}
}
