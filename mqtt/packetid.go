package mqtt

import (
	"sync"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// packetIDs keeps the packet identifiers of the two directions apart, which are
// independent (MQTT 3.1.1, section 2.3.1). The server looks up both in one
// table: while a message with the same identifier is on its way to a client, it
// refuses the client's SUBSCRIBE, ignores its UNSUBSCRIBE, and forgets the
// message on its PUBLISH without giving back its share of the send quota, until
// the client is sent nothing any more.
type packetIDs struct {
	mochi.HookBase
	server *mochi.Server
	moved  sync.Map // *mochi.Client to the identifier of the SUBSCRIBE that it waits for
}

func (p *packetIDs) ID() string { return "packet-ids" }

func (p *packetIDs) Provides(b byte) bool {
	return b == mochi.OnSubscribe || b == mochi.OnUnsubscribe || b == mochi.OnPacketRead ||
		b == mochi.OnPacketEncode || b == mochi.OnDisconnect
}

// OnSubscribe moves a SUBSCRIBE out of the way, to 0, which no message has; the
// same goroutine then sends the SUBACK.
func (p *packetIDs) OnSubscribe(cl *mochi.Client, pk packets.Packet) packets.Packet {
	if _, taken := cl.State.Inflight.Get(pk.PacketID); taken {
		p.moved.Store(cl, pk.PacketID)
		pk.PacketID = 0
	}
	return pk
}

// OnPacketEncode gives the SUBACK its identifier back.
func (p *packetIDs) OnPacketEncode(cl *mochi.Client, pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Type == packets.Suback && pk.PacketID == 0 {
		if id, ok := p.moved.LoadAndDelete(cl); ok {
			pk.PacketID = id.(uint16)
		}
	}
	return pk
}

// OnUnsubscribe does what the server will not.
func (p *packetIDs) OnUnsubscribe(cl *mochi.Client, pk packets.Packet) packets.Packet {
	if _, taken := cl.State.Inflight.Get(pk.PacketID); taken {
		for _, sub := range pk.Filters {
			p.server.Topics.Unsubscribe(sub.Filter, cl.ID)
			cl.State.Subscriptions.Delete(sub.Filter)
		}
	}
	return pk
}

// OnPacketRead gives the quota of the message back that a PUBLISH makes the
// server forget.
func (p *packetIDs) OnPacketRead(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if pk.FixedHeader.Type == packets.Publish && pk.FixedHeader.Qos > 0 {
		if out, taken := cl.State.Inflight.Get(pk.PacketID); taken && out.FixedHeader.Type == packets.Publish {
			cl.State.Inflight.IncreaseSendQuota()
		}
	}
	return pk, nil
}

func (p *packetIDs) OnDisconnect(cl *mochi.Client, _ error, _ bool) { p.moved.Delete(cl) }
