package scenario

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"porchlight/lab"
	"porchlight/presence"
)

// A full disk stops nobody: it is said, and written later.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	phone := h.lab.Client("phone")
	h.sub.connect()
	// The data directory is a small disk that only this process sees.
	p := h.command()
	p.through("sh", "-c", `mount -t tmpfs -o size=1m small "$0" && exec "$@"`, h.dir)
	p.cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
	p.start()
	h.sub.awaitTopic(topics.Status(), "online")
	dir := fmt.Sprintf("/proc/%d/root%s", p.cmd.Process.Pid, h.dir)

	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	h.lab.Must(err)
	for size := 1 << 16; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	h.lab.Must(f.Close())

	// Every event needs room, so some time it shows.
	for range 40 {
		h.join(phone)
		h.sub.awaitTopic(topics.State(macOf(phone).ID()), "home")
		h.set(&lab.Device{Identity: lab.Identity{MAC: phone.MAC()}}, fmt.Sprintf(`{"name": "%d%s"}`, time.Now().UnixNano(), strings.Repeat("x", 40)))
		if h.sub.until(200*time.Millisecond, func() bool { return strings.Contains(h.sub.latest[topics.Summary()], "free some space") }) {
			break
		}
	}
	h.sub.await("the summary to tell of the full disk", func() bool {
		return strings.Contains(h.sub.latest[topics.Summary()], "free some space")
	})
	h.lab.Must(phone.Leave())
	left := h.sub.awaitEvent(presence.Left, macOf(phone))
	h.sub.awaitTopic(topics.State(macOf(phone).ID()), "not_home")

	h.lab.Must(os.Remove(filler))
	h.sub.await("the problem to be over", func() bool {
		return !strings.Contains(h.sub.latest[topics.Summary()], "free some space")
	})
	eventually(t, "the event in the log", func() error {
		events := h.command("events", "--json")
		events.through("nsenter", "--mount", "--target", strconv.Itoa(p.cmd.Process.Pid))
		events.start()
		events.wait()
		for _, e := range jsonLines[presence.Event](t, events.stdout.String()) {
			if e.Seq == left.Seq && e.Type == presence.Left {
				return nil
			}
		}
		return fmt.Errorf("no event %d", left.Seq)
	})
}

// through has the command started by another one.
func (p *process) through(name string, args ...string) {
	p.t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		p.t.Skip(err)
	}
	p.cmd.Args = slices.Concat([]string{name}, args, []string{p.cmd.Path}, p.cmd.Args[1:])
	p.cmd.Path = path
}

// gauges are what must not grow.
type gauges struct {
	goroutines, files int
	memory            int // KB
}

func (h *house) gauges(p *process) (g gauges) {
	h.t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return h.obs.Dial(ctx, network, addr)
		},
	}}
	resp, err := client.Get("http://127.0.0.1:8580/metrics")
	h.lab.Must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	h.lab.Must(err)
	number := func(pattern string, text []byte) int {
		m := regexp.MustCompile(pattern).FindSubmatch(text)
		if m == nil {
			h.t.Fatalf("no %s in:\n%s", pattern, text)
		}
		n, _ := strconv.Atoi(string(m[1]))
		return n
	}
	proc := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	status, err := os.ReadFile(proc + "status")
	h.lab.Must(err)
	files, err := os.ReadDir(proc + "fd")
	h.lab.Must(err)
	return gauges{number(`(?m)^go_goroutines (\d+)`, text), len(files), number(`VmRSS:\s+(\d+) kB`, status)}
}

// settled returns the gauges once nothing is being started any more.
func (h *house) settled(p *process) (now gauges) {
	h.t.Helper()
	now = h.gauges(p)
	eventually(h.t, "all to be started", func() error {
		before := now
		time.Sleep(200 * time.Millisecond) // in which it would start something
		if now = h.gauges(p); now.goroutines != before.goroutines || now.files != before.files {
			return fmt.Errorf("before %+v, now %+v", before, now)
		}
		return nil
	})
	return now
}

// A broker and a link that come and go leave nothing behind.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	h, devices, p := played(t, 20, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	phone := h.lab.Client("phone")
	round := func() {
		h.broker.Kill()
		h.lab.Must(h.obs.Unplug())
		p.says("cannot hear")
		h.lab.Must(h.obs.Plug(ctx))
		h.lab.Must(h.broker.Start(ctx))
		h.sub.connect()
		h.sub.await("online", func() bool { return h.sub.latest[topics.Status()] == "online" })
		h.sub.publish(topics.Scan(), "", false)
		h.join(phone)
		h.sub.awaitTopic(topics.State(macOf(phone).ID()), "home")
		h.lab.Must(p.cmd.Signal(syscall.SIGHUP))
	}
	h.sub.mu.Lock()
	clear(h.sub.latest)
	h.sub.mu.Unlock()
	round()
	before := h.settled(p)
	for range 4 {
		h.sub.mu.Lock()
		clear(h.sub.latest)
		h.sub.mu.Unlock()
		round()
	}
	eventually(t, "all goroutines and files of the past to be gone", func() error {
		now := h.gauges(p)
		if now.goroutines > before.goroutines+1 || now.files > before.files+1 {
			return fmt.Errorf("before %+v, now %+v", before, now)
		}
		return nil
	})
	after := h.gauges(p)
	t.Logf("before %+v, after %+v", before, after)
	if !raceEnabled && after.memory > before.memory+15_000 {
		t.Errorf("resident memory grew from %d KB to %d KB", before.memory, after.memory)
	}
	for _, d := range devices {
		h.sub.awaitTopic(topics.State(idOf(d)), "home")
	}
}
