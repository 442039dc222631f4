package connections

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// acting is a machine that a Recorder looks at.
type acting struct {
	mu     sync.Mutex
	ports  []uint16
	fault  error
	begun  time.Time
	boot   string
	looks  []time.Time
	names  DeviceNames
	events []string
}

// now changes it.
func (a *acting) now(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

func (a *acting) take(names DeviceNames) (*Snapshot, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.looks, a.names = append(a.looks, time.Now()), names
	if a.fault != nil {
		return nil, a.fault
	}
	s := &Snapshot{Time: time.Now(), Boot: a.boot, Uptime: time.Since(a.begun) + time.Hour, Missing: []string{"something"}}
	for _, port := range a.ports {
		s.Connections = append(s.Connections, Connection{
			Protocol: TCP, State: Listen, Local: netip.AddrPortFrom(netip.IPv4Unspecified(), port), Inode: uint64(port), Process: &Process{PID: int(port), Name: fmt.Sprint("server", port), User: "anna"},
		})
	}
	s.settle()
	return s, nil
}

func (a *acting) tell(ctx context.Context, events []Event) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range events {
		a.events = append(a.events, fmt.Sprint(e.Type, " ", e.Connection.Local.Port()))
	}
	return ctx.Err()
}

func (a *acting) config(dir string, log *bytes.Buffer) RecorderConfig {
	return RecorderConfig{
		Interval: 30 * time.Second, Dir: dir, Keep: Keep{Age: 24 * time.Hour}, Log: slog.New(slog.NewTextHandler(log, nil)),
		Tell: a.tell, Take: a.take, Names: func(context.Context) DeviceNames { return DeviceNames{netip.IPv6Unspecified(): "x"} },
	}
}

func newActing() *acting { return &acting{begun: time.Now(), boot: "one", ports: []uint16{22, 80}} }

// run runs a recorder while f does something.
func run(t *testing.T, c RecorderConfig, f func(r *Recorder)) {
	t.Helper()
	r := NewRecorder(c)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	f(r)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestRecorder(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a, log := newActing(), &bytes.Buffer{}
		run(t, a.config(dir, log), func(r *Recorder) {
			if r.Latest() != nil {
				t.Error("there is a snapshot before the first")
			}
			time.Sleep(time.Second)
			if s := r.Latest(); s == nil || len(s.Connections) != 2 {
				t.Errorf("the first: %+v", s)
			}
			time.Sleep(10 * time.Minute)
			a.now(func() { a.ports = append(a.ports, 4444) })
			time.Sleep(30 * time.Second)
			a.now(func() {
				if !slices.Equal(a.events, []string{"listener_opened 4444"}) {
					t.Errorf("events: %q", a.events)
				}
			})
		})
		// Another one goes on with what is usual, also after a reboot.
		for i := range 3 {
			a.boot += fmt.Sprint(i)
			run(t, a.config(dir, log), func(*Recorder) { time.Sleep(10*time.Minute + time.Second) })
		}
		a.ports = a.ports[:2]
		run(t, a.config(dir, log), func(*Recorder) { time.Sleep(10*time.Minute + time.Second) })
		if !slices.Equal(a.events, []string{"listener_opened 4444", "listener_closed 4444"}) {
			t.Errorf("events: %q", a.events)
		}
		if len(a.names) != 1 {
			t.Errorf("names: %v", a.names)
		}
		for i := range a.looks[1:22] {
			if d := a.looks[i+1].Sub(a.looks[i]); d != 30*time.Second {
				t.Errorf("%s between two looks", d)
			}
		}
		if strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "missing=something") || strings.Count(log.String(), "new ones are told\" listeners=2") != 1 {
			t.Errorf("the log: %s", log)
		}
	})
	s := openStore(t, dir)
	if n := len(numbers(t, s)); n != 22+4*21 {
		t.Errorf("%d are stored", n)
	}
}

// A look that the watcher asks for comes soon, and is not stored; looks that
// take long come less often, not in bursts.
func TestRecorderPace(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a := newActing()
		c := a.config(dir, &bytes.Buffer{})
		begun, slow := time.Now(), time.Duration(0) // slow under a.mu
		c.Take = func(names DeviceNames) (*Snapshot, error) {
			s, err := a.take(names)
			var takes time.Duration
			a.now(func() {
				if takes = slow; len(a.looks) > 5 {
					s.Connections = append(s.Connections, Connection{Protocol: UDP, State: Unconnected, Local: netip.MustParseAddrPort("0.0.0.0:5000"), Inode: 5000})
				}
			})
			time.Sleep(takes)
			return s, err
		}
		run(t, c, func(*Recorder) {
			time.Sleep(200 * time.Second)
			a.now(func() { slow = 70 * time.Second })
			time.Sleep(300 * time.Second)
		})
		var at []int
		for _, look := range a.looks {
			at = append(at, int(look.Sub(begun).Seconds()))
		}
		if want := []int{0, 30, 60, 90, 120, 150, 152, 180, 210, 300, 390, 480}; !slices.Equal(at, want) {
			t.Errorf("looks at %d, want %d", at, want)
		}
		if !slices.Equal(a.events, []string{"listener_opened 5000"}) {
			t.Errorf("events: %q", a.events)
		}
	})
	s := openStore(t, dir)
	if n := len(numbers(t, s)); n != 10 { // the last one was interrupted
		t.Errorf("%d are stored", n)
	}
}

// What could not be told, as nobody listens any more, is told after a restart.
func TestRecorderEndsWhileTelling(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a, log := newActing(), &bytes.Buffer{}
		c := a.config(dir, log)
		run(t, c, func(*Recorder) { time.Sleep(10*time.Minute + time.Second) })
		a.ports = append(a.ports, 4444)
		c.Tell = func(context.Context, []Event) error { return errors.New("it is stopping") }
		run(t, c, func(*Recorder) { time.Sleep(time.Second) })
		run(t, a.config(dir, log), func(*Recorder) { time.Sleep(10*time.Minute + time.Second) })
		if !slices.Equal(a.events, []string{"listener_opened 4444"}) {
			t.Errorf("events: %q", a.events)
		}
	})
}

// A file that is removed is made anew, with what is usual in it.
func TestRecorderFileRemoved(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a, log := newActing(), &bytes.Buffer{}
		run(t, a.config(dir, log), func(r *Recorder) {
			time.Sleep(10*time.Minute + time.Second)
			for _, end := range []string{"", "-wal", "-shm"} {
				must(t, os.Remove(filepath.Join(dir, file)+end))
			}
			time.Sleep(time.Minute)
			if p := r.Problems(); len(p) != 0 {
				t.Errorf("problems: %q", p)
			}
		})
		a.ports = append(a.ports, 4444)
		run(t, a.config(dir, log), func(*Recorder) { time.Sleep(time.Minute - time.Second) })
		if !slices.Equal(a.events, []string{"listener_opened 4444"}) {
			t.Errorf("events: %q", a.events)
		}
	})
	s := openStore(t, dir)
	if all := numbers(t, s); len(all) != 4 {
		t.Errorf("stored: %d", all)
	}
}

// A look that does not end is told, while it lasts.
func TestRecorderHangs(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a, log := newActing(), &bytes.Buffer{}
		c := a.config(dir, log)
		hangs := make(chan struct{})
		c.Take = func(names DeviceNames) (*Snapshot, error) { <-hangs; return a.take(names) }
		run(t, c, func(r *Recorder) {
			time.Sleep(slowLook - time.Second)
			if p := r.Problems(); len(p) != 0 {
				t.Errorf("too early: %q", p)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if p := r.Problems(); len(p) != 1 || !strings.Contains(p[0], "does not end") || strings.Count(log.String(), "does not end") != 1 {
				t.Errorf("problems: %q, the log: %s", p, log)
			}
			close(hangs)
			time.Sleep(2 * time.Minute)
			if p := r.Problems(); len(p) != 0 || r.Latest() == nil {
				t.Errorf("afterwards: %q", p)
			}
		})
	})
}

// Whatever fails, the rest goes on, and nothing is said that is not so.
func TestRecorderFaults(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		a, log := newActing(), &bytes.Buffer{}
		run(t, a.config(dir, log), func(r *Recorder) {
			time.Sleep(10*time.Minute + time.Second)
			has := func(wants ...string) {
				t.Helper()
				got := r.Problems()
				if len(got) != len(wants) {
					t.Errorf("problems %q, want %q", got, wants)
				}
				for i := range min(len(got), len(wants)) {
					if !strings.Contains(got[i], wants[i]) {
						t.Errorf("problem %q, want %q", got[i], wants[i])
					}
				}
			}
			has()
			a.now(func() { a.fault = errors.New("no /proc") })
			time.Sleep(10 * time.Minute)
			has("this machine's connections cannot be seen: no /proc")
			a.now(func() { a.fault = nil })
			time.Sleep(time.Minute)
			has()

			// Another program holds the file.
			other := openStore(t, dir)
			tx, err := other.db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			a.now(func() { a.ports = append(a.ports, 4444) })
			time.Sleep(time.Minute)
			has("another program holds the file: close it")
			if err := errors.Join(tx.Rollback(), other.Close()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			has()
		})
		if !slices.Equal(a.events, []string{"listener_opened 4444"}) {
			t.Errorf("events: %q", a.events)
		}

		// The file is damaged: it is set aside, and all is learned anew.
		path := filepath.Join(dir, file)
		must(t, os.WriteFile(path, []byte(strings.Repeat("no database", 1000)), 0o600))
		must(t, errors.Join(os.RemoveAll(path+"-wal"), os.RemoveAll(path+"-shm")))
		a.ports = append(a.ports, 4445)
		run(t, a.config(dir, log), func(r *Recorder) {
			time.Sleep(time.Second)
			if p := strings.Join(r.Problems(), "; "); !strings.Contains(p, "it is set aside as "+path+".corrupt-") {
				t.Errorf("problems: %q", p)
			}
			time.Sleep(10 * time.Minute)
			if p := r.Problems(); len(p) != 0 {
				t.Errorf("problems: %q", p)
			}
			a.now(func() { a.ports = append(a.ports, 4446) })
			time.Sleep(time.Minute)
		})
		if !slices.Equal(a.events, []string{"listener_opened 4444", "listener_opened 4446"}) {
			t.Errorf("events: %q", a.events)
		}

		// There is nowhere to write at all: what is usual is learned for as long as
		// it runs.
		nowhere := filepath.Join(dir, "file")
		must(t, os.WriteFile(nowhere, nil, 0o600))
		run(t, a.config(nowhere, log), func(r *Recorder) {
			time.Sleep(10 * time.Minute)
			a.now(func() { a.ports = append(a.ports, 4447) })
			time.Sleep(time.Minute)
			if p := r.Problems(); len(p) != 1 || !strings.Contains(p[0], "are not stored") || r.Latest() == nil {
				t.Errorf("problems: %q", p)
			}
		})
		if a.events[len(a.events)-1] != "listener_opened 4447" {
			t.Errorf("events: %q", a.events)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 4 {
			t.Errorf("%d warnings for 4 troubles: %s", n, log)
		}
	})
}

// askedToFill makes this program a child that fills a small disk, which is
// mounted in a namespace of its own.
const askedToFill = "CONNECTIONS_TEST_FILL"

func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), askedToFill+"="+t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// fillTheDisk records to a disk that is full for a while.
func fillTheDisk(dir string) error {
	if err := unix.Mount("small", dir, "tmpfs", 0, "size=1m"); err != nil {
		return err
	}
	a, log := newActing(), &bytes.Buffer{}
	r := NewRecorder(a.config(dir, log))
	defer r.stored.Close()
	look := func(want string) error {
		r.look(context.Background(), true)
		if got := strings.Join(r.Problems(), "; "); want == "" && got != "" || !strings.Contains(got, want) {
			return fmt.Errorf("problems: %q, want %q", got, want)
		}
		return nil
	}
	if err := look(""); err != nil {
		return err
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("filling the disk: %w", err)
	}
	var err error
	for i := range 200 { // until what SQLite has reserved is used up
		a.ports = append(a.ports, uint16(1000+i))
		if err = look("the disk is full: free some space"); err == nil {
			break
		}
	}
	if err != nil || r.Latest().Connections == nil {
		return fmt.Errorf("full: %w", err)
	}
	if err := os.Remove(ballast); err != nil {
		return err
	}
	if err := look(""); err != nil || r.Latest().Number == 0 {
		return fmt.Errorf("with space again: number %d, %w", r.Latest().Number, err)
	}
	return nil
}
