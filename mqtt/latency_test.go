package mqtt

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"text/tabwriter"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"porchlight/presence"
)

type arrival struct {
	topic string
	at    time.Time
}

func newClient(b *testing.B, m *mosquitto, id string) paho.Client {
	b.Helper()
	c := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://127.0.0.1:" + m.port).SetClientID(id).
		SetProtocolVersion(4).SetAutoReconnect(false).SetOrderMatters(false))
	if token := c.Connect(); !token.WaitTimeout(patience) || token.Error() != nil {
		b.Fatal(token.Error())
	}
	b.Cleanup(func() { c.Disconnect(0) })
	return c
}

// BenchmarkLatency measures from Update to a subscriber, through a mosquitto on
// this machine at QoS 1, beside the floor: a bare publish of the same payload
// through the same broker to the same subscriber. Run it with -benchtime 1x.
func BenchmarkLatency(b *testing.B) {
	n := 1000
	if testing.Short() {
		n = 200
	}
	m := newMosquitto(b, plain)
	m.start(b)
	arrived := make(chan arrival, 4*n)
	sub := newClient(b, m, "subscriber")
	token := sub.Subscribe(options.AllStates(), 1, func(_ paho.Client, msg paho.Message) {
		if !msg.Retained() {
			arrived <- arrival{msg.Topic(), time.Now()}
		}
	})
	token.Wait()
	bare := newClient(b, m, "bare")
	events := newMemoryLog()
	s, err := New(Config{
		URL: "mqtt://127.0.0.1:" + m.port, Announce: true, Discovery: options,
		HAStatusTopic: "homeassistant/status", Log: new(logBuffer).logger(),
	}, events, new(orders))
	if err != nil {
		b.Fatal(err)
	}
	devices := make([]presence.Device, n)
	for i := range devices {
		devices[i] = phone(i, presence.NotHome)
	}
	s.Update(devices)
	s.SetSummary(household(0))
	ctx := b.Context()
	go func() { _ = s.Run(ctx) }()
	for range n { // the first publish
		<-arrived
	}
	time.Sleep(7 * time.Second) // until left-overs have been looked for

	state := presence.NotHome
	flip := func() {
		state = map[presence.State]presence.State{presence.Home: presence.NotHome, presence.NotHome: presence.Home}[state]
	}
	ours := func(i int) {
		d := phone(i, state)
		d.Since = time.Now()
		s.Update([]presence.Device{d})
		events.append(presence.Event{Type: presence.Arrived, ID: d.ID, MAC: d.MAC, Why: "ARP request", Time: d.Since})
	}
	floor := func(i int) { bare.Publish(options.Topics.State(phone(n+i, state).ID), 1, true, string(state)) }
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tfloor: median\t99th percentile\tsession: median\t99th percentile\t")
	defer table.Flush()
	for b.Loop() {
		for _, rate := range []int{200, 20} {
			flip()
			f, o := measure(arrived, n, time.Second/time.Duration(rate), floor, ours)
			fmt.Fprintf(table, "%d/s\t%v\t%v\t%v\t%v\t\n", rate, f[n/2], f[n*99/100], o[n/2], o[n*99/100])
		}
	}
}

// measure sends n messages of each kind at a steady rate, in turns, and returns
// how long they took to arrive, sorted.
func measure(arrived <-chan arrival, n int, gap time.Duration, floor, ours func(int)) (floors, sessions []time.Duration) {
	sentAt := make(map[string]time.Time, 2*n)
	tick := time.NewTicker(gap / 2)
	defer tick.Stop()
	collect := func(a arrival) {
		took := a.at.Sub(sentAt[a.topic])
		if id, _ := options.ParseState(a.topic); id >= phone(n, "").ID {
			floors = append(floors, took)
		} else {
			sessions = append(sessions, took)
		}
	}
	send := func(i int, how func(int), device int) {
		<-tick.C
		sentAt[options.Topics.State(phone(device, "").ID)] = time.Now()
		how(i)
		for len(arrived) > 0 {
			collect(<-arrived)
		}
	}
	for i := range n {
		send(i, floor, n+i)
		send(i, ours, i)
	}
	for len(floors) < n || len(sessions) < n {
		collect(<-arrived)
	}
	slices.Sort(floors)
	slices.Sort(sessions)
	return floors, sessions
}

// BenchmarkUpdateUnchanged is the price of telling the session about a mere
// sighting.
func BenchmarkUpdateUnchanged(b *testing.B) {
	s, err := New(Config{URL: "mqtt://127.0.0.1", Discovery: options, Log: new(logBuffer).logger()}, newMemoryLog(), new(orders))
	if err != nil {
		b.Fatal(err)
	}
	d := []presence.Device{phone(1, presence.Home)}
	s.Update(d)
	for b.Loop() {
		d[0].LastSeen = d[0].LastSeen.Add(time.Millisecond)
		s.Update(d)
	}
}
