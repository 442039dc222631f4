package mqtt

import (
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// lingering makes the end of the first connection take seconds, at two places.
type lingering struct {
	mochi.HookBase
	unsubscribed, will atomic.Bool
}

func (l *lingering) ID() string { return "lingering" }

func (l *lingering) Provides(b byte) bool { return b == mochi.OnUnsubscribed || b == mochi.OnWill }

func (l *lingering) OnUnsubscribed(*mochi.Client, packets.Packet) {
	if !l.unsubscribed.Swap(true) {
		time.Sleep(time.Second)
	}
}

func (l *lingering) OnWill(_ *mochi.Client, will mochi.Will) (mochi.Will, error) {
	if !l.will.Swap(true) {
		time.Sleep(2 * time.Second)
	}
	return will, nil
}

// Who comes back before its old connection has ended hears what it subscribes to,
// and its old last will does not come after what it says.
func TestComesBackAtOnce(t *testing.T) {
	const status = "porchlight/home/status"
	for name, leave := range map[string]func(*pipeBroker, paho.Client){
		"after a goodbye":   func(_ *pipeBroker, c paho.Client) { c.Disconnect(200) },
		"after a cut":       func(b *pipeBroker, _ paho.Client) { b.cut() },
		"while it is there": func(*pipeBroker, paho.Client) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newPipeBroker(t)
				if err := b.server.AddHook(new(lingering), nil); err != nil {
					t.Fatal(err)
				}
				heard := make(chan string, 10)
				come := func() paho.Client {
					c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://unused").SetClientID("same").
						SetProtocolVersion(4).SetAutoReconnect(false).SetWill(status, "offline", 0, true).
						SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { heard <- string(m.Payload()) }).
						SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) { return b.dial(t.Context()) }))
					for _, ask := range []func() paho.Token{
						c.Connect,
						func() paho.Token { return c.Subscribe("said", 0, nil) },
						func() paho.Token { return c.Publish(status, 1, true, "online") },
					} {
						if token := ask(); !token.WaitTimeout(patience) || token.Error() != nil {
							t.Fatal("no answer, or", token.Error())
						}
					}
					return c
				}
				old := come()
				defer old.Disconnect(0)
				synctest.Wait()
				leave(b, old)
				c := come()
				defer c.Disconnect(0)
				settleDown()
				if got := b.retained()[status]; got != "online" {
					t.Errorf("it is there, and its status is %q", got)
				}
				b.peer(t, "somebody").say(t, "said", false, "hello")
				synctest.Wait()
				if len(heard) != 1 {
					t.Errorf("it hears %d messages, want 1", len(heard))
				}
			})
		})
	}
}
