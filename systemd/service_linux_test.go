package systemd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// told is a manager that remembers what it was told, and when.
type told struct {
	mu    sync.Mutex
	start time.Time
	lines []string
}

func (m *told) Notify(state ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lines = append(m.lines, time.Since(m.start).String()+" "+strings.Join(state, " "))
	return nil
}

func (m *told) Close() error { return nil }

// take returns what was told since the last time.
func (m *told) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	lines := m.lines
	m.lines = nil
	return lines
}

// loop is a main loop that answers what the test sets.
type loop struct {
	mu    sync.Mutex
	state State
	hangs bool
}

func (l *loop) set(s State, hangs bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state, l.hangs = s, hangs
}

func (l *loop) Ask(ctx context.Context) (State, error) {
	l.mu.Lock()
	state, hangs := l.state, l.hangs
	l.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return State{}, ctx.Err()
	}
	return state, nil
}

func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, l := &told{start: time.Now()}, &loop{}
		s, err := New(Config{Ask: l.Ask})
		if err != nil {
			t.Fatal(err)
		}
		s.manager, s.beat = m, 10*time.Second
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		expect := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff(want, m.take()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}

		time.Sleep(time.Second + 10*time.Millisecond)
		expect("not ready yet")
		l.set(State{Ready: true, Line: "1 of 2 home"}, false)
		time.Sleep(startBeat)
		expect("ready", "1.1s READY=1 STATUS=1 of 2 home")
		time.Sleep(20 * time.Second)
		expect("nothing new", "11.1s WATCHDOG=1", "21.1s WATCHDOG=1")
		l.set(State{Ready: true, Line: "2 of 2 home\nREADY=1"}, false)
		time.Sleep(10 * time.Second)
		expect("another line, which is one", "31.1s WATCHDOG=1 STATUS=2 of 2 home READY=1")
		l.set(State{}, true)
		time.Sleep(3 * time.Minute)
		expect("a loop that hangs")
		l.set(State{Ready: true, Line: "2 of 2 home"}, false)
		time.Sleep(20 * time.Second)
		if got := m.take(); len(got) == 0 || !strings.Contains(got[0], "WATCHDOG=1") {
			t.Errorf("a loop that turns again was told of by %q", got)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if got := m.take(); len(got) != 1 || !strings.HasSuffix(got[0], "STOPPING=1 STATUS=stopping") {
			t.Errorf("at the end it told %q", got)
		}
	})
}

func TestAnErrorIsNoLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &told{start: time.Now()}
		s := &Service{cfg: Config{
			Ask: func(context.Context) (State, error) {
				return State{Ready: true}, errors.New("too many commands are waiting")
			},
			Log: slog.New(slog.DiscardHandler),
		}, manager: m, beat: time.Second}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"1m0s STOPPING=1 STATUS=stopping"}, m.take()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// The socket is a real one here, as systemd makes it.
func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "60000000") // no beat comes between what is told here
	s, err := New(Config{Ask: func(context.Context) (State, error) { return State{true, "3 of 4 home"}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if s.beat != 20*time.Second {
		t.Errorf("the beat is %s, want a third of the watchdog's minute", s.beat)
	}
	next := func() string {
		t.Helper()
		b := make([]byte, 4096)
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	if diff := cmp.Diff("READY=1\nSTATUS=3 of 4 home", next()); diff != "" {
		t.Error(diff)
	}
	reloaded := false
	s.Reload(func() { reloaded = true })
	if got := next(); !regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*$`).MatchString(got) {
		t.Errorf("a reload began with %q", got)
	}
	if got := next(); got != "READY=1" || !reloaded {
		t.Errorf("a reload ended with %q, done: %v", got, reloaded)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff("STOPPING=1\nSTATUS=stopping", next()); diff != "" {
		t.Error(diff)
	}
}

func TestNobodyListens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	asked, reloaded := false, false
	s, err := New(Config{Ask: func(context.Context) (State, error) { asked = true; return State{}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); err != nil || asked {
		t.Errorf("Run returned %v, asked: %v", err, asked)
	}
	s.Reload(func() { reloaded = true })
	if !reloaded {
		t.Error("a reload was not done")
	}
}

func TestBeat(t *testing.T) {
	for _, tt := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"60000000", "", 20 * time.Second},
		{"9000000", "42", 3 * time.Second},
		{"9000000", "43", statusBeat}, // meant for another process
		{"600000000", "42", statusBeat},
		{"1", "42", startBeat},
		{"", "", statusBeat},
		{"0", "", statusBeat},
		{"-5", "", statusBeat},
		{"soon", "", statusBeat},
	} {
		if got := beat(tt.usec, tt.pid, 42); got != tt.want {
			t.Errorf("beat(%q, %q) = %s, want %s", tt.usec, tt.pid, got, tt.want)
		}
	}
}
