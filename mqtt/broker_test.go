package mqtt

import (
	"context"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"porchlight/presence"
)

// serve runs an embedded broker until the test ends.
func serve(t *testing.T, cfg BrokerConfig) *Broker {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = new(logBuffer).logger()
	}
	b, err := NewBroker(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("the broker does not stop")
		}
	})
	return b
}

func (b *Broker) dialTCP(context.Context) (net.Conn, error) {
	return net.Dial("tcp", b.Addr().String())
}

// tryConnect connects with a user and returns the CONNACK's code.
func tryConnect(t *testing.T, b *Broker, id, user, password string) (paho.Client, byte) {
	t.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + b.Addr().String()).SetClientID(id).SetProtocolVersion(4).
		SetAutoReconnect(false).SetUsername(user).SetPassword(password))
	token := c.Connect().(*paho.ConnectToken)
	if !token.WaitTimeout(patience) {
		t.Fatal("no answer")
	}
	t.Cleanup(func() { c.Disconnect(0) })
	return c, token.ReturnCode()
}

func TestBrokerSettings(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct{ listen, user, password, want string }{
		{"0.0.0.0:1883", "", "", "BROKER_USERNAME"},
		{":1883", "", "", "BROKER_USERNAME"},
		{"[::]:1883", "", "", "BROKER_USERNAME"},
		{"192.168.1.1:1883", "anna", "", "BROKER_PASSWORD"},
		{"example.org:1883", "", "", "BROKER_USERNAME"},
		{"1883", "", "", "host:port"},
		{"127.0.0.1", "", "", "host:port"},
		{taken.Addr().String(), "", "", "MQTT_URL"},
		{taken.Addr().String(), "anna", "hunter2", "BROKER_LISTEN"},
	} {
		_, err := NewBroker(BrokerConfig{Listen: c.listen, Username: c.user, Password: c.password, Log: new(logBuffer).logger()})
		if err == nil {
			t.Errorf("%s: no error", c.listen)
			continue
		}
		if msg := err.Error(); !strings.Contains(msg, c.want) || strings.Contains(msg, "\n") || strings.Contains(msg, "hunter2") {
			t.Errorf("%s: %q, want one line about %s", c.listen, msg, c.want)
		}
	}
}

func TestBrokerPassword(t *testing.T) {
	log := new(logBuffer)
	b := serve(t, BrokerConfig{Listen: "127.0.0.1:0", Username: "anna", Password: "hunter2", Log: log.logger()})
	for _, c := range []struct {
		user, password string
		want           byte
	}{{"anna", "hunter2", 0}, {"anna", "wrong-pw", 5}, {"bob", "hunter2", 5}, {"", "", 5}} {
		if _, code := tryConnect(t, b, "c", c.user, c.password); code != c.want {
			t.Errorf("%q %q: code %d, want %d", c.user, c.password, code, c.want)
		}
	}
	if l := log.String(); !strings.Contains(l, "wrong user name or password") || strings.Contains(l, "wrong-pw") || strings.Contains(l, "hunter2") {
		t.Error("log:", l)
	}
	// The program itself needs none.
	r := start(t, Config{Dial: b.Dial, Announce: true}, newMemoryLog())
	r.Update([]presence.Device{phone(1, presence.Home)})
	r.SetSummary(household(1))
	eventually(t, "connected", connected(r))
}

func TestBrokerServesSession(t *testing.T) {
	b := serve(t, BrokerConfig{Listen: "127.0.0.1:0"})
	r := start(t, Config{Dial: b.Dial, Announce: true}, newMemoryLog())
	const n = 500 // as many as are tracked
	var devices []presence.Device
	for i := range n {
		devices = append(devices, phone(i, presence.Home))
	}
	r.Update(devices)
	r.SetSummary(household(n))
	eventually(t, "online", func() bool {
		pk, ok := b.server.Topics.Retained.Get(options.Status())
		return ok && string(pk.Payload) == "online"
	})
	// Home Assistant subscribes to each topic while the first ones' messages
	// are on their way to it.
	ha := newPeer(t, "ha", b.dialTCP, 1, options.AllConfigs())
	for i := range n {
		ha.wait(t, ha.Subscribe(options.Topics.State(phone(i, "").ID), 1, nil))
		ha.wait(t, ha.Subscribe(options.Topics.Attributes(phone(i, "").ID), 1, nil))
	}
	var got []string
	eventually(t, "all retained messages", func() bool {
		got = append(got, ha.take()...)
		return len(got) >= 3*n+1
	})
	for i := range n {
		r.Update([]presence.Device{phone(i, presence.NotHome)})
	}
	got = nil
	eventually(t, "all changes", func() bool {
		got = append(got, ha.take()...)
		return len(got) >= 2*n
	})
}

// A client that never reads is closed, and what waits for it stays bounded.
func TestBrokerSlowReader(t *testing.T) {
	b := serve(t, BrokerConfig{Listen: "127.0.0.1:0"})
	slow, err := net.Dial("tcp", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	connect := "\x10\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x04slow"
	subscribe := "\x82\x06\x00\x01\x00\x01#\x00"
	if _, err := slow.Write([]byte(connect + subscribe)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "subscribed", func() bool {
		cl, ok := b.server.Clients.Get("slow")
		return ok && cl.State.Subscriptions.Len() == 1
	})
	flood, code := tryConnect(t, b, "flood", "", "")
	if code != 0 {
		t.Fatal("refused", code)
	}
	var most uint64
	payload := make([]byte, 64<<10)
	gone := func() bool { _, ok := b.server.Clients.Get("slow"); return !ok }
	for end := time.Now().Add(patience); !gone(); {
		if time.Now().After(end) {
			t.Fatal("the slow reader is still connected")
		}
		flood.Publish("x", 0, false, payload).WaitTimeout(time.Second)
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		most = max(most, mem.HeapInuse)
	}
	t.Logf("at most %d MB in use", most>>20)
	if most > 150<<20 {
		t.Errorf("%d MB in use", most>>20)
	}
}

// More connections than allowed are turned away, silent ones after a while
// too, and neither keeps the broker from stopping.
func TestBrokerConnections(t *testing.T) {
	b := serve(t, BrokerConfig{Listen: "127.0.0.1:0"})
	const tooMany = 20
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	turned := make(chan struct{}, brokerConnections+tooMany)
	for range brokerConnections + tooMany {
		c, err := net.Dial("tcp", b.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		wg.Go(func() {
			if _, err := c.Read(make([]byte, 1)); err != nil {
				turned <- struct{}{}
			}
		})
	}
	eventually(t, "some are turned away", func() bool { return len(turned) >= tooMany })
	// The program's own connection always has a place.
	r := start(t, Config{Dial: b.Dial}, newMemoryLog())
	eventually(t, "connected", connected(r))
	if n := len(turned); n != tooMany {
		t.Errorf("%d turned away, want %d", n, tooMany)
	}
}
