package ndpwatch

import (
	"testing"

	"porchlight/presence"
)

// TestNudge: a datagram to the device, and the question that goes along.
func TestNudge(t *testing.T) {
	w, wire, _ := newFake(nil)
	for _, broadcast := range []bool{false, true} {
		wire.sent = nil
		p := presence.Probe{Interface: "eth0", MAC: phone, Addr: local, Nudge: true, Broadcast: broadcast}
		if err := w.Probe(p); err != nil || len(wire.sent) != 2 {
			t.Fatalf("%d frames, %v", len(wire.sent), err)
		}
		f := parse(t, wire.sent[0])
		const udp, port = 17, 5353
		if b := f.Payload; f.Dst != phone || b[6] != udp || int(b[42])<<8|int(b[43]) != port {
			t.Errorf("nudge % x", wire.sent[0])
		}
		if a, ok := Asked(parse(t, wire.sent[1])); !ok || a != local {
			t.Errorf("asked for %v", a)
		}
	}
	if s := w.Stats(); s.Nudges != 2 || s.Sent != 2 {
		t.Errorf("stats %+v", s)
	}
}
