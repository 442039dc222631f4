package connections

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// machine is one that a Watcher looks at.
type machine struct {
	t    *testing.T
	w    *Watcher
	now  Snapshot
	ends map[string]Connection // what there is, by what the test calls it
	pid  int
}

// someMachine has sshd and a web server, was started long ago, and is learned.
func someMachine(t *testing.T) *machine {
	t.Helper()
	w, err := NewWatcher(nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{t: t, w: w, now: Snapshot{Time: began, Boot: "one", Uptime: 50 * time.Hour}, ends: map[string]Connection{}, pid: 100}
	m.tcp("ssh", "sshd", "0.0.0.0:22")
	m.tcp("web", "nginx", "[::]:443")
	m.learn()
	return m
}

// learn looks until nothing is learned any more.
func (m *machine) learn() {
	m.t.Helper()
	for range 25 {
		m.expect("")
	}
}

func (m *machine) socket(name, program string, c Connection) *machine {
	m.pid++
	c.Inode, c.User = uint64(1000+m.pid), "anna"
	if program != "" {
		c.Process = &Process{PID: m.pid, Name: program, User: "anna"}
	}
	m.ends[name] = c
	return m
}

func (m *machine) tcp(name, program, local string) *machine {
	l := netip.MustParseAddrPort(local)
	return m.socket(name, program, Connection{Protocol: TCP, State: Listen, Local: l, Given: l.Port() >= firstGiven})
}

func (m *machine) udp(name, program, local string) *machine {
	l := netip.MustParseAddrPort(local)
	return m.socket(name, program, Connection{Protocol: UDP, State: Unconnected, Local: l, Given: l.Port() >= firstGiven})
}

func (m *machine) to(name, program, remote string) *machine {
	return m.socket(name, program, Connection{Protocol: TCP, State: Established, Local: netip.MustParseAddrPort("192.168.1.2:40000"), Remote: netip.MustParseAddrPort(remote)})
}

func (m *machine) close(names ...string) *machine {
	for _, name := range names {
		delete(m.ends, name)
	}
	return m
}

// look looks after a while.
func (m *machine) look(after time.Duration) ([]Event, bool) {
	m.now.Time, m.now.Uptime = m.now.Time.Add(after), m.now.Uptime+after
	s := m.now
	for _, c := range m.ends {
		if s.Partial {
			c.Process = nil
		}
		s.Connections = append(s.Connections, c)
	}
	s.settle()
	return m.w.Look(&s)
}

// expect looks after 30 seconds: each line is an event's type, program and port.
func (m *machine) expect(lines ...string) *machine {
	m.t.Helper()
	events, _ := m.look(30 * time.Second)
	m.told(events, lines)
	return m
}

func (m *machine) told(events []Event, lines []string) {
	m.t.Helper()
	var got, want []string
	for _, e := range events {
		if len(e.Why) > 240 || e.Why == "" || !e.Time.Equal(m.now.Time) {
			m.t.Errorf("%+v", e)
		}
		port := e.Connection.Local.Port()
		if e.Type == NewProgramOnline {
			port = e.Connection.Remote.Port()
		}
		got = append(got, fmt.Sprintf("%s %s %s %d", e.Type, e.Connection.Program(), e.Connection.Protocol, port))
	}
	for _, line := range lines {
		if line != "" {
			want = append(want, line)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		m.t.Errorf("after %s: %s", m.now.Time.Sub(began), diff)
	}
}

// restart is of Porchlight, which goes on with what is stored.
func (m *machine) restart() *machine {
	m.t.Helper()
	b := m.w.Baseline()
	if b == nil {
		m.w.changed = true
		b = m.w.Baseline()
	}
	w, err := NewWatcher(b)
	if err != nil {
		m.t.Fatal(err)
	}
	m.w = w
	return m
}

func (m *machine) reboot() *machine {
	m.now.Boot, m.now.Uptime = m.now.Boot+"+", allUptime-2*time.Minute
	for name, c := range m.ends {
		c.Inode += 5000
		m.ends[name] = c
	}
	return m.restart()
}

func TestNothingIsToldWhileLearning(t *testing.T) {
	w, _ := NewWatcher(nil)
	m := &machine{t: t, w: w, now: Snapshot{Time: began, Boot: "one", Uptime: 50 * time.Hour}, ends: map[string]Connection{}}
	m.tcp("ssh", "sshd", "0.0.0.0:22").to("a", "chronyd", "192.0.2.1:123").expect()
	m.tcp("web", "nginx", "[::]:443").udp("dns", "dnsmasq", "0.0.0.0:53").expect()
	m.tcp("late", "slow", "0.0.0.0:9000").udp("late too", "slow", "0.0.0.0:9000").close("web").expect()
	m.expect().expect().expect().expect()
	m.to("b", "apt", "192.0.2.2:80").expect() // programs are learned for longer
	m.tcp("new", "nc", "0.0.0.0:4444").expect("listener_opened nc tcp 4444")
	m.learn()
	m.to("c", "curl", "192.0.2.2:80").expect("new_program_online curl tcp 80")
	m.close("a", "b", "c").learn()
	m.to("c", "curl", "192.0.2.9:80").to("a", "apt", "192.0.2.2:80").to("d", "nc", "192.0.2.2:80").expect() // known all of them
}

func TestListeners(t *testing.T) {
	for name, play := range map[string]func(m *machine){
		"opened is told at the next look, closed when it is for good": func(m *machine) {
			m.tcp("x", "nc", "0.0.0.0:4444").expect("listener_opened nc tcp 4444").expect()
			m.close("x").expect().expect("listener_closed nc tcp 4444").expect()
			m.tcp("x", "nc", "0.0.0.0:4444").expect("listener_opened nc tcp 4444")
		},
		"started again": func(m *machine) {
			m.close("web").expect()
			m.tcp("web", "nginx", "[::]:443").expect().expect().expect().expect()
		},
		"several sockets at a port": func(m *machine) {
			m.tcp("x1", "quic", "0.0.0.0:4433").tcp("x2", "quic", "0.0.0.0:4433").tcp("x3", "quic", "[::]:4433").expect("listener_opened quic tcp 4433")
			m.close("x1").tcp("x4", "quic", "0.0.0.0:4433").expect().expect().expect().expect()
			m.close("x2", "x3", "x4").expect().expect("listener_closed quic tcp 4433")
		},
		"another program at the port": func(m *machine) {
			m.close("web").tcp("web2", "other", "[::]:443").expect("listener_opened other tcp 443")
			m.expect("listener_closed nginx tcp 443")
		},
		"from this machine only to all": func(m *machine) {
			m.tcp("db", "postgres", "127.0.0.1:5432").expect("listener_opened postgres tcp 5432").expect()
			m.close("db").tcp("db", "postgres", "0.0.0.0:5432").expect("listener_opened postgres tcp 5432").expect()
			m.close("db").tcp("db", "postgres", "127.0.0.1:5432").expect().expect().expect().expect()
		},
		"a port that was given, another one after a restart": func(m *machine) {
			m.tcp("rpc", "rpc.statd", "0.0.0.0:40123").expect("listener_opened rpc.statd tcp 40123").learn()
			m.close("rpc").expect()
			m.tcp("rpc", "rpc.statd", "0.0.0.0:51234").expect().expect().expect().expect()
			m.tcp("rpc2", "rpc.statd", "0.0.0.0:51235").expect("listener_opened rpc.statd tcp 51235")
			m.close("rpc", "rpc2").expect().expect("listener_closed rpc.statd tcp 51234", "listener_closed rpc.statd tcp 51235")
		},
		"ports from that range that somebody tries": func(m *machine) {
			m.tcp("x", "nc", "0.0.0.0:40123").expect("listener_opened nc tcp 40123").expect()
			m.close("x").tcp("y", "nc", "0.0.0.0:40124").expect("listener_opened nc tcp 40124").expect("listener_closed nc tcp 40123")
		},
		"the same socket under another name": func(m *machine) {
			m.tcp("x", "sh", "0.0.0.0:4444").expect("listener_opened sh tcp 4444")
			c := m.ends["x"]
			c.Process = &Process{PID: c.Process.PID, Name: "server", User: "anna"}
			m.ends["x"] = c
			m.expect().expect().expect()
			m.close("x").expect().expect("listener_closed server tcp 4444")
		},
		"process 1 hands its socket on": func(m *machine) {
			m.tcp("x", "systemd", "0.0.0.0:631")
			m.ends["x"].Process.PID = 1
			m.expect("listener_opened systemd tcp 631")
			c := m.ends["x"]
			c.Process = &Process{PID: 3000, Name: "cupsd", User: "root"}
			m.ends["x"] = c
			m.expect().expect()
			c.Process = &Process{PID: 1, Name: "systemd", User: "root"}
			m.ends["x"] = c
			m.expect().expect().expect().expect()
		},
		"UDP": func(m *machine) {
			m.udp("ntp", "ntpd", "0.0.0.0:123").expect("listener_opened ntpd udp 123")
			m.udp("game", "game", "0.0.0.0:27015").expect()
			m.expect("listener_opened game udp 27015").expect()
			m.close("game").expect().expect("listener_closed game udp 27015")
		},
		"clients of UDP": func(m *machine) {
			for i := range 50 { // one asks from a port that it chose, for a moment
				m.udp("ask", "dnsmasq", fmt.Sprintf("0.0.0.0:%d", 2000+i))
				for j := range 20 { // another one from those that it was given
					m.udp(fmt.Sprint("browser", j), "browser", fmt.Sprintf("0.0.0.0:%d", 40000+20*i+j))
				}
				m.expect([]string{"new_program_online browser udp 0", "new_program_online dnsmasq udp 0", ""}[min(i, 2)])
			}
		},
		"questions that nobody answers": func(m *machine) {
			m.udp("ask", "pihole-FTL", "0.0.0.0:2000").expect()
			m.close("ask").expect("new_program_online pihole-FTL udp 0")
			for i := range 10 { // for 40 s each
				m.udp("ask", "pihole-FTL", fmt.Sprintf("0.0.0.0:%d", 3000+i)).expect()
				events, _ := m.look(2 * time.Second)
				m.told(events, nil)
			}
			m.close("ask").udp("server", "pihole-FTL", "0.0.0.0:4711").expect().expect().expect().expect()
			m.expect("listener_opened pihole-FTL udp 4711").expect()
		},
		"an address that comes and goes": func(m *machine) {
			m.tcp("dns4", "named", "127.0.0.1:53").tcp("dns", "named", "192.168.1.2:53").expect("listener_opened named tcp 53")
			for range 5 {
				m.close("dns").expect().expect().expect()
				m.restart().expect().tcp("dns", "named", "10.0.0.7:53").expect()
			}
			m.close("dns").expect()
			m.look(25 * time.Hour)
			m.tcp("dns", "named", "10.0.0.7:53").expect("listener_opened named tcp 53").expect()
		},
		"closed during a look": func(m *machine) {
			for i := range 5 {
				if _, again := m.tcp("passive", "", fmt.Sprintf("0.0.0.0:%d", 40000+i)).look(30 * time.Second); !again {
					m.t.Error("no other look is asked for")
				}
				m.close("passive").expect()
			}
			m.tcp("nfs", "", "0.0.0.0:2049").expect().expect("listener_opened  tcp 2049").expect()
		},
		"a look that is asked for": func(m *machine) {
			if _, again := m.udp("vpn", "vpn", "0.0.0.0:1194").look(30 * time.Second); !again {
				m.t.Error("no other look is asked for")
			}
			events, again := m.look(2 * time.Second)
			m.told(events, []string{"listener_opened vpn udp 1194"})
			if again {
				m.t.Error("another look is asked for")
			}
		},
	} {
		t.Run(name, func(t *testing.T) { play(someMachine(t)) })
	}
}

func TestPrograms(t *testing.T) {
	m := someMachine(t)
	m.to("self", "psql", "127.0.0.1:5432").to("self too", "psql", "192.168.1.2:5432").expect()
	m.udp("local", "psql", "127.0.0.1:40000").expect()
	m.to("out", "psql", "192.0.2.1:5432").expect("new_program_online psql tcp 5432").expect()
	m.to("in", "sshd", "192.168.1.50:50000").expect() // it listens, and is usual
	m.tcp("x", "nc", "0.0.0.0:4444").expect("listener_opened nc tcp 4444")
	called := Connection{Protocol: TCP, State: Established, Local: netip.MustParseAddrPort("192.168.1.2:4444"), Remote: netip.MustParseAddrPort("192.168.1.50:50001")}
	m.socket("called", "nc", called).expect()
	m.restart().expect()
	m.to("calls", "nc", "192.0.2.1:80").expect("new_program_online nc tcp 80").expect()
	m.to("both", "trojan", "192.0.2.1:80").tcp("y", "trojan", "0.0.0.0:4445").expect("listener_opened trojan tcp 4445", "new_program_online trojan tcp 80").expect()
	// A UDP port that a program chose is known as a listener's at the second look,
	// or as a client's when it is closed by then.
	m.udp("z", "gamed", "0.0.0.0:5000").expect().expect("listener_opened gamed udp 5000").expect()
	m.udp("q", "asks", "0.0.0.0:5001").expect().close("q").expect("new_program_online asks udp 0").expect()
	// Who is still called has not begun to call when the port is closed.
	m.tcp("once", "ncat", "0.0.0.0:4447").expect("listener_opened ncat tcp 4447")
	caller := Connection{Protocol: TCP, State: Established, Local: netip.MustParseAddrPort("192.168.1.2:4447"), Remote: netip.MustParseAddrPort("192.168.1.50:50002")}
	m.close("once").socket("caller", "ncat", caller).expect().expect("listener_closed ncat tcp 4447").expect().expect()
	m.to("ncat calls", "ncat", "192.0.2.1:80").expect("new_program_online ncat tcp 80").close("caller", "ncat calls").expect()
	m.udp("given", "dig", "0.0.0.0:40001").expect("new_program_online dig udp 0").expect()
	// Process 1 has its socket alone while the service is started again.
	ssh := m.ends["ssh"]
	service := ssh.Process
	ssh.Process = &Process{PID: 1, Name: "systemd", User: "root"}
	m.ends["ssh"] = ssh
	m.expect()
	ssh.Process = service
	m.ends["ssh"] = ssh
	m.expect()
}

// Who looks often has learned programs sooner, but has not missed a program that
// is being started again sooner.
func TestFrequentLooks(t *testing.T) {
	w, _ := NewWatcher(nil)
	m := &machine{t: t, w: w, now: Snapshot{Time: began, Boot: "one", Uptime: 50 * time.Hour}, ends: map[string]Connection{}}
	each := func(looks int, lines ...string) {
		t.Helper()
		for range looks - 1 {
			events, _ := m.look(time.Second)
			m.told(events, nil)
		}
		events, _ := m.look(time.Second)
		m.told(events, lines)
	}
	m.tcp("web", "nginx", "[::]:443")
	each(19)
	m.to("a", "apt", "192.0.2.2:80")
	each(1)
	m.to("c", "curl", "192.0.2.2:80")
	each(1, "new_program_online curl tcp 80")
	m.close("web")
	each(29)
	each(1, "listener_closed nginx tcp 443")
}

// A restart of Porchlight or of the machine changes nothing.
func TestRestart(t *testing.T) {
	m := someMachine(t).to("a", "apt", "192.0.2.1:80").tcp("rpc", "rpc.statd", "0.0.0.0:40123").udp("wg", "", "0.0.0.0:51820")
	c := m.ends["wg"]
	c.Given = false
	m.ends["wg"] = c
	m.expect("listener_opened rpc.statd tcp 40123", "new_program_online apt tcp 80").expect("listener_opened  udp 51820")
	m.learn()
	for range 3 {
		m.restart().expect().expect().expect()
	}
	m.close("web", "rpc").reboot().to("a", "apt", "192.0.2.7:80").expect().expect().expect()
	m.tcp("web", "nginx", "[::]:443").tcp("rpc", "rpc.statd", "0.0.0.0:33333").expect().expect().expect().expect().expect()
	// What was not there before is told also then, and what does not come back.
	m.restart().tcp("new", "nc", "0.0.0.0:4444").expect("listener_opened nc tcp 4444")
	m.close("new", "web").reboot().expect().expect().expect()
	m.expect("listener_closed nginx tcp 443", "listener_closed nc tcp 4444").expect()
	// One that is there after a boot need not be waited for when it goes.
	m.reboot().now.Uptime = settledUptime
	m.expect().close("ssh").expect().expect("listener_closed sshd tcp 22")
}

// It makes no difference whether processes may be seen: what is told is a port.
func TestRightsThatChange(t *testing.T) {
	hide := func(m *machine, hidden bool) *machine {
		m.now.Partial = hidden
		return m
	}
	m := someMachine(t).udp("a", "avahi", "0.0.0.0:5353").udp("b", "chrome", "224.0.0.251:5353").expect()
	m.expect("listener_opened avahi udp 5353", "listener_opened chrome udp 5353")
	for _, restart := range []bool{false, true} {
		for _, hidden := range []bool{true, false, true, false} {
			if hide(m, hidden); restart {
				m.restart()
			}
			m.expect().expect().expect().expect()
		}
	}
	hide(m, true).tcp("x", "nc", "0.0.0.0:4444").expect("listener_opened  tcp 4444").expect()
	m.close("x").expect().expect("listener_closed  tcp 4444").expect()

	// One that was never seen by its name.
	w, _ := NewWatcher(nil)
	m.w = w
	m.tcp("x", "nc", "0.0.0.0:4444").learn()
	for i := range 30 {
		m.to(fmt.Sprint(i), fmt.Sprint("program", i), "192.0.2.1:80")
	}
	m.expect()
	hide(m, false).expect()
	m.learn()
	m.to("y", "curl", "192.0.2.1:80").expect("new_program_online curl tcp 80")
	m.close("x").expect().expect("listener_closed nc tcp 4444")
}

// Whatever the clock on the wall says, and however long the machine slept.
func TestClockJumps(t *testing.T) {
	m := someMachine(t)
	for _, jump := range []time.Duration{-30 * 365 * 24 * time.Hour, 60 * 365 * 24 * time.Hour} {
		m.now.Time = m.now.Time.Add(jump)
		m.expect().close("web").expect()
		m.now.Time = m.now.Time.Add(jump)
		m.tcp("web", "nginx", "[::]:443").expect().expect().expect()
	}
	m.close("web").look(10 * time.Hour) // it slept; one look alone proves nothing
	m.tcp("web", "nginx", "[::]:443").expect().expect()
	// Two looks that follow each other after that prove no more.
	m.close("web").look(10 * time.Hour)
	events, _ := m.look(2 * time.Second)
	m.told(events, nil)
	m.tcp("web", "nginx", "[::]:443").expect()
	m.close("web").expect().expect("listener_closed nginx tcp 443")
}

// One program that opens ports all the time is told of now and then, and the
// others as ever.
func TestFlapping(t *testing.T) {
	m := someMachine(t)
	told := 0
	var last string
	for range 200 {
		m.tcp("x", "flap", "0.0.0.0:4444")
		opened, _ := m.look(30 * time.Second)
		m.close("x").look(30 * time.Second)
		closed, _ := m.look(60 * time.Second)
		if told += len(opened); len(opened) > 0 {
			last = opened[0].Why
		}
		if len(opened) != len(closed) {
			t.Fatalf("%d opened, %d closed", len(opened), len(closed))
		}
	}
	if told < perProgram || told > perProgram+5 || !strings.Contains(last, "no more of it is told until it was calm for a day") {
		t.Errorf("told %d times of 200, at last: %s", told, last)
	}
	m.tcp("y", "nc", "0.0.0.0:4445").expect("listener_opened nc tcp 4445")
	m.restart().tcp("x", "flap", "0.0.0.0:4444").expect()
	m.close("x").look(25 * time.Hour)
	m.expect().expect()
	m.tcp("x", "flap", "0.0.0.0:4444").expect("listener_opened flap tcp 4444")
	if p := m.w.Problems(); len(p) != 0 {
		t.Errorf("problems: %q", p)
	}
}

// Whoever opens any number of ports, under any number of names, floods nobody.
func TestFlood(t *testing.T) {
	m := someMachine(t)
	told := 0
	for i := range 5 {
		for j := range 2200 {
			m.tcp(fmt.Sprint(j), fmt.Sprint("program", 2200*i+j), fmt.Sprintf("0.0.0.0:%d", 1024+2200*i+j))
		}
		events, _ := m.look(30 * time.Second)
		told += len(events)
	}
	if n := len(m.w.listeners); told < perMachine || told > perMachine+10 || n > mostKnown || len(m.w.Programs) > mostKnown || len(m.w.sockets) > mostSockets {
		t.Errorf("told %d times; %d listeners and %d programs are known", told, n, len(m.w.Programs))
	}
	if b := m.w.Baseline(); len(b) > 1<<20 {
		t.Errorf("the baseline takes %d bytes", len(b))
	}
	if p := strings.Join(m.w.Problems(), "; "); !strings.Contains(p, "were not told") || !strings.Contains(p, "more than 2000 ports") {
		t.Errorf("problems: %s", p)
	}
	for j := range 2200 {
		m.close(fmt.Sprint(j))
	}
	m.look(30 * time.Second)
	m.look(time.Hour)
	m.tcp("x", "nc", "0.0.0.0:4444").look(30 * time.Hour)
	if p := m.w.Problems(); len(p) != 0 {
		t.Errorf("problems in the end: %q", p)
	}
}

// Each event says in words what it is about.
func TestWhy(t *testing.T) {
	m := someMachine(t)
	why := func(want string) {
		t.Helper()
		events, _ := m.look(30 * time.Second)
		var got []string
		for _, e := range events {
			got = append(got, e.Why)
		}
		if strings.Join(got, "\n") != want {
			t.Errorf("got  %s\nwant %s", strings.Join(got, "\n"), want)
		}
	}
	m.tcp("a", "nc", "0.0.0.0:4444")
	why("nc (user anna) listens on TCP port 4444 of all addresses; it did not 30 s ago")
	m.tcp("b", "nc", "127.0.0.1:4445")
	m.ends["b"].Process.Container = "docker:4f5e"
	why("nc (user anna, container docker:4f5e) listens on TCP port 4445 of 127.0.0.1, for this machine only; it did not 30 s ago")
	m.close("b").tcp("b", "nc", "192.168.1.2:4445")
	why("nc (user anna) listens on TCP port 4445 of 192.168.1.2; until now it did for this machine only")
	m.tcp("c", "evil", "0.0.0.0:22")
	why("evil (user anna) listens on TCP port 22 of all addresses; known there until now: sshd")
	m.tcp("nfs", "", "[::]:2049")
	why("")
	why("the kernel itself (as for WireGuard, VXLAN or NFS) listens on TCP port 2049 of all addresses; that is new since the last looks")
	m.close("a")
	why("")
	why("nc (user anna) listens no more on TCP port 4444 of all addresses; it was not there for 60 s, in 2 looks")
	m.to("out", "curl", "203.0.113.7:443")
	why("curl (user anna) has a connection to 203.0.113.7 port 443 by TCP; it called no others in the 17 min that were watched")
	m.now.Partial = true
	m.restart().tcp("d", "nc", "0.0.0.0:4446")
	why("a program of user anna, which cannot be seen from here, listens on TCP port 4446 of all addresses; it did not when Porchlight last looked")
}

func TestBaselineThatCannotBeRead(t *testing.T) {
	for _, b := range []string{"{", `{"Form": 7}`, `{"Form": 1, "Programs": null}`, `[]`} {
		w, err := NewWatcher([]byte(b))
		if err == nil || w == nil {
			t.Errorf("%s: %v", b, err)
			continue
		}
		if events, _ := w.Look(busy(50, 1)); len(events) != 0 {
			t.Errorf("%s: %d events", b, len(events))
		}
	}
}
