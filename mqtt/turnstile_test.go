package mqtt

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Clients that subscribe with wildcards while retained messages come and go: the
// race detector has nothing to say.
func TestSubscribeWhileRetaining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		var all sync.WaitGroup
		for n := range 4 {
			publisher := b.peer(t, fmt.Sprintf("publisher-%d", n))
			all.Go(func() {
				for i := range 100 {
					topic := fmt.Sprintf("porchlight/home/devices/%d/state", i%10)
					publisher.Publish(topic, 0, true, []string{"home", ""}[i/10%2]).Wait()
				}
			})
			subscriber := b.peer(t, fmt.Sprintf("subscriber-%d", n))
			all.Go(func() {
				for range 50 {
					subscriber.wait(t, subscriber.Subscribe("porchlight/#", 0, nil))
				}
			})
		}
		all.Wait()
	})
}

// A stranger whose first packet is no CONNECT, or whose SUBSCRIBE is nonsense,
// keeps nobody else from subscribing.
func TestStrangersHoldNobodyUp(t *testing.T) {
	connect := "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x"
	for name, hello := range map[string]string{
		"subscribe first":          "\x82\x06\x00\x01\x00\x01#\x00",
		"subscribe to nothing":     connect + "\x82\x02\x00\x01",
		"subscribe without number": connect + "\x82\x06\x00\x00\x00\x01#\x00",
		"bad retained publish":     connect + "\x31\x02\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newPipeBroker(t)
				stranger, err := b.dial(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				go func(c net.Conn) { _, _ = c.Write([]byte(hello)) }(stranger)
				time.Sleep(time.Second)
				p := b.peer(t, "honest", "porchlight/#")
				p.say(t, "porchlight/home/status", true, "online")
				time.Sleep(time.Second)
				if got := p.take(); len(got) != 1 {
					t.Errorf("got %q", got)
				}
				_ = stranger.Close()
			})
		})
	}
}
