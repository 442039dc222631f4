package web

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestHealthPage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := family(time.Now())
		h.summary.Problems = []string{"the disk is full"}
		h.stats.Database = Database{Path: "/var/lib/porchlight/porchlight.db", Size: 1_234_567}
		h.stats.Broker = "mqtt://broker.lan"
		h.stats.Behind = map[string]int64{"mqtt": 0, "notify:x": 5}
		h.stats.Messages = []Messages{{Service: "phone", Sent: time.Now().Add(-5 * time.Minute)}, {Service: "mail", Fault: "it answered 500 Internal Server Error", Waiting: 3}}
		got := words(get(t, Config{Source: h}, "/health"))
		for _, want := range []string{
			"What needs attention the disk is full", "eth0 hears 23456 1 2 1", "broker Connected: mqtt://broker.lan.",
			"database /var/lib/porchlight/porchlight.db can be written, and has 1.2 MB.", "delivery mqtt has all events.",
			"messages The last message by phone arrived 5 min ago.",
			"messages Messages by mail do not arrive: it answered 500 Internal Server Error; 3 wait.", "Sightings 12345",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not in\n%s", want, got)
			}
		}
		if strings.Contains(got, "notify:x") || strings.Contains(got, "The doctor") {
			t.Errorf("there is too much in\n%s", got)
		}
		h.stats.BrokerConnected, h.stats.BrokerFault = false, "nothing listens"
		h.stats.DatabaseFault, h.stats.Database.Fault = true, "the disk is full"
		h.stats.Behind["mqtt"] = manyBehind + 1
		got = words(get(t, Config{Source: h}, "/health"))
		for _, want := range []string{"Not connected: nothing listens.", "database the disk is full.", "all events but the last 101."} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not in\n%s", want, got)
			}
		}
	})
}

func TestExamine(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	page := handler(t, Config{Source: family(time.Now()), Doctor: func(_ context.Context, report func(Finding)) {
		close(begun)
		<-end
		report(Finding{"warn", "clock", "The clock is <late>.", "Set it."})
	}})
	if got := ask(page, "/health"); !strings.Contains(got.Body.String(), "Look at everything") {
		t.Error("the doctor is not offered")
	}
	done := make(chan string)
	go func() { done <- words(post(page, "/health", nil)) }()
	<-begun
	if w := post(page, "/health", nil); w.Code != http.StatusTooManyRequests {
		t.Errorf("two at a time: status %d", w.Code)
	}
	close(end)
	if got := <-done; !strings.Contains(got, "clock The clock is <late>. Set it.") {
		t.Errorf("the doctor says\n%s", got)
	}
	if w := post(handler(t, Config{Source: family(time.Now())}), "/health", nil); w.Code != http.StatusNotFound {
		t.Errorf("without a doctor: status %d", w.Code)
	}
}
