package connections

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// inNamespace runs f in a network namespace of its own, with lo up, on a thread
// that ends with it.
func inNamespace(t testing.TB, f func() error) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to make a network namespace")
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			var lo netlink.Link
			if lo, err = netlink.LinkByName("lo"); err == nil {
				err = netlink.LinkSetUp(lo)
			}
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// closers are closed in the end.
type closers []io.Closer

func newClosers(t testing.TB) *closers {
	c := &closers{}
	t.Cleanup(c.close)
	return c
}

func (c *closers) add(x io.Closer, err error) error {
	if err == nil {
		*c = append(*c, x)
	}
	return err
}

func (c *closers) close() {
	for _, x := range *c {
		_ = x.Close()
	}
}

// variety opens sockets of all kinds, and starts a program that has one.
func variety(t *testing.T) error {
	c := newClosers(t)
	var all []error
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", ":0", "0.0.0.0:0"} {
		l, err := net.Listen("tcp", addr)
		all = append(all, c.add(l, err))
		p, err := net.ListenPacket("udp", addr)
		all = append(all, c.add(p, err))
	}
	if err := errors.Join(all...); err != nil {
		return err
	}
	for _, to := range []closers{(*c)[:2], (*c)[2:4]} {
		l := to[0].(net.Listener)
		for _, network := range []string{"tcp", "udp"} {
			d, err := net.Dial(network, l.Addr().String())
			all = append(all, c.add(d, err))
		}
		in, err := l.Accept()
		all = append(all, c.add(in, err))
		// One that was closed at one end, and one at both.
		half, err := net.Dial("tcp", l.Addr().String())
		all = append(all, c.add(half, err))
		other, err := l.Accept()
		if all = append(all, c.add(other, err)); errors.Join(all...) != nil {
			return errors.Join(all...)
		}
		all = append(all, half.(*net.TCPConn).CloseWrite())
		gone, err := net.Dial("tcp", l.Addr().String())
		all = append(all, err)
		peer, err2 := l.Accept()
		if all = append(all, err2); errors.Join(all...) != nil {
			return errors.Join(all...)
		}
		_, _ = gone.Write(make([]byte, 1000))
		_, _ = io.ReadFull(peer, make([]byte, 1000))
		all = append(all, gone.Close())
		_, _ = peer.Read(make([]byte, 1))
		all = append(all, peer.Close())
	}
	return errors.Join(append(all, connected(t, c, (*c)[0].(net.Listener)), settled())...)
}

// served starts another program that has a connection to l, the only listener.
func served(t *testing.T) (l net.Listener, err error) {
	c := newClosers(t)
	l, err = net.Listen("tcp", "127.0.0.1:0")
	if err := c.add(l, err); err != nil {
		return nil, err
	}
	return l, connected(t, c, l)
}

// connected starts another program that has a connection to l.
func connected(t *testing.T, c *closers, l net.Listener) error {
	port := l.Addr().(*net.TCPAddr).Port
	cmd := exec.CommandContext(t.Context(), "bash", "-c", fmt.Sprintf("exec 5<>/dev/tcp/127.0.0.1/%d; echo; exec 1>&-; exec sleep 1000", port))
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	_, err = out.Read(make([]byte, 1)) // it is connected
	for err == nil {
		var name []byte
		if name, err = os.ReadFile(fmt.Sprintf("/proc/%d/comm", cmd.Process.Pid)); string(name) == "sleep\n" {
			break
		}
		runtime.Gosched()
	}
	in, err2 := l.Accept()
	return errors.Join(err, c.add(in, err2))
}

// settled waits until no connection is about to change by itself.
func settled() error {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		moving := false
		for _, table := range tables {
			all, err := table.once(ifaces{})
			if err != nil {
				return err
			}
			for i := range all {
				moving = moving || slices.Contains([]State{"FIN-WAIT-1", "LAST-ACK", "CLOSING"}, all[i].State)
			}
		}
		if !moving {
			return nil
		}
	}
	return errors.New("connections do not come to rest")
}

// ssStates are what ss(8) calls the states.
var ssStates = map[string]State{
	"ESTAB": Established, "LISTEN": Listen, "TIME-WAIT": TimeWait, "UNCONN": Unconnected, "SYN-SENT": "SYN-SENT", "SYN-RECV": "SYN-RECEIVED",
	"FIN-WAIT-1": "FIN-WAIT-1", "FIN-WAIT-2": "FIN-WAIT-2", "CLOSE-WAIT": "CLOSE-WAIT", "LAST-ACK": "LAST-ACK", "CLOSING": "CLOSING",
}

var ssPID = regexp.MustCompile(`pid=(\d+)`)

// ssLine is a socket as ss says it, with all its processes.
type ssLine struct {
	protocol      string
	state         State
	local, remote string
}

// asked is what ss says, in the calling thread's namespace: the sockets and
// their processes, and how many there are of each.
func asked(t *testing.T) (map[ssLine][]int, map[ssLine]int, error) {
	out, err := exec.CommandContext(t.Context(), "ss", "-H", "-n", "-tuap").Output()
	if err != nil {
		return nil, nil, err
	}
	pids, count := map[ssLine][]int{}, map[ssLine]int{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 6 {
			return nil, nil, fmt.Errorf("ss says %q", line)
		}
		s := ssLine{f[0], ssStates[f[1]], ssEnd(f[4]), ssEnd(f[5])}
		if s.protocol == UDP && s.state == Established {
			s.state = Connected
		}
		for _, m := range ssPID.FindAllStringSubmatch(line, -1) {
			pid, _ := strconv.Atoi(m[1])
			pids[s] = append(pids[s], pid)
		}
		count[s]++
	}
	return pids, count, nil
}

// ssEnd is an end as Connection has it. The star is IPv6's, of a socket that
// takes IPv4 too.
func ssEnd(s string) string {
	s = strings.Replace(s, "*:", "[::]:", 1)
	if strings.HasSuffix(s, ":*") {
		return ""
	}
	end, err := netip.ParseAddrPort(s)
	if err != nil {
		return s
	}
	return netip.AddrPortFrom(end.Addr().Unmap(), end.Port()).String()
}

func line(c *Connection) ssLine {
	l := ssLine{c.Protocol, c.State, c.Local.String(), ""}
	if c.Remote.IsValid() {
		l.remote = c.Remote.String()
	}
	return l
}

// Every socket is there with its state and process, as ss says.
func TestTakeAgainstSS(t *testing.T) {
	inNamespace(t, func() error {
		if err := variety(t); err != nil {
			return err
		}
		pids, want, err := asked(t)
		if err != nil {
			return err
		}
		before := time.Now()
		phone := netip.MustParseAddr("127.0.0.1")
		s, err := Take(DeviceNames{phone: "Anna's phone"})
		if err != nil {
			return err
		}
		got, states, child := map[ssLine]int{}, map[State]bool{}, 0
		for i := range s.Connections {
			c := &s.Connections[i]
			got[line(c)]++
			states[c.State] = true
			holders := pids[line(c)]
			if p := c.Process; (p != nil) != (len(holders) > 0) || p != nil && (!slices.Contains(holders, p.PID) || len(holders) != want[line(c)]*(1+c.Others)) {
				t.Errorf("%v: process %+v and %d more, ss has %v", line(c), p, c.Others, holders)
			}
			if (c.Device == "Anna's phone") != (c.Remote.Addr() == phone) {
				t.Errorf("%v: device %q", line(c), c.Device)
			}
			if c.Interface != "lo" && !c.Local.Addr().IsUnspecified() {
				t.Errorf("%v: interface %q", line(c), c.Interface)
			}
			p := c.Process
			if p == nil {
				continue
			}
			if p.User != "root" || c.User != "root" {
				t.Errorf("%v: users %q and %q", line(c), p.User, c.User)
			}
			if p.PID != os.Getpid() { // so it is the only other program
				child++
				if age := before.Sub(p.Started); p.Name != "sleep" || p.Command != "sleep 1000" || age < -time.Second || age > time.Minute {
					t.Errorf("the program: %+v", p)
				}
			}
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(ssLine{})); diff != "" {
			t.Error("against ss:", diff)
		}
		for _, state := range []State{Listen, Established, TimeWait, "CLOSE-WAIT", "FIN-WAIT-2", Connected, Unconnected} {
			if !states[state] {
				t.Errorf("there is none in %s", state)
			}
		}
		if child != 1 {
			t.Errorf("the other program has %d connections", child)
		}
		return nil
	})
}

// The counters are those of what was really sent, and a pid that is another's
// by now is not named.
func TestCounters(t *testing.T) {
	inNamespace(t, func() error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }()
		out, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return err
		}
		defer func() { _ = out.Close() }()
		in, err := l.Accept()
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
		if _, err := out.Write(make([]byte, 12345)); err != nil {
			return err
		}
		if _, err := io.ReadFull(in, make([]byte, 12345)); err != nil {
			return err
		}
		idle, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return err
		}
		defer func() { _ = idle.Close() }()
		// Who said no more than that.
		ended, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return err
		}
		defer func() { _ = ended.Close() }()
		if err := ended.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		s, err := Take(nil)
		if err != nil {
			return err
		}
		found := 0
		for _, c := range s.Connections {
			switch c.Local.String() {
			case out.LocalAddr().String():
				found++
				if c.Sent != 12345 || c.Received != 0 || c.RTT == 0 || c.RTT > 1e6 {
					t.Errorf("the sender: %+v", c.Counters)
				}
			case idle.LocalAddr().String(), ended.LocalAddr().String():
				found++
				if c.Sent != 0 || c.Received != 0 {
					t.Errorf("who said nothing: %+v", c.Counters)
				}
			case l.Addr().String():
				want := uint64(0)
				switch c.Remote.String() {
				case out.LocalAddr().String():
					want = 12345
				case ended.LocalAddr().String():
				default:
					continue
				}
				found++
				if c.Received != want || c.Sent != 0 {
					t.Errorf("the receiver, %s: %+v", c.State, c.Counters)
				}
			}
		}
		if found != 5 {
			t.Errorf("found %d of 5", found)
		}
		return nil
	})
}

// Who may not look into others' processes gets all the rest, and is told.
func TestNoPermission(t *testing.T) {
	inNamespace(t, func() error {
		l, err := served(t)
		if err != nil {
			return err
		}
		// Of this thread only, which ends with the test.
		if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			return errno
		}
		s, err := Take(nil)
		if err != nil {
			return err
		}
		if len(s.Connections) != 3 {
			t.Errorf("%d connections", len(s.Connections))
		}
		for _, x := range s.Connections {
			own := x.Local.String() == l.Addr().String()
			if x.User != "root" || own != (x.Process != nil) || own && x.Process.PID != os.Getpid() {
				t.Errorf("%+v", x)
			}
		}
		if !strings.Contains(strings.Join(s.Missing, "\n"), "connections that are shown without their process: 1. There is no permission to look into") {
			t.Errorf("missing: %q", s.Missing)
		}
		return nil
	})
}

// Without sock_diag(7) the tables of /proc/net tell the same, but for counters.
func TestPlainTables(t *testing.T) {
	inNamespace(t, func() error {
		if err := variety(t); err != nil {
			return err
		}
		lines := map[ssLine]int{}
		for _, table := range tables {
			asked, err1 := table.once(ifaces{})
			read, err2 := table.read("/proc")
			if err := errors.Join(err1, err2); err != nil {
				return err
			}
			if len(asked) == 0 || len(asked) != len(read) {
				t.Errorf("%s: %d by sock_diag, %d in the table", table.file, len(asked), len(read))
			}
			for i := range asked {
				lines[line(&asked[i])]++
			}
			for i := range read {
				lines[line(&read[i])]--
			}
		}
		for l, n := range lines {
			if n != 0 {
				t.Errorf("%v: %d more by sock_diag", l, n)
			}
		}
		return nil
	})
}

// A made-up /proc: who holds what, and a process that ends while it is looked at.
func TestOwners(t *testing.T) {
	proc := t.TempDir()
	process := func(pid int, name string, ticks int, links ...string) {
		dir := filepath.Join(proc, strconv.Itoa(pid))
		must(t, os.MkdirAll(filepath.Join(dir, "fd"), 0o755))
		if name != "" {
			must(t, os.WriteFile(filepath.Join(dir, "stat"), fmt.Appendf(nil, "%d (%s) S%s %d", pid, name, strings.Repeat(" 1", 18), ticks), 0o644))
		}
		must(t, os.WriteFile(filepath.Join(dir, "cmdline"), []byte("/bin/"+name+"\x00-x\x1b[2J\x00"), 0o644))
		must(t, os.WriteFile(filepath.Join(dir, "status"), []byte("Uid:\t4711\t4711\t4711\t4711\n"), 0o644))
		for i, link := range links {
			must(t, os.Symlink(link, filepath.Join(dir, "fd", strconv.Itoa(i))))
		}
	}
	process(1, "init", 0, "socket:[5]", "socket:[6]")
	process(20, "web", 300, "socket:[5]", "/dev/null", "pipe:[7]", "socket:[999]")
	process(10, "worker", 400, "socket:[5]", "socket:[5]")
	process(30, "", 0, "socket:[8]") // its stat is gone
	process(40, "idle", 500, "/dev/null")
	must(t, os.Mkdir(filepath.Join(proc, "sys"), 0o755))
	w, err := findOwners(proc, []Connection{{Inode: 5}, {Inode: 6}, {Inode: 7}, {Inode: 8}, {Inode: 0}}, map[uint32]string{})
	if err != nil {
		t.Fatal(err)
	}
	web := &Process{PID: 20, Ticks: 300, Name: "web", Command: "/bin/web -x [2J", UID: 4711, User: "4711"}
	if diff := cmp.Diff(web, w.owners[5].process); diff != "" || w.owners[5].others != 2 {
		t.Errorf("%d others, %s", w.owners[5].others, diff)
	}
	if p := w.owners[6].process; p == nil || p.PID != 1 || w.owners[6].others != 0 {
		t.Errorf("%+v", w.owners[6])
	}
	if len(w.owners) != 2 {
		t.Errorf("%d sockets have owners", len(w.owners))
	}
	if all := w.missing(2); len(all) != 0 {
		t.Errorf("missing: %q", all)
	}
	must(t, os.RemoveAll(filepath.Join(proc, "1")))
	must(t, os.MkdirAll(filepath.Join(proc, "self", "ns"), 0o755))
	must(t, os.Symlink("pid:[4026532999]", filepath.Join(proc, "self", "ns", "pid")))
	w.denied, w.outside = 3, 2
	said := strings.Join(w.missing(1), "\n")
	for _, want := range []string{"no permission to look into 3 of the processes", "hidden from this user", "--pid=host", "2 processes are in other networks"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said in %s", want, said)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// askedToHold makes this program a child that has so many connections until its
// input ends.
const askedToHold = "CONNECTIONS_TEST_HOLD"

func hold(pairs string) error {
	n, err := strconv.Atoi(pairs)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var c closers
	for range n {
		out, err1 := net.Dial("tcp", l.Addr().String())
		in, err2 := l.Accept()
		if err := errors.Join(c.add(out, err1), c.add(in, err2)); err != nil {
			return err
		}
	}
	fmt.Println("they are there")
	_, err = io.Copy(io.Discard, os.Stdin)
	c.close()
	return err
}

// askedToLoseThread makes this program a child whose first thread ends.
const askedToLoseThread = "CONNECTIONS_TEST_LOSE_THREAD"

// leaderless makes this program one that listens, and whose first thread has ended.
func leaderless(string) error {
	told := make(chan error)
	go func() {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		told <- err
		fmt.Println("it is there")
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = l.Close()
		os.Exit(0)
	}()
	if err := <-told; err != nil {
		return err
	}
	_, _, err := syscall.Syscall(syscall.SYS_EXIT, 0, 0, 0) // of a thread: exit(2), C library differences
	return err
}

func TestFirstThreadEnded(t *testing.T) {
	inNamespace(t, func() error {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), askedToLoseThread+"=1")
		in, err1 := cmd.StdinPipe()
		out, err2 := cmd.StdoutPipe()
		if err := errors.Join(err1, err2, cmd.Start()); err != nil {
			return err
		}
		defer func() { _ = cmd.Wait() }()
		defer func() { _ = in.Close() }()
		if _, err := out.Read(make([]byte, 1)); err != nil {
			return err
		}
		stat := fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid)
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			b, err := os.ReadFile(stat)
			if err != nil || time.Now().After(deadline) {
				return fmt.Errorf("the first thread does not end: %s %w", b, err)
			}
			if strings.Contains(string(b), ") Z ") {
				break
			}
		}
		s, err := Take(nil)
		if err != nil {
			return err
		}
		if len(s.Connections) != 1 || s.Connections[0].Process == nil {
			return fmt.Errorf("%+v: want one listener, with its process", s.Connections)
		}
		if p := s.Connections[0].Process; p.PID != cmd.Process.Pid || p.Command != os.Args[0] || p.Ticks == 0 || p.User != "root" {
			return fmt.Errorf("%+v: want process %d, %s of root", p, cmd.Process.Pid, os.Args[0])
		}
		return nil
	})
}

// holder starts one.
func holder(t testing.TB, pairs int) (c io.Closer, err error) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), askedToHold+"="+strconv.Itoa(pairs))
	cmd.Stderr = t.Output()
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	_, err = out.Read(make([]byte, 1))
	return in, err
}

// takeMany has another process look at so many connections, of processes that
// have 10,000 each, and nothing else to do: how long it takes, and how many bytes
// it has at most.
func takeMany(t testing.TB, n int) (took time.Duration, rss int64) {
	t.Helper()
	const each = 10_000
	inNamespace(t, func() error {
		c := newClosers(t)
		for range n / each {
			h, err := holder(t, each/2)
			if err := c.add(h, err); err != nil {
				return err
			}
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), askedToTake+"=1")
		began := time.Now()
		out, err := cmd.Output()
		took = time.Since(began)
		if err != nil {
			return err
		}
		seen := 0
		if _, err := fmt.Sscan(string(out), &seen, &rss); err != nil {
			return fmt.Errorf("the child says %q: %w", out, err)
		}
		rss *= 1024
		if want := n + n/each; seen != want { // and their listeners
			t.Errorf("%d of %d are there", seen, want)
		}
		t.Logf("%d connections in %s with the start of the process, %.0f MB at most", seen, took.Round(time.Millisecond), float64(rss)/1e6)
		return nil
	})
	return took, rss
}

// 10,000 connections take less than a second and 100 MB.
func TestTenThousand(t *testing.T) {
	took, rss := takeMany(t, 10_000)
	// The race detector takes several times both.
	if !raced && (took > time.Second || rss > 100e6) {
		t.Errorf("it took %s and %d bytes", took, rss)
	}
}

// BenchmarkHundredThousand: a look at ten times that.
func BenchmarkHundredThousand(b *testing.B) {
	for b.Loop() {
		took, rss := takeMany(b, 100_000)
		b.ReportMetric(took.Seconds(), "s/look")
		b.ReportMetric(float64(rss)/1e6, "MB")
	}
}
