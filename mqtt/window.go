package mqtt

import (
	"errors"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// Limits of what is on its way to the broker without acknowledgement. Beyond
// bulkWindow only what somebody waits for is sent: a broker may drop what
// overflows its queues to a subscriber (mosquitto: 1,000 messages).
const (
	bulkWindow  = 100
	eventWindow = 64
	maxInFlight = 1000
)

// ackTimeout is how long a broker may leave a message unacknowledged.
const ackTimeout = 30 * time.Second

var errSilent = errors.New("the broker acknowledges nothing")

// window is the publishes in flight, oldest first: a broker acknowledges in the
// order of arrival (MQTT 3.1.1, section 4.6).
type window struct{ queue []pending }

type pending struct {
	family family
	token  paho.Token
	at     time.Time
	acked  func() // may be nil
}

func (w *window) add(p pending) { w.queue = append(w.queue, p) }
func (w *window) len() int      { return len(w.queue) }

// newest returns the token of the last one added.
func (w *window) newest() paho.Token { return w.queue[len(w.queue)-1].token }

// oldest returns a channel that is closed when the oldest is acknowledged; nil
// when nothing is in flight.
func (w *window) oldest() <-chan struct{} {
	if len(w.queue) == 0 {
		return nil
	}
	return w.queue[0].token.Done()
}

// reap takes out what is acknowledged, and tells taken its family. Its error
// means that the connection is of no more use.
func (w *window) reap(taken func(family)) error {
	for len(w.queue) > 0 {
		p := w.queue[0]
		select {
		case <-p.token.Done():
		default:
			if time.Since(p.at) > ackTimeout {
				return errSilent
			}
			return nil
		}
		if err := p.token.Error(); err != nil {
			return err
		}
		w.queue[0] = pending{}
		w.queue = w.queue[1:]
		taken(p.family)
		if p.acked != nil {
			p.acked()
		}
	}
	w.queue = nil
	return nil
}
