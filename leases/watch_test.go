package leases

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"porchlight/presence"
)

// heard is what a Watcher tells.
type heard struct {
	mu   sync.Mutex
	n    int
	last map[presence.NameSource][]presence.Told
	log  bytes.Buffer
}

func (h *heard) tell(from presence.NameSource, told []presence.Told) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
	if h.last == nil {
		h.last = map[presence.NameSource][]presence.Told{}
	}
	h.last[from] = told
}

// names are those in force, as an engine would see them.
func (h *heard) names(from presence.NameSource) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	for _, t := range h.last[from] {
		names = append(names, t.Name)
	}
	return strings.Join(names, " ")
}

func (h *heard) times() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}

// polled watches files in a bubble, by events that the test makes.
func polled(t *testing.T, cfg Config) (h *heard, changed func(path string)) {
	h = &heard{}
	cfg.Tell, cfg.Log = h.tell, slog.New(slog.NewTextHandler(&h.log, nil))
	w := NewWatcher(cfg)
	notices := make(chan string)
	w.notices = notices
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return h, func(path string) { notices <- path }
}

func lease(n int, name string) string {
	return fmt.Sprintf("1795190400 00:16:3e:00:00:%02x 192.168.1.%d %s *\n", n, n, name)
}

func (h *heard) expect(t *testing.T, what, names string) {
	t.Helper()
	synctest.Wait()
	if got := h.names(presence.NameFromLease); got != names {
		t.Errorf("%s: %q, want %q", what, got, names)
	}
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d) // of the bubble
	synctest.Wait()
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "dnsmasq.leases")
		write(t, path, lease(1, "kettle"))
		h, changed := polled(t, Config{Leases: []string{path}})
		h.expect(t, "at the start", "kettle")
		pass(time.Hour)
		if h.times() != 1 {
			t.Errorf("told %d times what has not changed", h.times())
		}

		// dnsmasq empties the file and writes it anew.
		write(t, path, "")
		changed(path)
		pass(quiet / 2)
		write(t, path, lease(1, "kettle")+lease(2, "nas")[:30])
		changed(path)
		pass(quiet + quiet/2)
		h.expect(t, "half-written", "kettle")
		write(t, path, lease(1, "kettle")+lease(2, "nas"))
		changed(path)
		pass(readGap)
		h.expect(t, "written", "kettle nas")
		if h.times() != 2 {
			t.Errorf("told %d times, want 2", h.times())
		}

		// Without an event it is found a little later.
		pass(time.Minute)
		write(t, path, lease(3, "tv"))
		pass(pollEvery + readGap)
		h.expect(t, "without an event", "tv")

		// Gone, and back as another file.
		if err := os.Rename(path, path+"~"); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		h.expect(t, "gone", "tv")
		write(t, path+".new", lease(4, "lamp"))
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		changed(path)
		pass(2 * quiet)
		h.expect(t, "replaced", "lamp")

		// What is no lease file any more says nothing; what is empty for good, that there are no leases.
		write(t, path, "Dear diary,\n")
		pass(time.Hour)
		h.expect(t, "nonsense", "lamp")
		write(t, path, "")
		pass(pollEvery + patience + readGap)
		h.expect(t, "empty", "")
		for what, n := range map[string]int{"it is waited for": 1, "no lease file": 1, "level=INFO": 3} {
			if got := strings.Count(h.log.String(), what); got != n {
				t.Errorf("%q %d times in the log, want %d:\n%s", what, got, n, h.log.String())
			}
		}
	})
}

// TestBadFiles: whatever becomes of a lease file, one line at most says what is
// wrong, what was read before stays, and when it is in order again it counts.
func TestBadFiles(t *testing.T) {
	text := func(content string) func(*testing.T, string) {
		return func(t *testing.T, path string) { write(t, path, content) }
	}
	for name, c := range map[string]struct {
		spoil func(t *testing.T, path string)
		names string // that count then
		says  string // empty: nothing
	}{
		"torn off in a line":      {text(lease(1, "kettle") + lease(2, "nas")[:20]), "kettle", ""},
		"torn off between lines":  {text(lease(1, "kettle")), "kettle", ""},
		"huge":                    {func(t *testing.T, path string) { must(t, os.Truncate(path, maxFile+1)) }, "kettle nas", "it is larger than 16 MB"},
		"a hole":                  {func(t *testing.T, path string) { must(t, os.Truncate(path, 1<<20)) }, "kettle nas", ""},
		"gone":                    {func(t *testing.T, path string) { must(t, os.Remove(path)) }, "kettle nas", "no such file or directory; it is waited for"},
		"a directory":             {func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, os.Mkdir(path, 0o700)) }, "kettle nas", "it is not a regular file"},
		"a pipe":                  {func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, syscall.Mkfifo(path, 0o600)) }, "kettle nas", "it is not a regular file"},
		"another file":            {text("Dear diary,\n"), "kettle nas", "this is no lease file of dnsmasq, Pi-hole, Kea or dhcpd"},
		"a program":               {text("\x7fELF\x02\x01\n\xff\xfe\n"), "kettle nas", "this is no lease file"},
		"a name of 10 kB":         {text(lease(1, "kettle") + lease(2, strings.Repeat("x", 10<<10)) + lease(3, "tv")), "kettle tv", ""},
		"a name of control bytes": {text(lease(1, "ket\x00\x1b[2J\xfftle") + lease(2, "nas")), "ket [2J tle nas", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "dnsmasq.leases")
				write(t, path, lease(1, "kettle")+lease(2, "nas"))
				h, _ := polled(t, Config{Leases: []string{path}})
				h.expect(t, "at the start", "kettle nas")
				c.spoil(t, path)
				pass(time.Hour)
				h.expect(t, "then", c.names)
				warned := map[bool]int{true: 1}[c.says != ""]
				if log := h.log.String(); strings.Count(log, "level=WARN") != warned || warned > 0 && (!strings.Contains(log, c.says) || !strings.Contains(log, path)) {
					t.Errorf("it says:\n%s", log)
				}
				must(t, os.RemoveAll(path))
				write(t, path, lease(3, "tv"))
				pass(time.Minute)
				h.expect(t, "in order again", "tv")
			})
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A file that never stays as it is is read even so, and not too often.
func TestWatchRestlessFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "kea-leases4.csv")
		header, _, _ := strings.Cut(kea4Text, "\n")
		write(t, path, header+"\n")
		h, changed := polled(t, Config{Leases: []string{path}})
		pass(time.Minute)
		text := header + "\n"
		for i := range 120 {
			text += fmt.Sprintf("192.168.1.1,00:16:3e:00:00:01,,4000,%d,1,0,0,name%d,0,,0\n", 1795190400+i, i)
			write(t, path, text)
			changed(path)
			pass(quiet / 2)
		}
		if n := h.times(); n < 4 || n > 14 || !strings.HasPrefix(h.names(presence.NameFromLease), "name") {
			t.Errorf("told %d times in a minute, last %q", n, h.names(presence.NameFromLease))
		}
		pass(patience)
		h.expect(t, "in the end", "name119")

		// Its clean-up moves all leases to another file.
		if err := os.Rename(path, path+".2"); err != nil {
			t.Fatal(err)
		}
		write(t, path, header+"\n")
		changed(path + ".2")
		pass(patience)
		h.expect(t, "after the clean-up", "name119")
	})
}

// Several files are one table for each kind; the first of them counts most.
func TestWatchSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		one, two, hosts := filepath.Join(dir, "one"), filepath.Join(dir, "later", "two"), filepath.Join(dir, "hosts")
		write(t, one, lease(1, "kettle"))
		write(t, hosts, hostsText)
		h, _ := polled(t, Config{Leases: []string{one, two}, Hosts: []string{hosts}})
		h.expect(t, "one is missing", "kettle")
		if got := h.names(presence.NameFromHosts); got != "printer printer nas" {
			t.Errorf("hosts: %q", got)
		}
		if err := os.Mkdir(filepath.Dir(two), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, two, lease(1, "other")+lease(2, "nas"))
		pass(pollEvery + readGap)
		h.expect(t, "both", "other nas kettle")
		if got := h.names(presence.NameFromHosts); got != "printer printer nas" {
			t.Errorf("hosts: %q", got)
		}
	})
}

// With the kernel's notifications a change is known in about a second, in a
// directory that came later, too.
func TestWatchLive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dnsmasq.leases")
	write(t, path, lease(1, "kettle"))
	h := &heard{}
	w := NewWatcher(Config{Leases: []string{path}, Tell: h.tell})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	await := func(names string) {
		t.Helper()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for deadline := time.Now().Add(pollEvery / 2); h.names(presence.NameFromLease) != names; <-tick.C {
			if time.Now().After(deadline) {
				t.Fatalf("names are %q, want %q", h.names(presence.NameFromLease), names)
			}
		}
	}
	await("kettle")
	write(t, path+".new", lease(1, "kettle")+lease(2, "nas"))
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	await("kettle nas")
	write(t, path, lease(3, "tv")) // in place
	await("tv")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Nothing to watch is no reason to end.
func TestWatchNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start := time.Now()
		if err := NewWatcher(Config{}).Run(ctx); err != nil || time.Since(start) != time.Hour {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}
