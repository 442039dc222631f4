package bridge

import (
	"sync"

	"porchlight/presence"
)

// inboxSize bounds what waits for the loop: more than a second of the worst
// flood that a packet socket hands over.
const inboxSize = 1 << 16

// inboxCalls bounds the commands that wait: nobody has that many devices to set
// at once.
const inboxCalls = 1 << 14

// inbox takes what the sources and the commands hand over, in order, without
// ever making them wait. The loop empties it as a whole.
type inbox struct {
	mu        sync.Mutex
	sightings []presence.Sighting
	calls     []call
	dropped   uint64
	ready     chan struct{} // has one element when something waits
}

// call is something other than a sighting that the loop is to do; after is how
// many sightings of this batch came before it.
type call struct {
	after int
	do    func()
}

func newInbox() *inbox { return &inbox{ready: make(chan struct{}, 1)} }

// sight adds a sighting, or counts it as dropped when the inbox is full.
func (in *inbox) sight(s presence.Sighting) {
	in.mu.Lock()
	if len(in.sightings) >= inboxSize {
		in.dropped++
		in.mu.Unlock()
		return
	}
	in.sightings = append(in.sightings, s)
	in.mu.Unlock()
	in.wake()
}

// call has f done on the loop's goroutine, and reports whether there was room.
func (in *inbox) call(f func()) bool {
	in.mu.Lock()
	room := len(in.calls) < inboxCalls
	if room {
		in.calls = append(in.calls, call{len(in.sightings), f})
	}
	in.mu.Unlock()
	in.wake()
	return room
}

func (in *inbox) wake() {
	select {
	case in.ready <- struct{}{}:
	default:
	}
}

// swap empties the inbox. The slices given are used for what comes next.
func (in *inbox) swap(sightings []presence.Sighting, calls []call) ([]presence.Sighting, []call) {
	in.mu.Lock()
	defer in.mu.Unlock()
	sightings, in.sightings = in.sightings, sightings[:0]
	calls, in.calls = in.calls, calls[:0]
	return sightings, calls
}

func (in *inbox) lost() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.dropped
}
