package notify

import (
	"context"
	"errors"
	"time"
)

const (
	// tryFor is how long one try to send may take.
	tryFor = 30 * time.Second
	// lastWait is how long the end waits for a try that is under way.
	lastWait = 500 * time.Millisecond
)

// outbox sends one message at a time, and gives each try a deadline. The
// library cannot be told to stop, so what takes longer is waited for before the
// next try: it may have arrived after all.
type outbox struct {
	// send sends a message, and calls ready just before it is out of our hands.
	send func(m rendered, ready func()) error
	busy chan error         // of the try under way; nil: there is none
	asks chan chan struct{} // it is ready, and goes on when what comes is closed
}

var errSlow = errors.New("no answer within " + tryFor.String())

// try sends m. A nil error means that the service has it. From when begun is
// called the service may have it.
func (o *outbox) try(ctx context.Context, m rendered, begun func()) error {
	if o.busy == nil {
		busy, asks := make(chan error, 1), make(chan chan struct{})
		o.busy, o.asks = busy, asks
		go func() { busy <- o.send(m, func() { ask(asks) }) }()
	}
	end, over, why := time.NewTimer(tryFor), ctx.Done(), errSlow
	defer end.Stop()
	for {
		select {
		case err := <-o.busy:
			o.busy = nil
			return err
		case noted := <-o.asks:
			begun()
			close(noted)
		case <-end.C:
			return why
		case <-over: // a while yet, to know whether it arrived
			over, why = nil, ctx.Err()
			end.Reset(lastWait)
		}
	}
}

// ask waits until it is noted that a message is about to be sent, unless nobody
// listens.
func ask(asks chan<- chan struct{}) {
	noted := make(chan struct{})
	timeout := time.NewTimer(settleFor)
	defer timeout.Stop()
	select {
	case asks <- noted:
		<-noted
	case <-timeout.C:
	}
}
