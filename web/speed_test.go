package web

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"porchlight/lab/labtest"
	"porchlight/presence"
	"porchlight/traffic"
)

// crowded is a house of 250 devices, with a month of comings and goings of those
// that the timeline shows first.
func crowded(t *testing.T) (*household, Config) {
	now := time.Now()
	h := family(now)
	h.devices, h.summary.Known = nil, 250
	var events []presence.Event
	for i := range 250 {
		d := person(fmt.Sprintf("02:00:5e:10:00:%02x", i), fmt.Sprintf("device-%03d", i), fmt.Sprintf("192.168.1.%d", i+1), presence.Home, now.Add(-time.Duration(i)*time.Minute))
		d.Vendor, d.Groups = "Apple, Inc.", []string{"Kids"}
		h.devices = append(h.devices, d)
		for day := range 30 {
			if i >= lanesPerPage {
				break
			}
			begin := now.Add(-time.Duration(day)*24*time.Hour - time.Duration(i)*time.Minute)
			for at, kind := range map[time.Duration]presence.EventType{-20 * time.Hour: presence.Arrived, -6 * time.Hour: presence.Left} {
				events = append(events, presence.Event{Type: kind, Time: begin.Add(at), ID: d.ID, MAC: d.MAC, Name: d.HostName, Why: d.Why})
			}
		}
	}
	slices.SortFunc(events, func(a, b presence.Event) int { return a.Time.Compare(b.Time) })
	for up := time.Second; up < 2*time.Hour; up = up * 5 / 4 {
		h.learned.Bins = append(h.learned.Bins, presence.SilenceBin{UpTo: up, Slept: 100, Joined: 2})
	}
	return h, Config{Source: h, Commands: h, History: past(t, events...), Log: discard}
}

// TestPagesAreFast asks for each page in turn with a page of the same size that
// is there already, and looks at the processor's time, as others may use the
// machine too. The bound of a quiet machine is 20 times (go run ./bench
// page); here it only has to notice what is a different order.
func TestPagesAreFast(t *testing.T) {
	most, rounds := 60.0, 15
	if raceEnabled {
		most, rounds = 150, 5
	}
	_, cfg := crowded(t)
	ready := map[string][]byte{}
	pages := handler(t, cfg)
	addr := listenOn(t, cfg, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "ready" {
			_, _ = w.Write(ready[r.URL.Path])
			return
		}
		pages.ServeHTTP(w, r)
	}))
	took := func(url string) (body []byte, d time.Duration) {
		for tries := 0; ; tries++ {
			begin := labtest.CPU(t)
			resp, err := http.Get("http://" + addr + url)
			if err != nil {
				t.Fatal(err)
			}
			body, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			d = labtest.CPU(t) - begin
			switch {
			case err == nil && resp.StatusCode == http.StatusOK:
				return body, d
			case err != nil || resp.StatusCode != http.StatusServiceUnavailable || tries == 10: // others had the machine for seconds
				t.Fatalf("%s: status %d, %v", url, resp.StatusCode, err)
			}
		}
	}
	defer http.DefaultClient.CloseIdleConnections()
	for _, query := range []string{"/", "/timeline", "/timeline?span=week", "/timeline?span=month", "/devices/02005e100007", "/events", "/health", "/api/v1/devices", "/api/v1/events"} {
		path, question, _ := strings.Cut(query, "?")
		ready[path], _ = took(query)
		var made, there []time.Duration
		for i := range rounds { // each is another page, so that none was made before
			_, d := took(fmt.Sprintf("%s?n=%d&%s", path, i, question))
			made = append(made, d)
			_, d = took(path + "?ready")
			there = append(there, d)
		}
		best := slices.Min(made) // what a machine that does other things as well says least about
		times := float64(best) / float64(slices.Min(there))
		t.Logf("%-24s %7d bytes, %6.2f ms, %5.1f × what is there already", query, len(ready[path]), float64(best)/1e6, times)
		if times > most {
			t.Errorf("%s takes %v, %.0f times as long as the same bytes", query, best, times)
		}
	}
}

// TestManyConnectionsAreFast: pages of 10,000 connections take some 10 ms of a
// processor. The bound only has to notice what is a different order.
func TestManyConnectionsAreFast(t *testing.T) {
	most, rounds := 150*time.Millisecond, 5
	if raceEnabled {
		most, rounds = 2*time.Second, 2
	}
	page := handler(t, Config{Source: family(time.Now()), Connections: crowdedMachine(10_000), History: past(t)})
	for _, query := range []string{"/connections?", "/connections?by=program", "/connections?by=remote", "/connections?q=program-07", "/connections/changes?a=1", "/api/v1/connections?"} {
		var made []time.Duration
		for i := range rounds { // each is another page, so that none was made before
			begin := labtest.CPU(t)
			if w := ask(page, fmt.Sprintf("%s&n=%d", query, i)); w.Code != http.StatusOK {
				t.Fatalf("%s: status %d", query, w.Code)
			}
			made = append(made, labtest.CPU(t)-begin)
		}
		best := slices.Min(made)
		t.Logf("%-26s %6.2f ms", query, float64(best)/1e6)
		if best > most {
			t.Errorf("%s takes %v", query, best)
		}
	}
}

// TestTrafficIsFast: a month of it takes some 10 ms of a processor once it was read.
func TestTrafficIsFast(t *testing.T) {
	most := 200 * time.Millisecond
	if raceEnabled {
		most = 2 * time.Second
	}
	now := time.Now()
	m := &meter{}
	for at := now.AddDate(0, 0, -31); at.Before(now); at = at.Add(time.Hour) {
		r := passed(at, "docker0")
		r.Length, r.Counted = time.Hour, time.Hour
		for i := range 100 {
			r.Ports = append(r.Ports, traffic.Port{Protocol: "tcp", Port: uint16(1000 + i), Program: fmt.Sprint("program", i), Held: time.Duration(i) * 30 * time.Second})
		}
		m.rounds = append(m.rounds, r)
	}
	page := handler(t, Config{Source: family(now), Traffic: m, History: past(t)})
	for _, span := range []string{"day", "week", "month"} {
		var made []time.Duration
		size := 0
		for i := range 4 { // each is another page, so that none was made before
			begin := labtest.CPU(t)
			w := ask(page, fmt.Sprintf("/traffic?span=%s&n=%d", span, i))
			made = append(made, labtest.CPU(t)-begin)
			if size = w.Body.Len(); w.Code != http.StatusOK || size > 500_000 {
				t.Fatalf("%s: status %d, %d bytes", span, w.Code, size)
			}
		}
		best := slices.Min(made)
		t.Logf("%-6s %7d bytes, %6.2f ms, the first time %.2f", span, size, float64(best)/1e6, float64(made[0])/1e6)
		if best > most {
			t.Errorf("a %s takes %v", span, best)
		}
	}
}

// listenOn serves h over loopback as a Server does, until the test ends.
func listenOn(t *testing.T, cfg Config, h http.Handler) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(cfg, newCrowd(l, discard), h, make(stopper))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// TestManyStreams has 500 pages live at once: each is told within a second, if
// nobody else has the machine, and all of them take less than 100 MB (go run
// ./bench page measures the process).
func TestManyStreams(t *testing.T) {
	const streams, most = 500, 100 << 20
	h := family(time.Now())
	s, err := New(Config{Listen: "127.0.0.1:0", Source: h, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() { cancel(); <-done }()

	inUse := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := inUse()
	var readers []*bufio.Reader
	for range streams {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := io.WriteString(c, "GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		readers = append(readers, bufio.NewReaderSize(c, 512))
	}
	until := func(in *bufio.Reader, line string) {
		t.Helper()
		for {
			got, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if got == line {
				return
			}
		}
	}
	for _, in := range readers {
		until(in, "retry: 2000\n")
	}
	took := inUse() - before
	t.Logf("%d streams take %.1f MB", streams, float64(took)/1e6)
	if took > most {
		t.Errorf("%d streams take %d bytes", streams, took)
	}
	best := time.Hour
	for range 5 {
		begin := time.Now()
		h.change()
		for _, in := range readers {
			until(in, "data: changed\n")
		}
		if best = min(best, time.Since(begin)); best <= time.Second {
			break
		}
		time.Sleep(liveLeast) // what comes sooner waits for it
	}
	if best > time.Second {
		t.Errorf("all were told after %v", best)
	}
}
