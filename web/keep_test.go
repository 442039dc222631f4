package web

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"porchlight/presence"
)

// counting is a household that counts how often it was asked.
type counting struct {
	*household
	asked atomic.Int32
}

func (c *counting) Snapshot(ctx context.Context) ([]presence.Device, presence.Summary, error) {
	c.asked.Add(1)
	return c.household.Snapshot(ctx)
}

func (c *counting) snapshots() int { return int(c.asked.Swap(0)) }

// TestKeep: many who look at a page cost one, and nobody sees an old one.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := family(time.Now())
		c := &counting{household: h}
		page := handler(t, Config{Source: c, Commands: h})
		ask(page, "/")
		if got := c.snapshots(); got != 1 {
			t.Fatalf("the first: %d times made", got)
		}
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { ask(page, "/") })
		}
		all.Wait()
		if got := c.snapshots(); got != 0 {
			t.Errorf("a hundred more: %d times made", got)
		}
		for name, do := range map[string]func(){
			"a change":  h.change,
			"a command": func() { post(page, "/devices/001132aabb01", map[string][]string{"name": {"x"}}) },
			"by API":    func() { call(page, "DELETE", "/api/v1/devices/001132aabb01", "") },
			"a while":   func() { time.Sleep(keepFor) },
		} {
			do()
			c.snapshots()
			for range 10 {
				ask(page, "/")
			}
			if got := c.snapshots(); got != 1 {
				t.Errorf("after %s: %d times made", name, got)
			}
		}
		for range 3 * maxKept { // other pages are not this one
			ask(page, "/?q=nobody")
			if w := ask(page, "/"); words(w) == words(ask(page, "/?q=nobody")) || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
				t.Fatal("two pages are one")
			}
		}
		h.gone = http.ErrAbortHandler
		h.change()
		for range 2 {
			if w := ask(page, "/"); w.Code != http.StatusServiceUnavailable {
				t.Errorf("a fault: status %d", w.Code)
			}
		}
		h.gone = nil
		if w := ask(page, "/"); w.Code != http.StatusOK {
			t.Errorf("a fault is kept: status %d", w.Code)
		}
	})
}
