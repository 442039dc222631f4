package mqtt

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// diary is a Follower that writes down what it is told.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(line string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
}

func (d *diary) Connected() { d.add("connected") }

func (d *diary) Hear(m Message) {
	d.add(fmt.Sprintf("%s %s %v", m.Topic, m.Payload, m.Retained))
}

func (d *diary) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	lines := d.lines
	d.lines = nil
	return lines
}

// follow runs Follow until the test ends.
func follow(t *testing.T, cfg Config, filters ...string) (*diary, *logBuffer) {
	d, log := new(diary), new(logBuffer)
	cfg.Log = log.logger()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Follow(ctx, cfg, filters, d) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error("Follow:", err)
		}
	})
	return d, log
}

func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		b.setDown(true)
		d, log := follow(t, Config{Dial: b.dial}, "porchlight/+/event", "porchlight/+/summary")
		time.Sleep(time.Minute)
		if n := strings.Count(log.String(), "no connection"); n != 1 || len(d.take()) != 0 {
			t.Errorf("%d times said that there is no broker:\n%s", n, log)
		}

		b.setDown(false)
		time.Sleep(time.Minute)
		p := b.peer(t, "publisher")
		p.say(t, "porchlight/home/summary", true, "sum")
		p.say(t, "porchlight/home/event", false, "1")
		p.say(t, "porchlight/other/event", false, strings.Repeat("x", MaxFollowed+1))
		p.say(t, "porchlight/other/event", false, "2")
		p.say(t, "elsewhere/home/event", false, "3")
		synctest.Wait()
		want := []string{
			"connected", "porchlight/home/summary sum false", "porchlight/home/event 1 false",
			"porchlight/other/event  false", "porchlight/other/event 2 false",
		}
		if diff := cmp.Diff(want, d.take()); diff != "" {
			t.Error(diff)
		}

		b.cut()
		time.Sleep(time.Minute)
		p = b.peer(t, "publisher")
		p.say(t, "porchlight/home/event", false, "4")
		synctest.Wait()
		want = []string{"connected", "porchlight/home/summary sum true", "porchlight/home/event 4 false"}
		if diff := cmp.Diff(want, d.take()); diff != "" {
			t.Error(diff)
		}
		if n := strings.Count(log.String(), "no connection"); n != 2 {
			t.Errorf("%d times said that there is no connection:\n%s", n, log)
		}
	})
}

// A burst comes complete and in order.
func TestFollowBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		d, _ := follow(t, Config{Dial: b.dial}, "burst")
		synctest.Wait()
		p := b.peer(t, "publisher")
		want := []string{"connected"}
		for i := range 2000 {
			p.say(t, "burst", false, fmt.Sprint(i))
			want = append(want, fmt.Sprintf("burst %d false", i))
		}
		synctest.Wait()
		if diff := cmp.Diff(want, d.take()); diff != "" {
			t.Error(diff)
		}
	})
}

// A broker that ends each connection at once is not pestered, nor is the log.
func TestFollowBriefConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPipeBroker(t)
		d, log := follow(t, Config{Dial: b.dial}, "x")
		for range 3600 {
			time.Sleep(time.Second)
			b.cut()
		}
		if n := len(d.take()); n < 100 || n > 400 {
			t.Error(n, "connections in an hour")
		}
		if n := strings.Count(log.String(), "\n"); n > 20 {
			t.Errorf("%d lines in an hour:\n%s", n, log)
		}
	})
}

func TestFollowFaults(t *testing.T) {
	for _, cfg := range []Config{
		{URL: "mqtt://anna:hunter2@broker/x"}, {URL: "http://broker"}, {URL: "mqtts://broker", CAFile: "/nonexistent"},
	} {
		err := Follow(t.Context(), cfg, nil, new(diary))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Error(cfg.URL, err)
		}
	}
}
