// Package browser plays what people do on the pages, in a headless Chromium.
package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"porchlight/bridge"
	"porchlight/history"
	"porchlight/presence"
	"porchlight/web"
)

// patience is how long a page may take to show something, on a machine that does
// other things as well.
const patience = 2 * time.Minute

var chromium context.Context

func TestMain(m *testing.M) {
	os.Exit(func() int {
		ctx, cancel := chromedp.NewExecAllocator(context.Background(),
			chromedp.ExecPath("chromium"), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
			// It knows no other machine than this one.
			chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
			chromedp.Flag("disable-component-update", true),
			chromedp.WSURLReadTimeout(patience), // its first start reads all of it from a disk
		)
		defer cancel()
		browser, end := chromedp.NewContext(ctx)
		defer end()
		if err := chromedp.Do(browser); err != nil {
			fmt.Fprintln(os.Stderr, "chromium does not start; scripts/deps browser installs it:", err)
			return 1
		}
		chromium = browser //nolint:fatcontext // it is made once
		return m.Run()
	}())
}

// house is a Porchlight without a LAN: what would be heard there, the test says.
type house struct {
	t      *testing.T
	store  *history.Store
	bridge *bridge.Bridge
	url    string

	machine *machine
	meter   *meter
}

// still is a LAN where nobody answers, and a broker that takes everything.
type still struct{}

func (still) Probe(presence.Probe) error      { return nil }
func (still) Sweep(context.Context) error     { return nil }
func (still) Update([]presence.Device)        {}
func (still) Remove([]presence.ID)            {}
func (still) SetGroups([]presence.Group)      {}
func (still) SetSummary(presence.Summary)     {}
func (h *house) Health(context.Context) error { return nil }

// source is what the pages show.
type source struct {
	*bridge.Bridge
	house *house
}

func (s source) Health(context.Context) error { return nil }

func (s source) Stats(ctx context.Context) (web.Stats, error) {
	b, err := s.Bridge.Stats(ctx)
	return web.Stats{
		Events: b.Events, Sightings: b.Sightings, BrokerConnected: true, Broker: "mqtt://broker.example",
		Database: web.Database{Path: "porchlight.db", Size: 1e6}, Interfaces: map[string]web.Interface{"eth0": {Frames: 10}},
	}, err
}

// newHouse starts one that knows these devices, and has this past.
func newHouse(t *testing.T, password string, records []presence.Record, past ...presence.Event) *house {
	t.Helper()
	quiet := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	store, err := history.Open(t.TempDir(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	store.SaveDevices(records)
	store.Append(past)
	if err := store.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, store: store, machine: nas(), meter: household(time.Now())}
	h.bridge = bridge.New(bridge.Config{
		Engine: presence.New(presence.Config{BaselineAt: time.Now().Add(-40 * 24 * time.Hour), MaxTracked: -1}),
		Log:    store, Publisher: still{}, LAN: still{}, SweepInterval: time.Hour, Logger: quiet,
	})
	server, err := web.New(web.Config{
		Listen: "127.0.0.1:0", Password: password, Version: "test", Source: source{h.bridge, h}, Commands: h.bridge, History: store.Queries(),
		Connections: h.machine, Traffic: h.meter, TrafficMode: "always",
		Log: quiet, Doctor: func(_ context.Context, report func(web.Finding)) {
			report(web.Finding{Level: "ok", Check: "clock", Text: "The clock is right."})
			report(web.Finding{Level: "warn", Check: "broker", Text: "It is far away.", Remedy: "Fetch it."})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.url = "http://" + server.Addr().String() + "/"
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = h.bridge.Run(ctx, records) })
	running.Go(func() { _ = server.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait(); _ = store.Close() })
	h.bridge.Sense(presence.Sensing{At: time.Now(), Interface: "eth0"})
	return h
}

// hear has the n-th device say something.
func (h *house) hear(n int, name string) {
	h.bridge.Sight(presence.Sighting{
		At: time.Now(), Interface: "eth0", MAC: mac(n), Addr: addr(n), Kind: presence.DHCPRequest, DHCP: &presence.DHCP{HostName: name},
	})
}

func mac(n int) presence.MAC { return presence.MAC{0, 0x11, 0x32, 0, byte(n >> 8), byte(n)} }
func addr(n int) netip.Addr  { return netip.AddrFrom4([4]byte{192, 168, 1 + byte(n>>8), byte(n)}) }
func day(n int) time.Time    { return time.Now().AddDate(0, 0, n) }
func record(n int, name string) presence.Record {
	return presence.Record{Device: presence.Device{
		ID: mac(n).ID(), MAC: mac(n), Interface: "eth0", Addr: addr(n), HostName: name, State: presence.Home,
		Since: day(-2), FirstSeen: day(-60), LastSeen: time.Now(), Why: "ARP request heard",
	}}
}

// step is something that is done to a page.
type step = chromedp.Action[chromedp.Void]

// command is a step that the browser's protocol has a name for.
func command[P, R any](c cdp.Command[P, R], params P) step {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, c, params)
		return err
	})
}

// tab is a page in the browser. At its end it has asked nobody else for
// anything, and has had nothing to complain about.
type tab struct {
	t   *testing.T
	ctx context.Context
	url string

	mu     sync.Mutex
	wrong  []string
	expect []string // complaints that are right
}

func (h *house) open(path string, actions ...step) *tab {
	h.t.Helper()
	ctx, cancel := chromedp.NewContext(chromium)
	b := &tab{t: h.t, ctx: ctx, url: h.url}
	if err := chromedp.Listen(ctx, b.listen); err != nil {
		h.t.Fatal(err)
	}
	b.run(command(network.Enable, network.EnableParams{}), command(log.Enable, cdp.Empty{}), command(runtime.Enable, cdp.Empty{}), chromedp.EmulateViewport(1200, 900))
	b.run(append(actions, chromedp.Navigate(h.url+path))...)
	h.t.Cleanup(func() {
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, w := range b.wrong {
			if !slices.ContainsFunc(b.expect, func(e string) bool { return strings.Contains(w, e) }) {
				h.t.Error(w)
			}
		}
	})
	return b
}

func (b *tab) listen(event any) {
	note := func(format string, args ...any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
	}
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, b.url) && !strings.HasPrefix(u, "data:") && !strings.HasPrefix(u, "about:") {
			note("a request to elsewhere: %s", u)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			note("the console says: %s %s", e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		note("the page writes on the console: %s", e.Type)
	case *runtime.EventExceptionThrown:
		note("an exception: %s", e.ExceptionDetails.Text)
	}
}

func (b *tab) run(actions ...step) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.picture("failed")
		b.t.Fatal(err)
	}
}

// text is what a person reads on the page.
func (b *tab) text() string {
	b.t.Helper()
	return strings.Join(strings.Fields(eval[string](b, `document.body.innerText`)), " ")
}

// eval returns what a script says of the page.
func eval[T any](b *tab, script string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%.80s: %v", script, err)
	}
	return v
}

// shows waits until the page reads so, and returns how long that took. While one
// page follows another there is none to ask.
func (b *tab) shows(want string) time.Duration {
	b.t.Helper()
	begin := time.Now()
	expression := fmt.Sprintf("!!document.body?.innerText.replace(/\\s+/g, ' ').includes(%s)", quote(want))
	for time.Since(begin) < patience {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		there, err := chromedp.Run(ctx, chromedp.Evaluate[bool](expression))
		cancel()
		if err == nil && there {
			return time.Since(begin)
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.picture("failed")
	b.t.Fatalf("the page never shows %q, but %s", want, b.text())
	return 0
}

// click waits for an element and clicks on it. A live page may put another one
// in its place at any moment, so both are one step.
func (b *tab) click(selector string) {
	b.t.Helper()
	script := fmt.Sprintf("(() => { const e = document.querySelector(%s); e?.click(); return !!e; })()", quote(selector))
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(10 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		there, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script))
		cancel()
		if err == nil && there {
			return
		}
	}
	b.picture("failed")
	b.t.Fatalf("there is no %s on the page: %s", selector, b.text())
}

// write puts a text at the end of a field of a live page: once one is in it, the
// page leaves it alone.
func (b *tab) write(selector, text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("(() => { const e = document.querySelector(%s); e?.focus(); return !!e && document.activeElement === e; })()", quote(selector)))
	b.run(chromedp.KeyEvent(text))
}

func quote(s string) string {
	b, _ := json.Marshal(s) // of a string it never fails
	return string(b)
}

// picture keeps what is to be seen, where PICTURES says so.
func (b *tab) picture(name string) {
	dir := os.Getenv("PICTURES")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Logf("no picture of %s: %v", name, err)
		return
	}
	file := filepath.Join(dir, strings.ToLower(strings.TrimPrefix(b.t.Name(), "Test"))+"-"+name+".png")
	if err := os.WriteFile(file, png, 0o644); err != nil {
		b.t.Error(err)
	}
}

// barriers has axe-core look for what keeps people from using the page.
func (b *tab) barriers() {
	b.t.Helper()
	file := os.Getenv("AXE")
	if file == "" {
		b.t.Fatal("AXE names no copy of axe-core: run scripts/test-web")
	}
	source, err := os.ReadFile(file)
	if err != nil {
		b.t.Fatal(err)
	}
	type violation struct {
		ID, Impact, Help, HTML string
	}
	eval[bool](b, string(source)+";true")
	found := eval[[]violation](b, `axe.run().then((r) => r.violations.map((v) => ({ID: v.id, Impact: v.impact, Help: v.help, HTML: v.nodes[0].html})))`)
	for _, f := range found {
		report := b.t.Logf
		if f.Impact == "serious" || f.Impact == "critical" {
			report = b.t.Errorf
		}
		report("axe finds (%s) %s: %s, as in %s", f.Impact, f.ID, f.Help, f.HTML)
	}
}
