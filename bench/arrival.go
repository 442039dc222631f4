package main

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"porchlight/lab"
)

// times of arrivals, sorted, and how many never came through.
type arrivals struct {
	took  []time.Duration
	never int
}

func (a *arrivals) add(b arrivals) {
	a.took = append(a.took, b.took...)
	slices.Sort(a.took)
	a.never += b.never
}

// arrival measures the time from just before a device's frame is sent until a
// subscriber has its state, for devices with IPv4 and for others with IPv6 only.
func arrival(ctx context.Context, b *bench) ([]row, error) {
	rows, err := arrivalBy(ctx, b, false)
	if err != nil {
		return rows, err
	}
	more, err := arrivalBy(ctx, b, true)
	return append(rows, more...), err
}

// arrivalBy measures arrivals. Porchlight and the floor are never there at the
// same time, and take turns, so that noise meets both.
func arrivalBy(ctx context.Context, b *bench, ipv6 bool) ([]row, error) {
	l, err := raiseWith(ctx, lab.Options{Prefix: netip.MustParsePrefix("10.77.0.0/19"), IPv6: ipv6}, true)
	if err != nil {
		return nil, err
	}
	defer l.close()
	if _, err := l.resident(); err != nil {
		return nil, err
	}
	size, blocks := pick(b, 50, 250), pick(b, 2, 4)
	s, err := newStopwatch(ctx, l)
	if err != nil {
		return nil, err
	}
	defer s.client.Disconnect(100)
	d, err := b.daemon(fmt.Sprintf("arrival-ipv6-%t", ipv6), l.obs.Host, "MQTT_URL="+l.broker.URL(), "MAX_TRACKED=10000", "SWEEP_PREFIXES=10.77.31.240/28")
	if err != nil {
		return nil, err
	}
	defer d.kill()
	m := &arrivalRun{l: l, d: d, s: s, next: l.Static(16)}
	var only string
	if ipv6 {
		m.next, only = firstIPv6, ", IPv6 only"
	}
	var floor, fresh, known arrivals
	for i := range blocks {
		b.say("arrival%s: block %d of %d at 20/s", only, i+1, blocks)
		if err := m.block(ctx, size, 20, i == 0, &floor, &fresh, &known); err != nil {
			return nil, err
		}
	}
	rows := arrivalRows(fmt.Sprintf("%d arrivals, 20/s%s", size*blocks, only), floor, fresh, known)
	if b.quick || ipv6 {
		return rows, nil
	}
	b.say("arrival: 1,000 in 5 s")
	var floor2, fresh2, known2 arrivals
	if err := m.block(ctx, 1000, 200, false, &floor2, &fresh2, &known2); err != nil {
		return rows, err
	}
	return append(rows, arrivalRows("1,000 arrivals in 5 s", floor2, fresh2, known2)...), nil
}

func arrivalRows(what string, floor, fresh, known arrivals) []row {
	median := quantile(floor.took, 0.5)
	rows := []row{{
		what:     "arrival, " + what + ", the floor",
		measured: fmt.Sprintf("median %s, 99th percentile %s, %d missed", ms(median), ms(quantile(floor.took, 0.99)), floor.never),
	}}
	for _, c := range []struct {
		name string
		arrivals
	}{{"never seen before", fresh}, {"known devices", known}} {
		m, p := quantile(c.took, 0.5), quantile(c.took, 0.99)
		rows = append(rows, row{
			what: "arrival, " + what + ", " + c.name,
			measured: fmt.Sprintf("median %s (%s the floor's), 99th percentile %s (%s), longest %s, %d missed",
				ms(m), times(m, median), ms(p), times(p, median), ms(quantile(c.took, 1)), c.never),
			bound:   "median 1.5 ×, 99th percentile 4 × the floor's median, none missed",
			verdict: judge(c.never == 0 && 2*m <= 3*median && p <= 4*median),
		})
	}
	return rows
}

// arrivalRun is one lab with its Porchlight.
type arrivalRun struct {
	l *lan
	d *daemon
	s *stopwatch

	next netip.Addr // of the devices still to come
}

// block lets size new devices arrive, and then, after all were away, the same
// again, and then the same once more with the floor listening.
func (m *arrivalRun) block(ctx context.Context, size int, rate float64, first bool, floor, fresh, known *arrivals) error {
	devices, err := m.l.pop.AddMany(size, m.next, lab.Behaviour{Asleep: true})
	if err != nil {
		return err
	}
	m.next = devices[size-1].Addr.Next()
	got, err := m.porchlight(ctx, devices, rate, first)
	if err != nil {
		return err
	}
	fresh.add(got)
	if err := m.away(ctx); err != nil {
		return err
	}
	if got, err = m.porchlight(ctx, devices, rate, false); err != nil {
		return err
	}
	known.add(got)
	if err := m.away(ctx); err != nil {
		return err
	}
	if got, err = m.floor(ctx, devices, rate); err != nil {
		return err
	}
	floor.add(got)
	return nil
}

// settling is how long a program that has just started is left alone.
const settling = 3 * time.Second

// porchlight measures with Porchlight listening, at its default timeouts.
func (m *arrivalRun) porchlight(ctx context.Context, devices []*lab.Device, rate float64, first bool) (a arrivals, err error) {
	w, err := m.l.watch(ctx)
	if err != nil {
		return a, err
	}
	if err := m.d.start(); err != nil {
		return a, err
	}
	if err := w.ready(ctx, m.d, first); err != nil {
		return a, err
	}
	w.close()
	if err := pause(ctx, settling); err != nil {
		return a, err
	}
	if a, err = m.s.measure(ctx, devices, rate, stateTopic); err != nil {
		return a, err
	}
	return a, m.d.stop()
}

// away runs Porchlight with a short timeout until all but the router are away.
func (m *arrivalRun) away(ctx context.Context) error {
	for _, d := range m.l.pop.Devices()[1:] {
		d.Sleep()
	}
	w, err := m.l.watch(ctx, "porchlight/#")
	if err != nil {
		return err
	}
	defer w.close()
	m.d.set("AWAY_AFTER=5s")
	defer m.d.unset("AWAY_AFTER")
	if err := m.d.start(); err != nil {
		return err
	}
	err = w.until(ctx, 2*time.Minute, "all but the router to be away", func(last map[string]string) bool {
		return last[statusTopic] == "online" && count(last, "home") <= 1 && count(last, "not_home") > 0
	})
	if err != nil {
		return fmt.Errorf("%w, porchlight said: %s", err, m.d.log())
	}
	return m.d.stop()
}

// floor measures with the floor listening.
func (m *arrivalRun) floor(ctx context.Context, devices []*lab.Device, rate float64) (a arrivals, err error) {
	self, err := os.Executable()
	if err != nil {
		return a, err
	}
	cmd := m.l.obs.Command(ctx, self, floorCommand, m.l.obs.Interface(), strings.Replace(m.l.broker.URL(), "mqtt:", "tcp:", 1))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return a, err
	}
	defer out.Close()
	if err := cmd.Start(); err != nil {
		return a, err
	}
	defer cmd.Kill()
	if !bufio.NewScanner(out).Scan() {
		return a, fmt.Errorf("the floor did not start: %w", cmd.Wait())
	}
	if err := pause(ctx, settling); err != nil {
		return a, err
	}
	return m.s.measure(ctx, devices, rate, floorTopic)
}

// stopwatch is the one subscriber that all arrivals are measured with.
type stopwatch struct {
	client paho.Client
	mu     sync.Mutex
	got    map[string]time.Time // by topic
}

func newStopwatch(ctx context.Context, l *lan) (*stopwatch, error) {
	s := &stopwatch{got: map[string]time.Time{}}
	var err error
	s.client, err = subscribe(ctx, subscription{
		host: l.obs.Host, broker: l.address, id: "stopwatch",
		filters: []string{stateFilter, floorTopic("+")},
		take: func(m message) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if _, again := s.got[m.topic]; !again && m.payload == "home" && !m.retained {
				s.got[m.topic] = m.at
			}
		},
	})
	return s, err
}

// measure lets the devices arrive at the rate and waits for what is published.
func (s *stopwatch) measure(ctx context.Context, devices []*lab.Device, rate float64, topic func(string) string) (a arrivals, err error) {
	s.mu.Lock()
	clear(s.got)
	s.mu.Unlock()
	sent := make(map[string]time.Time, len(devices))
	i := 0
	err = lab.Pace(ctx, devices, rate, func(d *lab.Device) error {
		d.Wake()
		at, err := join(i, d)
		sent[topic(id(d))] = at
		i++
		return err
	})
	if err != nil {
		return a, err
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		s.mu.Lock()
		n := len(s.got)
		s.mu.Unlock()
		if n >= len(devices) {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for t, at := range sent {
		if got, ok := s.got[t]; ok {
			a.took = append(a.took, got.Sub(at))
		} else {
			a.never++
		}
	}
	return a, nil
}
