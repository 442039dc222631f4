package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"porchlight/lab"
	"porchlight/presence"
)

// chaos is what the rounds of loss share.
type chaos struct {
	b       *bench
	l       *lan
	d       *daemon
	mailbox *mailbox
	devices []*lab.Device

	mu      sync.Mutex
	rand    *rand.Rand
	present map[string]bool // the truth, by id
	stays   []stay

	touched map[string]time.Time // when each came or went last
	faults  []string             // what was done, a line each
	wrong   []string             // rounds that ended with a wrong state
	waits   []time.Duration      // how long the states took to be right
}

// stay is a time for which a device was there.
type stay struct {
	id       string
	from, to time.Time // to is zero: still there
}

// move lets random devices come or go until ctx ends.
func (c *chaos) move(ctx context.Context) error {
	for i := 0; pause(ctx, c.upTo(800*time.Millisecond)) == nil; i++ {
		c.mu.Lock()
		d := c.devices[c.rand.IntN(len(c.devices))]
		name, now := id(d), time.Now()
		there := !c.present[name]
		c.present[name], c.touched[name] = there, now
		if there {
			c.stays = append(c.stays, stay{id: name, from: now})
			d.Wake()
		} else {
			d.Sleep()
			for j := range c.stays {
				if c.stays[j].id == name && c.stays[j].to.IsZero() {
					c.stays[j].to = now
				}
			}
		}
		c.mu.Unlock()
		if there {
			if _, err := join(i, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// talk has those who are there say something every second or so.
func (c *chaos) talk(ctx context.Context) {
	router := c.l.pop.Devices()[0]
	for ctx.Err() == nil {
		_ = lab.Pace(ctx, c.devices, float64(len(c.devices)), func(d *lab.Device) error {
			c.mu.Lock()
			there := c.present[id(d)]
			c.mu.Unlock()
			if there {
				_, err := d.Ask(router.Addr)
				return err
			}
			return nil
		})
	}
}

// patience is how long the states may take to be right after a round: twice
// the timeout, and the time that a restart and the check for an outage take.
const patience = 25 * time.Second

// compare waits until a new subscriber sees the truth in the retained states,
// and notes what was wrong if it never does.
func (c *chaos) compare(ctx context.Context) error {
	start := time.Now()
	if err := c.mailbox.connected(ctx); err != nil {
		return err
	}
	w, err := c.l.watch(ctx)
	if err != nil {
		return err
	}
	defer w.close()
	_ = w.until(ctx, patience, "the truth", func(last map[string]string) bool { return len(c.differences(last)) == 0 })
	if ctx.Err() != nil {
		return ctx.Err()
	}
	c.waits = append(c.waits, time.Since(start))
	// What is retained counts, not what passed by.
	fresh, err := c.l.watch(ctx)
	if err != nil {
		return err
	}
	defer fresh.close()
	_ = fresh.until(ctx, 3*time.Second, "the truth", func(last map[string]string) bool { return len(c.differences(last)) == 0 })
	if diff := c.differences(fresh.values()); len(diff) > 0 {
		wrong := c.faults[len(c.faults)-1] + ": " + strings.Join(diff, ", ")
		c.b.say("loss: WRONG after %s", wrong)
		c.b.say("loss: porchlight said: %s", c.d.log())
		c.wrong = append(c.wrong, wrong)
	}
	return nil
}

// differences says where the topics are not as the truth is.
func (c *chaos) differences(last map[string]string) (diff []string) {
	if s := last[statusTopic]; s != "online" {
		diff = append(diff, fmt.Sprintf("the status is %q", s))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(c.present)) {
		want, zones := "not_home", `"in_zones":[]`
		if c.present[name] {
			want, zones = "home", `"in_zones":["zone.home"]`
		}
		topic := stateTopic(name)
		if got, ever := last[topic]; got != want && (ever || want == "home") {
			diff = append(diff, fmt.Sprintf("%s is %q, not %q", name, got, want))
		} else if a := last[strings.TrimSuffix(topic, "state")+"attributes"]; ever && !strings.Contains(a, zones) {
			diff = append(diff, fmt.Sprintf("%s is %q, but its attributes are %s", name, got, a))
		}
	}
	return diff
}

func (c *chaos) settled() []time.Duration { return slices.Sorted(slices.Values(c.waits)) }

// falsely counts the devices that were taken for away while they were there,
// and had been for longer than their timeout.
func (c *chaos) falsely(events []presence.Event) (n int) {
	for _, e := range events {
		for _, s := range c.stays {
			if e.Type == presence.Left && s.id == string(e.ID) && e.Time.After(s.from.Add(6*time.Second)) && (s.to.IsZero() || e.Time.Before(s.to)) {
				n++
				c.b.say("loss: taken for away while there: %s at %s: %s", e.ID, e.Time, e.Why)
			}
		}
	}
	return n
}
