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
	send func(rendered) error
	busy chan error // of the try under way; nil: there is none
}

var errSlow = errors.New("no answer within " + tryFor.String())

// try sends m. A nil error means that the service has it.
func (o *outbox) try(ctx context.Context, m rendered) error {
	if o.busy == nil {
		busy := make(chan error, 1)
		o.busy = busy
		go func() { busy <- o.send(m) }()
	}
	timeout := time.NewTimer(tryFor)
	defer timeout.Stop()
	select {
	case err := <-o.busy:
		o.busy = nil
		return err
	case <-timeout.C:
		return errSlow
	case <-ctx.Done():
	}
	select { // to know whether it arrived
	case err := <-o.busy:
		o.busy = nil
		return err
	case <-time.After(lastWait):
		return ctx.Err()
	}
}
