package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"porchlight/lab"
	"porchlight/presence/household"
)

const (
	mostPage    = 50 * time.Millisecond // 99th percentile
	mostTimes   = 20                    // of what a static page takes
	pageDevices = 250

	streams     = 500
	mostStreams = 100 << 10 // kB
	mostTold    = time.Second
)

// page measures the page of a Porchlight that has 250 devices and their year.
func page(ctx context.Context, b *bench) (rows []row, err error) {
	l, err := raise(ctx, "10.78.0.0/24", false)
	if err != nil {
		return nil, err
	}
	defer l.close()
	d, err := b.daemon("page", l.obs.Host, "FORGET_AFTER=20000h")
	if err != nil {
		return nil, err
	}
	b.say("page: writing a year of %d devices", pageDevices)
	shift := time.Until(household.Start.AddDate(0, 0, year))
	if _, err := live(ctx, d.dir, b.seed, pageDevices, shift); err != nil {
		return nil, err
	}
	if err := d.start(); err != nil {
		return nil, err
	}
	defer d.kill()
	v := visitor{host: l.obs.Host, client: &http.Client{Transport: &http.Transport{DialContext: l.obs.Host.Dial}}}
	defer v.client.CloseIdleConnections()
	if err := v.ready(ctx); err != nil {
		return nil, fmt.Errorf("%w; it said: %s", err, d.log())
	}
	r, err := v.streams(ctx, b, l, d) // first: what pages leave behind would hide what streams take
	if err != nil {
		return nil, err
	}
	rows, err = v.pages(ctx, b)
	return append(rows, r), err
}

// visitor asks for pages on the machine that Porchlight runs on.
type visitor struct {
	host   *lab.Host
	client *http.Client
}

const pageAddr = "127.0.0.1:8580"

// get returns what is at a URL, and how long that took.
func (v *visitor) get(ctx context.Context, addr, path string) (body []byte, took time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, http.NoBody)
	if err != nil {
		return nil, 0, err
	}
	begin := time.Now()
	resp, err := v.client.Do(r)
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	took = time.Since(begin)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", path, resp.Status)
	}
	return body, took, err
}

// ready waits until Porchlight has begun its work.
func (v *visitor) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		_, _, err := v.get(ctx, pageAddr, "/readyz")
		if err == nil {
			return pause(ctx, 5*time.Second) // and the first sweep is over
		}
		if pause(ctx, 50*time.Millisecond) != nil {
			return fmt.Errorf("the page does not answer: %w", err)
		}
	}
}

// pages asks for each page in turn with a static page of the same size, from a
// server of its own on the same machine.
func (v *visitor) pages(ctx context.Context, b *bench) (rows []row, err error) {
	var listener net.Listener
	err = v.host.Do(func() (err error) {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	})
	if err != nil {
		return nil, err
	}
	var static []byte // of the page that is measured; written between requests
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(static)
	})}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()

	phone := string(household.MAC(7).ID())
	for _, some := range []struct {
		name  string
		paths []string
	}{
		{"now", []string{"/"}},
		{"timeline", []string{"/timeline", "/timeline?span=week", "/timeline?span=month"}},
		{"a device", []string{"/devices/" + phone}},
		{"events", []string{"/events", "/events?device=" + phone}},
		{"health", []string{"/health"}},
		{"API", []string{
			"/api/v1/devices", "/api/v1/events?limit=1000", "/api/v1/home?at=100d", "/api/v1/devices/" + phone + "/sessions?from=365d",
			"/api/v1/absences?from=365d", "/api/v1/first-seen?from=365d",
		}},
	} {
		var worst visit
		for _, path := range some.paths {
			if static, _, err = v.get(ctx, pageAddr, path); err != nil {
				return rows, err
			}
			made, err := v.visit(ctx, path, listener.Addr().String(), pick(b, 100, 1000))
			if err != nil {
				return rows, err
			}
			made.size = len(static)
			b.say("page: %s", made)
			if made.slow > worst.slow {
				worst = made
			}
		}
		rows = append(rows, row{
			what: "page, 250 devices and a year: " + some.name, measured: worst.String(),
			bound: "50 ms (99th percentile), or 20 ×", verdict: judge(worst.slow < mostPage || worst.slow < mostTimes*worst.floor),
		})
	}
	return rows, nil
}

// visit is how long one page takes.
type visit struct {
	path         string
	median, slow time.Duration // slow: the 99th percentile
	floor        time.Duration // the same of a static page
	size         int           // bytes
}

// String says it for the table.
func (v visit) String() string {
	return fmt.Sprintf("%s, %d kB: median %s, 99th percentile %s (%s that of a static page of the same size)",
		v.path, v.size/1000, ms(v.median), ms(v.slow), times(v.slow, v.floor))
}

// visit asks for a page n times, in turn with the static page. It asks each time
// for something that nobody has asked for: a page that was just made would be
// there already.
func (v *visitor) visit(ctx context.Context, path, static string, n int) (r visit, err error) {
	var made, there []time.Duration
	mark := "?n="
	if strings.Contains(path, "?") {
		mark = "&n="
	}
	for i := range n {
		_, took, err := v.get(ctx, pageAddr, path+mark+strconv.Itoa(i))
		if err != nil {
			return r, err
		}
		made = append(made, took)
		if _, took, err = v.get(ctx, static, "/"); err != nil {
			return r, err
		}
		there = append(there, took)
	}
	slices.Sort(made)
	slices.Sort(there)
	return visit{path: path, median: quantile(made, 0.5), slow: quantile(made, 0.99), floor: quantile(there, 0.99)}, nil
}

// streams has many pages live at once while devices arrive.
func (v *visitor) streams(ctx context.Context, b *bench, l *lan, d *daemon) (r row, err error) {
	before, err := usageOf(d.pid())
	if err != nil {
		return r, err
	}
	told := make([]chan time.Time, streams)
	for i := range told {
		conn, err := v.host.Dial(ctx, "tcp", pageAddr)
		if err != nil {
			return r, err
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /live HTTP/1.1\r\nHost: "+pageAddr+"\r\n\r\n"); err != nil {
			return r, err
		}
		told[i] = make(chan time.Time, 1000)
		go follow(conn, told[i])
	}
	if err := pause(ctx, time.Second); err != nil {
		return r, err
	}
	var late []time.Duration // of each stream at each arrival
	most := 0
	for i := range pick(b, 5, 30) {
		device, err := l.pop.Add(lab.Identity{Addr: l.nth(100 + i), HostName: fmt.Sprintf("guest-%d", i)}, lab.Behaviour{})
		if err != nil {
			return r, err
		}
		at, err := join(i, device)
		if err != nil {
			return r, err
		}
		for _, messages := range told {
			took, err := after(ctx, messages, at)
			if err != nil {
				return r, err
			}
			late = append(late, took)
		}
		now, err := usageOf(d.pid())
		if err != nil {
			return r, err
		}
		most = max(most, now.resident)
		if err := pause(ctx, time.Second); err != nil { // what follows an arrival is told, too
			return r, err
		}
	}
	slices.Sort(late)
	cost, longest := most-before.resident, late[len(late)-1]
	return row{
		what: fmt.Sprintf("page, %d live streams, %d arrivals", streams, len(late)/streams),
		measured: fmt.Sprintf("%s more resident (%s before); a stream is told after %s at the median, %s at most",
			mb(cost), mb(before.resident), ms(quantile(late, 0.5)), ms(longest)),
		bound: "100 MB, each within 1 s", verdict: judge(cost < mostStreams && longest < mostTold),
	}, nil
}

// follow notes when a stream says that there is something new, until it ends.
func follow(conn net.Conn, told chan<- time.Time) {
	defer close(told)
	for in := bufio.NewScanner(bufio.NewReaderSize(conn, 512)); in.Scan(); {
		if strings.HasPrefix(in.Text(), "data:") {
			told <- time.Now()
		}
	}
}

// after returns how long after at a stream was told of something.
func after(ctx context.Context, told <-chan time.Time, at time.Time) (time.Duration, error) {
	timeout := time.NewTimer(10 * time.Second)
	defer timeout.Stop()
	for {
		select {
		case when, open := <-told:
			if !open {
				return 0, errors.New("a stream has ended")
			}
			if when.After(at) {
				return when.Sub(at), nil
			}
		case <-timeout.C:
			return 0, errors.New("a stream was not told of an arrival within 10 s")
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
