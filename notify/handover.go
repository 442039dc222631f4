package notify

import "sync/atomic"

// handover is what is to be called just before a message is written. The library
// passes nothing on to the exchange, but asks it soon after it was called. So who
// sends puts it here, and waits for its turn to do so; the exchange takes it
// before it connects.
type handover struct {
	ready func()
	taken atomic.Bool
}

var handovers = make(chan *handover, 1)

// expect has ready called by the next exchange, unless the returned function is
// called before.
func expect(ready func()) (forget func()) {
	h := &handover{ready: ready}
	handovers <- h
	return func() {
		if h.taken.Load() {
			return
		}
		select {
		case <-handovers: // nothing was asked
		default:
		}
	}
}

// expected returns what is to be called when there is a connection; nil: nothing.
func expected() (ready func()) {
	select {
	case h := <-handovers:
		h.taken.Store(true)
		return h.ready
	default:
		return nil
	}
}
