package browser

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"porchlight/connections"
)

// machine is the machine that the pages are served from: what it is connected to,
// the test says.
type machine struct {
	mu     sync.Mutex
	open   []connections.Connection
	stored []connections.Snapshot
	booted time.Time
}

// Look implements web.Connections.
func (m *machine) Look(names connections.DeviceNames) (*connections.Snapshot, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &connections.Snapshot{
		Time: time.Now(), Boot: "b", Uptime: time.Since(m.booted), Connections: slices.Clone(m.open),
		Missing: []string{"connections that are shown without their process: 1. There is no permission to look into 12 of the processes: run this as root to see them"},
	}
	for i := range s.Connections {
		s.Connections[i].Device = names[s.Connections[i].Remote.Addr()]
	}
	return s, nil
}

// Newest implements web.Connections.
func (m *machine) Newest(_ context.Context, before int64, limit int) (all []connections.Entry, err error) {
	for _, s := range slices.Backward(m.stored) {
		if (before == 0 || s.Number < before) && len(all) < limit {
			all = append(all, connections.Entry{Number: s.Number, Time: s.Time, Connections: len(s.Connections), Listeners: 5, Bytes: 4321, Boot: s.Boot})
		}
	}
	return all, nil
}

// Before implements web.Connections.
func (m *machine) Before(_ context.Context, t time.Time) (number int64, err error) {
	for _, s := range m.stored {
		if number == 0 || s.Time.Before(t) {
			number = s.Number
		}
	}
	return number, nil
}

// Load implements web.Connections.
func (m *machine) Load(_ context.Context, number int64) (*connections.Snapshot, error) {
	if number > int64(len(m.stored)) {
		return nil, connections.ErrNone
	}
	return &m.stored[number-1], nil
}

// run opens a connection.
func (m *machine) run(c connections.Connection) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open = append(m.open, c)
}

// socket makes a connection; without a remote end it listens.
func socket(protocol, local, remote, program string, pid int) connections.Connection {
	c := connections.Connection{
		Protocol: protocol, Local: netip.MustParseAddrPort(local), Inode: uint64(pid), State: connections.Listen, User: "root",
		Process: &connections.Process{PID: pid, Name: program, User: "root", Started: day(-2)},
	}
	if protocol == connections.UDP {
		c.State = connections.Unconnected
	}
	if remote != "" {
		c.Remote, c.State = netip.MustParseAddrPort(remote), connections.Established
		c.Sent, c.Received, c.RTT = uint64(pid)*12345, uint64(pid)*2345, uint64(pid)*17
	}
	return c
}

// nas is a machine as many have at home, with an hour of snapshots.
func nas() *machine {
	with := func(n int, port int) string { return netip.AddrPortFrom(addr(n), uint16(port)).String() }
	nginx := socket("tcp", "0.0.0.0:443", "", "nginx", 812)
	nginx.Process.User, nginx.Others = "www-data", 3
	unseen := socket("tcp", "[::]:22", "", "sshd", 500)
	unseen.Process = nil
	inside := socket("tcp", "172.17.0.2:8096", with(2, 50321), "jellyfin", 2040)
	inside.Process.Container, inside.Process.User, inside.Interface = "docker:4f5e01c2d3e4f5061728394a5b6c7d8e9f00112233445566778899aabbccddee", "jellyfin", "br-4f5e01c2d3e4"
	all := []connections.Connection{
		nginx, unseen,
		socket("tcp", "0.0.0.0:445", "", "smbd", 900),
		socket("udp", "0.0.0.0:53", "", "dnsmasq", 321),
		socket("udp", "[::]:5353", "", "avahi-daemon", 402),
		socket("tcp", "192.168.1.2:443", with(1, 50122), "nginx", 812),
		socket("tcp", "192.168.1.2:445", with(0, 49801), "smbd", 931),
		socket("tcp", "192.168.1.2:39122", "203.0.113.7:443", "restic", 1300),
		inside,
		socket("tcp", "[2001:db8:12:34:9a8b:7c6d:5e4f:3021]:40000", "[2001:db8:ffff:1234:5678:9abc:def0:99]:993", "thunderbird-bin", 1477),
	}
	m := &machine{open: slices.Clone(all), booted: day(-2)}
	earlier := append(slices.Clone(all[:7]), socket("tcp", "192.168.1.2:39500", "198.51.100.80:80", "apt", 3111))
	earlier[5].State, earlier[5].Device = "CLOSE-WAIT", "Phone 01"
	for i := range 25 {
		at := time.Now().Add(time.Duration(i-25) * 10 * time.Minute)
		s := connections.Snapshot{Number: int64(i + 1), Time: at, Boot: "b", Uptime: at.Sub(m.booted), Connections: earlier}
		if i < 3 {
			s.Boot = "a"
		}
		m.stored = append(m.stored, s)
	}
	return m
}

// rowsOf counts the rows that a table shows.
func (b *tab) rowsOf(table string) int {
	return eval[int](b, fmt.Sprintf(`document.querySelectorAll(%s).length`, quote(table+" tbody tr")))
}

// until waits for what a script says of the page. While one page follows another
// there is none to ask.
func (b *tab) until(script string) {
	b.t.Helper()
	var err error
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(10 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(b.ctx, patience)
		var is bool
		is, err = chromedp.Run(ctx, chromedp.Evaluate[bool](script))
		cancel()
		if err == nil && is {
			return
		}
	}
	b.picture("failed")
	b.t.Fatalf("never %s (%v), but %s", script, err, b.text())
}

// TestConnections searches, groups, and sees what opens.
func TestConnections(t *testing.T) {
	records, _ := month(3)
	h := newHouse(t, "", records)
	b := h.open("connections")
	b.shows("5 connections and 5 listeners")
	b.shows("Phone 01")
	b.shows("run this as root to see them")
	b.picture("all")
	b.barriers()
	h.machine.run(socket("tcp", "0.0.0.0:8080", "", "python3", 4711))
	took := b.shows("5 connections and 6 listeners")
	t.Logf("what opened was on the page after %v", took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("what opened was on the page after %v", took)
	}
	b.run(chromedp.SendKeys(css(`input[name=q]`), "smb"))
	b.shows("1 connection and 1 listener, of 11 in all")
	if n := b.rowsOf("#rows"); n != 2 {
		t.Errorf("%d rows", n)
	}
	b.run(chromedp.SendKeys(css(`input[name=q]`), strings.Repeat(kb.Backspace, 3)))
	b.shows("5 connections and 6 listeners")
	b.click(`input[name=listening]`)
	b.shows("0 connections and 6 listeners")
	b.click(`input[name=listening]`)
	b.run(chromedp.SendKeys(css(`input[name=remote]`), "192.168.1.0/24"))
	b.shows("3 connections and 0 listeners")
	b.click(`#views a[href*="by=program"]`)
	b.shows("Remote ends")
	b.picture("by-program")
	b.barriers()
	b.run(chromedp.Navigate(h.url + "connections?by=remote"))
	b.shows("203.0.113.7")
	b.picture("by-remote")
	b.click(`#rows a[href*="203.0.113.7"]`)
	b.shows("1 connection and 0 listeners")
	b.shows("restic")
}

// TestConnectionsLive: what opens meanwhile takes nothing out of one's hands.
func TestConnectionsLive(t *testing.T) {
	h := newHouse(t, "", nil)
	b := h.open("connections", chromedp.EmulateViewport(800, 300))
	b.shows("5 connections and 5 listeners")
	eval[bool](b, `window.same = true; scrollTo(0, 200); document.querySelectorAll('#rows a[href="?program=smbd"]')[1].focus({preventScroll: true}); true`)
	at := eval[float64](b, `scrollY`)
	h.machine.run(socket("tcp", "0.0.0.0:8080", "", "python3", 4711))
	b.shows("5 connections and 6 listeners")
	if !eval[bool](b, fmt.Sprintf(`window.same && document.activeElement.getAttribute("href") === "?program=smbd" && scrollY === %v`, at)) {
		t.Errorf("the focus is at %s, %v of %v down", eval[string](b, `document.activeElement.outerHTML`), eval[float64](b, `scrollY`), at)
	}
	eval[bool](b, `getSelection().selectAllChildren(document.querySelector("#rows bdi")); window.row = document.querySelector("#rows tr"); true`)
	h.machine.run(socket("tcp", "0.0.0.0:8081", "", "python3", 4712))
	b.shows("5 connections and 7 listeners")
	if !eval[bool](b, `getSelection().toString() === "nginx" && window.row.isConnected`) {
		t.Error("what was marked is so no more")
	}
	b.run(chromedp.SendKeys(css(`input[name=q]`), "python"))
	b.shows("0 connections and 2 listeners, of 12 in all")
	h.machine.run(socket("tcp", "0.0.0.0:8082", "", "python3", 4713))
	b.shows("0 connections and 3 listeners, of 13 in all")
	if !eval[bool](b, `window.same && document.activeElement.name === "q" && document.activeElement.value === "python" && location.search === "?q=python"`) {
		t.Errorf("what was typed is gone: %s", b.text())
	}
}

// TestCopyingAFilter clicks on the button, and pastes what it copied.
func TestCopyingAFilter(t *testing.T) {
	h := newHouse(t, "", nil)
	b := h.open("connections?program=smbd")
	b.shows("1 connection and 1 listener")
	want := eval[string](b, `document.getElementById("tcpdump").value`)
	if !strings.HasPrefix(want, "tcp port 445") {
		t.Fatalf("the filter is %q", want)
	}
	for name, prepare := range map[string]string{
		"with a clipboard": `window.copied = ""; Object.defineProperty(navigator, "clipboard", {value: {writeText: async (text) => { window.copied = text; }}, configurable: true}); true`,
		"without one":      `window.copied = ""; Object.defineProperty(navigator, "clipboard", {value: undefined, configurable: true}); document.addEventListener("copy", () => { const f = document.activeElement; window.copied = f.value.slice(f.selectionStart, f.selectionEnd); }, {once: true}); true`,
	} {
		b.run(chromedp.Navigate(h.url + "connections?program=smbd"))
		b.shows("Copy")
		eval[bool](b, prepare)
		// What the button says is the page's own again with its next part.
		eval[bool](b, `window.told = false; new MutationObserver(() => { window.told ||= document.querySelector("button[data-copy=tcpdump]")?.textContent === "Copied"; }).observe(document.body, {childList: true, subtree: true}); true`)
		b.run(chromedp.Click(css(`button[data-copy=tcpdump]`)))
		b.until(fmt.Sprintf(`window.copied === %s`, quote(want)))
		b.until(`window.told`)
		t.Log(name, "copies", want)
	}
	b.picture("copied")
}

// TestComparing puts two snapshots side by side.
func TestComparing(t *testing.T) {
	records, _ := month(3)
	h := newHouse(t, "", records)
	b := h.open("connections")
	b.click(`a[href="connections/changes"]`)
	b.shows("New programs")
	b.shows("thunderbird-bin")
	b.shows("state: CLOSE-WAIT → ESTABLISHED")
	b.picture("hour")
	b.barriers()
	if n := b.rowsOf(".sides"); n < 4 {
		t.Errorf("%d rows", n)
	}
	b.click(`a[aria-label="from 22"]`)
	b.shows("From snapshot 22,")
	b.click(`a[aria-label="to 24"]`)
	b.shows("to snapshot 24,")
	b.shows("Nothing has changed.")
	b.click(`a[rel=prev]`)
	b.shows("the first after a restart of the machine")
	b.click(`a[aria-label="from 2"]`)
	b.shows("machine was started again between them")
	b.picture("restart")
	eval[bool](b, `[...document.querySelectorAll(".pager a")].find((a) => a.innerText === "Newest").click(); true`)
	b.until(`!!document.querySelector('[aria-label="from 25"]') && !location.search.includes("before")`)
	b.run(chromedp.SetValue(css(`input[name=a][type=datetime-local]`), h.machine.stored[11].Time.Add(time.Minute).Format("2006-01-02T15:04")))
	eval[bool](b, `document.querySelector("input[name=b][type=datetime-local]").value = ""; true`)
	b.click(`input[name=b][type=datetime-local] ~ button, label:has(input[name=b][type=datetime-local]) + button`)
	b.shows("From snapshot 12, ")
	b.shows("to now.")
	b.run(chromedp.Navigate(h.url + "connections/changes?a=2&b=24&before=6"))
	b.click(`a[href="../connections?snapshot=2"]`)
	b.shows("snapshot 2.")
	b.shows("apt")
}
