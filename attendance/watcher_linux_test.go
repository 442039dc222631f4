package attendance

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const busConfig = `<busconfig><type>system</type><listen>unix:path=%s</listen>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>`

// system is a system bus of its own, that can be stopped and started again.
type system struct {
	t       *testing.T
	address string
	config  string
	stop    func()
}

func startSystem(t *testing.T) *system {
	t.Helper()
	dir := t.TempDir()
	s := &system{t: t, address: "unix:path=" + filepath.Join(dir, "bus"), config: filepath.Join(dir, "bus.conf")}
	if err := os.WriteFile(s.config, fmt.Appendf(nil, busConfig, filepath.Join(dir, "bus")), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(func() { s.stop() })
	return s
}

func (s *system) start() {
	s.t.Helper()
	cmd := exec.Command("dbus-daemon", "--nofork", "--nopidfile", "--config-file="+s.config)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("%v: install it with scripts/deps", err)
	}
	s.stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// logind plays org.freedesktop.login1.
type logind struct {
	t   *testing.T
	bus *dbus.Conn

	mu       sync.Mutex
	order    []listed
	sessions map[dbus.ObjectPath]map[string]dbus.Variant
}

// startLogind puts logind on the bus, without sessions.
func (s *system) startLogind() *logind {
	s.t.Helper()
	l := &logind{t: s.t, sessions: map[dbus.ObjectPath]map[string]dbus.Variant{}}
	eventually(s.t, "the bus", func() (ok bool) {
		var err error
		l.bus, err = dbus.Connect(s.address)
		return err == nil
	})
	s.t.Cleanup(func() { _ = l.bus.Close() })
	if err := l.bus.Export(l, loginPath, login+".Manager"); err != nil {
		s.t.Fatal(err)
	}
	if err := l.bus.ExportSubtree(sessionProperties{l}, loginPath+"/session", properties); err != nil {
		s.t.Fatal(err)
	}
	if reply, err := l.bus.RequestName(login, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		s.t.Fatalf("taking the name of logind: %v, %v", reply, err)
	}
	return l
}

// ListSessions is the method of the manager.
func (l *logind) ListSessions() ([]listed, *dbus.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]listed{}, l.order...), nil
}

type sessionProperties struct{ *logind }

// GetAll is the method of a session's properties.
func (l sessionProperties) GetAll(m dbus.Message, of string) (map[string]dbus.Variant, *dbus.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	path, _ := m.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	p := l.sessions[path]
	if p == nil || of != login+".Session" {
		return nil, dbus.NewError("org.freedesktop.DBus.Error.UnknownObject", []any{"there is no " + string(path)})
	}
	all := map[string]dbus.Variant{}
	for k, v := range p {
		all[k] = v
	}
	return all, nil
}

func sessionPath(id string) dbus.ObjectPath { return dbus.ObjectPath(loginPath + "/session/" + id) }

func (l *logind) emit(path dbus.ObjectPath, name string, values ...any) {
	l.t.Helper()
	if err := l.bus.Emit(path, name, values...); err != nil {
		l.t.Fatal(err)
	}
}

// leave lets go of logind's name on the bus.
func (l *logind) leave() {
	l.t.Helper()
	if _, err := l.bus.ReleaseName(login); err != nil {
		l.t.Fatal(err)
	}
}

// comeBack takes it again.
func (l *logind) comeBack() {
	l.t.Helper()
	if _, err := l.bus.RequestName(login, 0); err != nil {
		l.t.Fatal(err)
	}
}

// begin begins a session: someone logs in.
func (l *logind) begin(id, seat string, p map[string]any) {
	l.t.Helper()
	all := map[string]dbus.Variant{
		"Class": dbus.MakeVariant("user"), "Active": dbus.MakeVariant(true), "State": dbus.MakeVariant("active"),
		"Remote": dbus.MakeVariant(seat == ""), "LockedHint": dbus.MakeVariant(false), "Id": dbus.MakeVariant(id),
	}
	for k, v := range p {
		all[k] = dbus.MakeVariant(v)
	}
	l.mu.Lock()
	l.order = append(l.order, listed{id, 1000, "me", seat, sessionPath(id)})
	l.sessions[sessionPath(id)] = all
	l.mu.Unlock()
	l.emit(loginPath, login+".Manager.SessionNew", id, sessionPath(id))
}

// end ends a session. For a moment it may still be listed.
func (l *logind) end(id string) {
	l.t.Helper()
	l.mu.Lock()
	delete(l.sessions, sessionPath(id))
	l.mu.Unlock()
	l.emit(loginPath, login+".Manager.SessionRemoved", id, sessionPath(id))
}

// set changes a property of a session.
func (l *logind) set(id, name string, value any) {
	l.t.Helper()
	l.mu.Lock()
	l.sessions[sessionPath(id)][name] = dbus.MakeVariant(value)
	l.mu.Unlock()
	l.emit(sessionPath(id), properties+".PropertiesChanged", login+".Session", map[string]dbus.Variant{name: dbus.MakeVariant(value)}, []string{})
}

// eventually waits for what other processes do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

// watched is a Watcher that runs until the test ends.
type watched struct {
	*Watcher
	t *testing.T
}

func startWatcher(t *testing.T, bus string) *watched {
	t.Helper()
	return start(t, New(bus, nil))
}

func start(t *testing.T, watcher *Watcher) *watched {
	t.Helper()
	w := &watched{watcher, t}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if there, _ := w.Attended(); there || w.Problem() == "" {
			t.Error("someone is there after the end, or it is known that nobody is")
		}
	})
	return w
}

// want waits until it is known that someone is there, or that nobody is.
func (w *watched) want(there bool, after string) {
	w.t.Helper()
	for deadline := time.After(30 * time.Second); ; {
		got, changed := w.Attended()
		if got == there && w.Problem() == "" {
			return
		}
		select {
		case <-changed:
		case <-time.After(5 * time.Millisecond): // only the problem has changed
		case <-deadline:
			w.t.Fatalf("after %s: someone is there: %t, want %t; problem %q", after, got, there, w.Problem())
		}
	}
}

func TestWatcher(t *testing.T) {
	s := startSystem(t)
	l := s.startLogind()
	w := startWatcher(t, s.address)
	w.want(false, "the start")
	l.begin("1", "seat0", nil)
	w.want(true, "a log-in")
	l.set("1", "LockedHint", true)
	w.want(false, "the lock")
	l.set("1", "LockedHint", false)
	w.want(true, "the unlock")

	l.begin("2", "seat0", map[string]any{"Active": false})
	l.set("1", "Active", false) // switched to the other one
	w.want(false, "a switch away")
	l.set("2", "Active", true)
	w.want(true, "a switch to the other session")
	l.set("2", "LockedHint", true)
	w.want(false, "the lock of the other session")
	l.set("1", "Active", true)
	l.set("2", "Active", false)
	w.want(true, "a switch back")
	l.end("1")
	w.want(false, "the log-out")
}

// Those who are not at the machine: by the network, log-in screens, services.
func TestWatcherOthers(t *testing.T) {
	s := startSystem(t)
	l := s.startLogind()
	w := startWatcher(t, s.address)
	l.begin("ssh", "", nil)
	l.begin("vnc", "seat0", map[string]any{"Remote": true})
	l.begin("greeter", "seat0", map[string]any{"Class": "greeter"})
	l.begin("cron", "", map[string]any{"Class": "background", "Remote": false})
	l.begin("tmux", "seat0", map[string]any{"State": "closing"})
	l.begin("odd", "seat0", map[string]any{"Class": 7, "Active": "yes"})
	w.want(false, "the log-ins of others")
	l.begin("me", "seat0", nil) // is told after all of them
	w.want(true, "a log-in")
	l.end("me")
	w.want(false, "the log-out")
}

// Who logs out and leaves programs running: no signal tells it.
func TestWatcherUnsaid(t *testing.T) {
	s := startSystem(t)
	l := s.startLogind()
	watcher := New(s.address, nil)
	watcher.unsaid = 20 * time.Millisecond
	w := start(t, watcher)
	l.begin("1", "seat0", nil)
	w.want(true, "a log-in")
	l.mu.Lock()
	l.sessions[sessionPath("1")]["State"] = dbus.MakeVariant("closing")
	l.mu.Unlock()
	w.want(false, "the log-out")
}

// Without the bus, or without logind on it, nobody is there, and that is told.
func TestWatcherReconnects(t *testing.T) {
	s := startSystem(t)
	first := s.startLogind()
	first.begin("1", "seat0", nil)
	w := startWatcher(t, s.address)
	w.want(true, "the start")
	lost := func(why string) {
		t.Helper()
		eventually(t, why, func() bool {
			there, _ := w.Attended()
			return !there && strings.Contains(w.Problem(), why)
		})
	}
	first.leave()
	lost(login)
	first.comeBack()
	w.want(true, "logind has come back")
	s.stop()
	lost("the system bus has ended")
	lost("connecting to the system bus")
	s.start()
	s.startLogind().begin("3", "seat0", nil)
	w.want(true, "the bus has come back")
}

// logind that begins anew is asked soon, however long it was not there before.
func TestWatcherSoon(t *testing.T) {
	s := startSystem(t)
	l := s.startLogind()
	l.begin("1", "seat0", nil)
	w := startWatcher(t, s.address)
	w.want(true, "the start")
	for range 3 {
		l.leave()
		eventually(t, "logind has gone", func() bool { there, _ := w.Attended(); return !there })
		gone := time.Now()
		l.comeBack()
		w.want(true, "logind has come back")
		if took := time.Since(gone); took > 3*time.Second {
			t.Errorf("it was asked after %s", took)
		}
	}
}

func TestWatcherWithoutBus(t *testing.T) {
	w := startWatcher(t, "unix:path=/nonexistent/bus")
	eventually(t, "a problem", func() bool { return strings.Contains(w.Problem(), "/nonexistent/bus") })
	if there, _ := w.Attended(); there {
		t.Error("someone is there")
	}
}

// A bus that does not know the user hangs up.
func TestWatcherRefused(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var server sync.WaitGroup
	defer server.Wait()
	defer l.Close()
	server.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	})
	w := startWatcher(t, "unix:path="+socket)
	eventually(t, "the remedy", func() bool { return strings.Contains(w.Problem(), "useradd --system porchlight") })
}

func TestPresent(t *testing.T) {
	v := dbus.MakeVariant
	for name, c := range map[string]struct {
		p    map[string]dbus.Variant
		want bool
	}{
		"there":                 {map[string]dbus.Variant{"Class": v("user"), "Active": v(true), "Remote": v(false), "LockedHint": v(false)}, true},
		"an old logind":         {map[string]dbus.Variant{"Class": v("user"), "Active": v(true), "Remote": v(false)}, true},
		"root, of late":         {map[string]dbus.Variant{"Class": v("user-early"), "Active": v(true)}, true},
		"not unlocked yet":      {map[string]dbus.Variant{"Class": v("user-incomplete"), "Active": v(true)}, false},
		"in the background":     {map[string]dbus.Variant{"Class": v("user"), "Active": v(false)}, false},
		"nothing is said of it": {nil, false},
	} {
		if diff := cmp.Diff(c.want, present(c.p)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
