package mqtt

import (
	"sync"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// turnstile lets a SUBSCRIBE through alone and retained messages only apart
// from it: the server looks through the topics of its retained messages for a
// filter with wildcards without the lock under which it writes them, and a
// torn string would end the whole program (mochi-mqtt/server#200).
//
// The hooks of one client are called on one goroutine, before and after a
// packet is processed; after one that is refused the client is disconnected.
type turnstile struct {
	mochi.HookBase
	mu   sync.RWMutex
	held sync.Map // *mochi.Client to the func() that lets the next one through
}

func (t *turnstile) ID() string { return "turnstile" }

func (t *turnstile) Provides(b byte) bool {
	return b == mochi.OnPacketRead || b == mochi.OnPacketProcessed || b == mochi.OnDisconnect
}

// OnPacketRead is called before a packet is processed.
func (t *turnstile) OnPacketRead(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	switch {
	case cl.ID == "": // not connected yet: it is turned away without a further hook
	case pk.FixedHeader.Type == packets.Subscribe:
		t.mu.Lock()
		t.held.Store(cl, t.mu.Unlock)
	case pk.FixedHeader.Type == packets.Publish && pk.FixedHeader.Retain:
		t.mu.RLock()
		t.held.Store(cl, t.mu.RUnlock)
	}
	return pk, nil
}

// OnPacketProcessed is called after a packet that was not refused.
func (t *turnstile) OnPacketProcessed(cl *mochi.Client, _ packets.Packet, _ error) { t.release(cl) }

// OnDisconnect is called when the client's connection has ended.
func (t *turnstile) OnDisconnect(cl *mochi.Client, _ error, _ bool) { t.release(cl) }

func (t *turnstile) release(cl *mochi.Client) {
	if unlock, ok := t.held.LoadAndDelete(cl); ok {
		unlock.(func())()
	}
}
