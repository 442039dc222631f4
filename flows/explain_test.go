package flows

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porchlight/capture"
	"porchlight/connections"
	"porchlight/lab/labtest"
	"porchlight/presence"
)

// socketOf is a socket in a snapshot, such as "tcp ESTABLISHED 192.0.2.1:22
// 192.0.2.9:50000 sshd"; - is no remote end or no program.
func socketOf(tb testing.TB, text string) connections.Connection {
	tb.Helper()
	f := strings.Fields(text)
	c := connections.Connection{Protocol: f[0], State: connections.State(f[1]), Local: netip.MustParseAddrPort(f[2]), Interface: "eth0"}
	if c.Local.Addr().IsUnspecified() {
		c.Interface = ""
	}
	if f[3] != "-" {
		c.Remote = netip.MustParseAddrPort(f[3])
	}
	if f[4] != "-" {
		c.Process = &connections.Process{PID: 100 + len(f[4]), Name: f[4]}
		c.Inode = 1
		for _, r := range text {
			c.Inode = c.Inode*31 + uint64(r)
		}
	}
	return c
}

func snapshot(tb testing.TB, number int64, seconds float64, sockets ...string) *connections.Snapshot {
	s := &connections.Snapshot{Number: number, Time: at(seconds), Boot: "this", Uptime: time.Hour + time.Duration(seconds*float64(time.Second))}
	for _, text := range sockets {
		s.Connections = append(s.Connections, socketOf(tb, text))
	}
	return s
}

// sent is a packet in a dump.
type sent struct {
	at       float64
	protocol protocol
	from, to string
	flags    uint8
}

func dumpOf(all ...sent) *Dump {
	d := &Dump{From: at(all[0].at), To: at(all[0].at)}
	t := newTable(maxFlows)
	for _, s := range all {
		p := packet{protocol: s.protocol, from: netip.MustParseAddrPort(s.from), to: netip.MustParseAddrPort(s.to), flags: s.flags}
		t.add(&p, &capture.Frame{At: at(s.at), Interface: "eth0"}, 100)
		if at(s.at).After(d.To) {
			d.To = at(s.at)
		}
	}
	d.Flows = t.sorted()
	return d
}

// said is what a report says, a line for each entry.
func said(r *Report) (all []string) {
	name := func(p *connections.Process) string {
		if p == nil {
			return "-"
		}
		return p.Name
	}
	for _, g := range []struct {
		name string
		of   []Entry
	}{{"unexplained", r.Unexplained}, {"others", r.Others}, {"explained", r.Explained}, {"portless", r.Portless}} {
		for _, x := range g.of {
			text := fmt.Sprintf("%s: %s %s %s", g.name, x.Protocol, x.Local, x.Remote)
			if g.name == "explained" {
				text += fmt.Sprintf(" %s %s %s %d", x.How, name(x.Process), name(x.Peer), x.Snapshot)
			}
			if x.Why != "" {
				text += "; " + x.Why
			}
			all = append(all, text)
		}
	}
	for i := range r.Idle {
		all = append(all, fmt.Sprintf("idle: %s %s %s %s", r.Idle[i].Protocol, r.Idle[i].Local, r.Idle[i].Remote, r.Idle[i].Program()))
	}
	return all
}

const me, you = "192.0.2.1", "192.0.2.9"

// Three snapshots, 30 s apart.
func ordinary(t *testing.T) []*connections.Snapshot {
	always := []string{
		"tcp LISTEN [::]:22 - sshd", "tcp LISTEN 192.0.2.1:80 - nginx", "tcp LISTEN 0.0.0.0:5000 - old", "tcp LISTEN 0.0.0.0:8080 - docker-proxy", "udp UNCONNECTED 0.0.0.0:53 - dnsmasq",
		"udp UNCONNECTED [::]:40000 - chat", "udp UNCONNECTED 224.0.0.251:5353 - avahi", "tcp ESTABLISHED 192.0.2.1:50000 192.0.2.9:443 firefox",
	}
	with := func(more ...string) []string { return append(slices.Clone(always), more...) }
	return []*connections.Snapshot{
		snapshot(t, 1, 0, with("udp CONNECTED 192.0.2.1:40001 192.0.2.9:53 resolved", "tcp ESTABLISHED 127.0.0.1:80 127.0.0.1:50100 nginx", "tcp ESTABLISHED 127.0.0.1:50100 127.0.0.1:80 curl")...),
		snapshot(t, 2, 30, with("tcp TIME-WAIT 192.0.2.1:50001 192.0.2.9:443 -", "tcp ESTABLISHED 192.0.2.1:50009 192.0.2.9:993 mutt")...),
		snapshot(t, 3, 60, with("tcp ESTABLISHED 192.0.2.1:50009 192.0.2.9:993 mutt", "tcp ESTABLISHED [::1]:1000 [::1]:2000 inner")...),
	}
}

func TestExplain(t *testing.T) {
	for name, test := range map[string]struct {
		packets []sent
		want    string
	}{
		"a connection":                    {[]sent{{1, tcp, you + ":443", me + ":50000", ack}}, "explained: tcp 192.0.2.1:50000 192.0.2.9:443 connection firefox - 3"},
		"between two snapshots":           {[]sent{{10, tcp, me + ":50000", you + ":443", ack}, {20, tcp, you + ":443", me + ":50000", ack}}, "explained: tcp 192.0.2.1:50000 192.0.2.9:443 connection firefox - 3"},
		"a little before the first":       {[]sent{{-200, tcp, me + ":50000", you + ":443", ack}}, "explained: tcp 192.0.2.1:50000 192.0.2.9:443 connection firefox - 3"},
		"long before the first":           {[]sent{{-900, tcp, me + ":50000", you + ":443", ack}}, "unexplained: tcp 192.0.2.1:50000 192.0.2.9:443; it lasted less than a millisecond, and the first snapshot was taken 15 min later; seen with the same remote end: firefox (107)"},
		"long after the last":             {[]sent{{900, tcp, me + ":50000", you + ":443", ack}}, "unexplained: tcp 192.0.2.1:50000 192.0.2.9:443; it lasted less than a millisecond, and the last snapshot was taken 14 min before; seen with the same remote end: firefox (107)"},
		"UDP with a remote end":           {[]sent{{5, udp, me + ":40001", you + ":53", 0}}, "explained: udp 192.0.2.1:40001 192.0.2.9:53 connection resolved - 1"},
		"and when it was closed":          {[]sent{{45, udp, me + ":40001", you + ":53", 0}}, "unexplained: udp 192.0.2.1:40001 192.0.2.9:53; it lasted less than a millisecond, and no snapshot was taken meanwhile: they are 30 s apart; seen with the same remote end: resolved (108)"},
		"by a listener of IPv6 too":       {[]sent{{40, tcp, you + ":6000", me + ":22", syn}, {41, tcp, me + ":22", you + ":6000", syn | ack}, {41, tcp, you + ":6000", me + ":22", ack}}, "explained: tcp 192.0.2.1:22 192.0.2.9:6000 listener sshd - 3; by its listener; the connection itself is in no snapshot"},
		"the same, and later a straggler": {[]sent{{10, tcp, you + ":6000", me + ":22", syn}, {11, tcp, you + ":6000", me + ":22", fin | ack}, {70, tcp, you + ":6000", me + ":22", ack}}, "explained: tcp 192.0.2.1:22 192.0.2.9:6000 listener sshd - 3; by its listener; the connection itself is in no snapshot"},
		"a scan":                          {[]sent{{40, tcp, you + ":6000", me + ":22", syn}, {40, tcp, me + ":22", you + ":6000", syn | ack}, {41, tcp, you + ":6000", me + ":22", rst | ack}}, "unexplained: tcp 192.0.2.1:22 192.0.2.9:6000; it was begun with a listener on its port, and never completed: a scan, or a forged address"},
		"a scan, from its answer on":      {[]sent{{40, tcp, me + ":22", you + ":6000", syn | ack}, {41, tcp, you + ":6000", me + ":22", rst}}, "unexplained: tcp 192.0.2.1:22 192.0.2.9:6000; it was begun with a listener on its port, and never completed: a scan, or a forged address"},
		"on a listener's port only":       {[]sent{{10, tcp, you + ":6000", me + ":22", ack}, {70, tcp, me + ":22", you + ":6000", ack}}, "unexplained: tcp 192.0.2.1:22 192.0.2.9:6000; NO SOCKET had it in the 2 snapshots taken while it lasted, only a listener is on its port: a raw socket, a forged address, or another network namespace"},
		"held for a container":            {[]sent{{10, tcp, you + ":6000", me + ":8080", syn}, {11, tcp, you + ":6000", me + ":8080", ack}, {70, tcp, me + ":8080", you + ":6000", ack}}, "explained: tcp 192.0.2.1:8080 192.0.2.9:6000 listener docker-proxy - 3; by who holds the port for a container, which has the connection"},
		"by a listener of IPv4 only":      {[]sent{{40, tcp, "[2001:db8::9]:6000", "[2001:db8::1]:5000", syn}}, "others: tcp [2001:db8::9]:6000 [2001:db8::1]:5000; this machine has neither address: forwarded, or passing by"},
		"no listener opens":               {[]sent{{40, tcp, me + ":22", you + ":6000", syn}}, "unexplained: tcp 192.0.2.1:22 192.0.2.9:6000; it lasted less than a millisecond, and no snapshot was taken meanwhile: they are 30 s apart"},
		"by a UDP server":                 {[]sent{{40, udp, you + ":6000", me + ":53", 0}}, "explained: udp 192.0.2.1:53 192.0.2.9:6000 socket dnsmasq - 3; by the socket on its port"},
		"by a UDP client":                 {[]sent{{40, udp, me + ":40000", you + ":7", 0}}, "explained: udp 192.0.2.1:40000 192.0.2.9:7 socket chat - 3; by the socket on its port"},
		"closed":                          {[]sent{{20, tcp, me + ":50001", you + ":443", syn}}, "explained: tcp 192.0.2.1:50001 192.0.2.9:443 connection - - 2; closed before a snapshot could have its program; seen with the same remote end: firefox (107)"},
		"nobody had it":                   {[]sent{{10, tcp, me + ":60000", you + ":443", syn}, {70, tcp, me + ":60000", you + ":443", ack}}, "unexplained: tcp 192.0.2.1:60000 192.0.2.9:443; NO SOCKET had it in the 2 snapshots taken while it lasted: a raw socket, a forged address, or another network namespace"},
		"reset, and it goes on":           {[]sent{{10, tcp, me + ":60000", you + ":443", ack}, {10, tcp, you + ":443", me + ":60000", rst}, {69, tcp, me + ":60000", you + ":443", ack}, {70, tcp, me + ":60000", you + ":443", ack}, {70, tcp, you + ":443", me + ":60000", rst}}, "unexplained: tcp 192.0.2.1:60000 192.0.2.9:443; NO SOCKET had it in the 2 snapshots taken while it lasted: a raw socket, a forged address, or another network namespace"},
		"reset, with packets on the way":  {[]sent{{40, tcp, me + ":60000", you + ":443", ack}, {41, tcp, you + ":443", me + ":60000", rst}, {41.5, tcp, me + ":60000", you + ":443", ack}, {70, tcp, you + ":443", me + ":60000", rst}}, "unexplained: tcp 192.0.2.1:60000 192.0.2.9:443; it lasted 1 s, and no snapshot was taken meanwhile: they are 30 s apart; seen with the same remote end: firefox (107)"},
		"refused":                         {[]sent{{10, tcp, you + ":60000", me + ":23", syn}, {10, tcp, me + ":23", you + ":60000", rst | ack}}, "unexplained: tcp 192.0.2.1:23 192.0.2.9:60000; this machine refused it: nothing listened there"},
		"refused by another":              {[]sent{{40, tcp, me + ":60000", you + ":23", syn}, {40, tcp, you + ":23", me + ":60000", rst | ack}}, "unexplained: tcp 192.0.2.1:60000 192.0.2.9:23; it was refused; it lasted less than a millisecond, and no snapshot was taken meanwhile: they are 30 s apart"},
		"refused within this machine":     {[]sent{{40, tcp, me + ":60000", me + ":23", syn}, {40, tcp, me + ":23", me + ":60000", rst | ack}}, "unexplained: tcp 192.0.2.1:60000 192.0.2.1:23; this machine refused it: nothing listened there"},
		"not answered":                    {[]sent{{10, udp, you + ":60000", me + ":9", 0}}, "unexplained: udp 192.0.2.1:9 192.0.2.9:60000; this machine did not answer; it lasted less than a millisecond, and no snapshot was taken meanwhile: they are 30 s apart"},
		"a group that is heard":           {[]sent{{10, udp, you + ":5353", "224.0.0.251:5353", 0}}, "explained: udp 224.0.0.251:5353 192.0.2.9:5353 socket avahi - 3; by the socket on its port"},
		"a group that is not heard":       {[]sent{{10, udp, you + ":1900", "239.255.255.250:1900", 0}}, "others: udp 192.0.2.9:1900 239.255.255.250:1900; others' message to all; nothing of this machine listened there"},
		"a broadcast that is heard":       {[]sent{{10, udp, you + ":4", "192.0.2.255:53", 0}}, "explained: udp 192.0.2.255:53 192.0.2.9:4 socket dnsmasq - 3; by the socket on its port"},
		"between others":                  {[]sent{{10, tcp, you + ":4", "192.0.2.77:22", syn}}, "others: tcp 192.0.2.9:4 192.0.2.77:22; this machine has neither address: forwarded, or passing by"},
		"ping":                            {[]sent{{10, icmp, me + ":0", you + ":0", 0}}, "portless: icmp 192.0.2.1:0 192.0.2.9:0; the kernel, or a program such as ping"},
		"fragments":                       {[]sent{{10, parts + udp, me + ":0", you + ":0", 0}}, "unexplained: udp fragments 192.0.2.1:0 192.0.2.9:0; later fragments, which have no ports; the first ones are not in the dump"},
		"within this machine":             {[]sent{{1, tcp, "127.0.0.1:80", "127.0.0.1:50100", syn | ack}}, "explained: tcp 127.0.0.1:50100 127.0.0.1:80 connection curl nginx 1"},
		"within, and too short":           {[]sent{{40, tcp, me + ":60000", me + ":80", syn}, {40, tcp, me + ":60000", me + ":80", ack}}, "explained: tcp 192.0.2.1:80 192.0.2.1:60000 listener nginx - 3; by its listener; the connection itself is in no snapshot"},
		"within, and one end only":        {[]sent{{10, tcp, me + ":60000", me + ":80", syn}, {50, tcp, me + ":60000", me + ":80", ack}}, "unexplained: tcp 192.0.2.1:60000 192.0.2.1:80; NO SOCKET had it in the 1 snapshot taken while it lasted, only a listener is on its port: a raw socket, a forged address, or another network namespace"},
	} {
		d := dumpOf(test.packets...)
		e := NewExplainer(d, nil, leastReach)
		for _, s := range ordinary(t) {
			e.Add(s)
		}
		r := e.Report(nil)
		r.Idle = nil
		if diff := cmp.Diff([]string{test.want}, said(r)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Connections without traffic are those that were there meanwhile, of addresses
// that the dump has.
func TestIdle(t *testing.T) {
	inner := snapshot(t, 0, 0, "tcp ESTABLISHED 192.0.2.1:50009 192.0.2.1:993 inner").Connections
	for name, test := range map[string]struct {
		from, to float64
		want     []string
	}{
		"all":                   {-5, 70, []string{"idle: udp 192.0.2.1:40001 192.0.2.9:53 resolved", "idle: tcp 192.0.2.1:50009 192.0.2.9:993 mutt"}},
		"between two snapshots": {40, 50, []string{"idle: tcp 192.0.2.1:50009 192.0.2.9:993 mutt"}},
		"before the last came":  {10, 20, nil},
		"long after":            {100, 101, nil},
	} {
		d := dumpOf(sent{test.from, tcp, me + ":50000", you + ":443", ack}, sent{test.to, tcp, me + ":50000", you + ":443", ack})
		e := NewExplainer(d, nil, leastReach)
		for _, s := range ordinary(t) {
			if s.Number == 1 { // on another interface, though its address is in the dump
				s.Connections = append(s.Connections, inner...)
			}
			e.Add(s)
		}
		r := e.Report(nil)
		if diff := cmp.Diff(test.want, said(r)[1:], cmp.Transformer("", func(s []string) string { return strings.Join(s, "\n") })); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if want := map[string]int{"all": 4, "between two snapshots": 0}[name]; r.Elsewhere != want {
			t.Errorf("%s: %d elsewhere, want %d", name, r.Elsewhere, want)
		}
	}
}

// A dump of the loopback interface says nothing of other connections.
func TestIdleBesideLoopback(t *testing.T) {
	d := dumpOf(sent{-5, udp, me + ":1", me + ":2", 0}, sent{70, udp, me + ":1", me + ":2", 0})
	e := NewExplainer(d, nil, leastReach)
	for _, s := range ordinary(t) {
		e.Add(s)
	}
	if r := e.Report(nil); len(r.Idle) != 0 || r.Elsewhere != 6 {
		t.Errorf("%d elsewhere, %q", r.Elsewhere, said(r))
	}
}

// A restart of the machine, and a clock that was set, end what snapshots say.
func TestExplainOverARestart(t *testing.T) {
	d := dumpOf(sent{2000, tcp, me + ":50000", you + ":443", ack}, sent{2000, udp, you + ":1", me + ":53", 0})
	first := snapshot(t, 1, 0, "tcp ESTABLISHED 192.0.2.1:50000 192.0.2.9:443 firefox", "udp UNCONNECTED 192.0.2.1:53 - dnsmasq")
	for name, change := range map[string]func(*connections.Snapshot){
		"the machine was started again between them": func(s *connections.Snapshot) { s.Boot = "another" },
		"the clock was set by":                       func(s *connections.Snapshot) { s.Uptime += time.Minute },
		"":                                           func(*connections.Snapshot) {},
	} {
		second := snapshot(t, 2, 4000, "tcp ESTABLISHED 192.0.2.1:50000 192.0.2.9:443 firefox", "udp UNCONNECTED 192.0.2.1:53 - dnsmasq")
		second.Missing = []string{"this cannot be seen"}
		change(second)
		e := NewExplainer(d, nil, leastReach)
		e.Add(first)
		e.Add(second)
		r := e.Report(nil)
		notes := strings.Join(r.Notes, "\n")
		if explained := name == ""; (len(r.Explained) == 2) != explained || (len(r.Unexplained) == 2) == explained || !strings.Contains(notes, name) || !strings.Contains(notes, "snapshot 2: this cannot be seen") {
			t.Errorf("%s: %q, %s", name, said(r), notes)
		}
	}
}

// A snapshot says nothing of the time before the machine was started that it is
// of, nor after the next start.
func TestExplainBootOnly(t *testing.T) {
	d := dumpOf(sent{-60, tcp, me + ":1", you + ":1", ack}, sent{60, tcp, me + ":2", you + ":1", ack}, sent{120, tcp, me + ":3", you + ":1", ack})
	s := snapshot(t, 1, 0, "tcp ESTABLISHED 192.0.2.1:1 192.0.2.9:1 a", "tcp ESTABLISHED 192.0.2.1:2 192.0.2.9:1 b", "tcp ESTABLISHED 192.0.2.1:3 192.0.2.9:1 c")
	s.Uptime = 30 * time.Second
	again := &connections.Snapshot{Number: 2, Time: at(200), Boot: "another", Uptime: 100 * time.Second}
	for name, test := range map[string]struct {
		next, now *connections.Snapshot
		note      string
		want      int
	}{
		"nothing is known":    {nil, nil, "", 2},
		"no other start":      {nil, &connections.Snapshot{Time: at(200), Boot: "this", Uptime: 230 * time.Second}, "", 2},
		"it is started again": {nil, again, "the machine was started again after snapshot 1", 1},
		"and looked at":       {again, again, "snapshots 1 and 2: the machine was started again", 1},
	} {
		e := NewExplainer(d, nil, leastReach)
		e.Add(s)
		if test.next != nil {
			e.Add(test.next)
		}
		r := e.Report(test.now)
		if notes := strings.Join(r.Notes, "\n"); len(r.Explained) != test.want || !strings.Contains(notes, test.note) || (notes == "") != (test.note == "") {
			t.Errorf("%s: %q %q", name, said(r), notes)
		}
	}
}

// A socket is not older than its program.
func TestExplainNotOlder(t *testing.T) {
	d := dumpOf(sent{10, udp, you + ":1", me + ":53", 0}, sent{25, udp, you + ":2", me + ":53", 0})
	first, second := snapshot(t, 1, 0, "tcp LISTEN 192.0.2.1:1 - x"), snapshot(t, 2, 30, "udp UNCONNECTED 192.0.2.1:53 - dnsmasq")
	second.Connections[0].Process.Started = at(20)
	e := NewExplainer(d, []netip.Addr{netip.MustParseAddr(me)}, leastReach)
	e.Add(first)
	e.Add(second)
	if r := e.Report(nil); len(r.Explained) != 1 || len(r.Unexplained) != 1 || r.Explained[0].Remote.Port() != 2 {
		t.Errorf("%q", said(r))
	}
}

// Without any snapshot all is told apart by the addresses of now, or not at all.
func TestExplainNothing(t *testing.T) {
	d := dumpOf(sent{10, tcp, you + ":1", me + ":2", syn}, sent{10, tcp, you + ":1", "192.0.2.77:2", syn})
	if r := NewExplainer(d, nil, leastReach).Report(nil); len(r.Unexplained) != 2 {
		t.Errorf("%q", said(r))
	}
	r := NewExplainer(d, []netip.Addr{netip.MustParseAddr(me)}, leastReach).Report(nil)
	if len(r.Unexplained) != 1 || len(r.Others) != 1 || r.Unexplained[0].Why != "this machine did not answer; there is no snapshot" {
		t.Errorf("%q", said(r))
	}
}

// What comes from this machine's interface with another's address is said to.
func TestForged(t *testing.T) {
	own, router := presence.MAC{2, 1}, presence.MAC{2, 2}
	d := dumpOf(sent{10, tcp, me + ":50000", you + ":443", ack}, sent{11, udp, "192.0.2.66:1", you + ":2", 0}, sent{12, udp, "192.0.2.67:1", you + ":2", 0})
	d.Flows[0].mac, d.Flows[1].mac, d.Flows[2].mac = own, own, router
	r := NewExplainer(d, []netip.Addr{netip.MustParseAddr(me)}, leastReach).Report(nil)
	if len(r.Others) != 2 || !strings.Contains(r.Others[0].Why, "forged") || strings.Contains(r.Others[1].Why, "forged") {
		t.Errorf("%q", said(r))
	}
}

// A dump of another machine is said to be one.
func TestElsewhere(t *testing.T) {
	others := sent{10, tcp, "192.0.2.66:50000", you + ":443", ack}
	for name, test := range map[string]struct {
		packets []sent
		own     []netip.Addr
		want    int
	}{
		"another machine's": {[]sent{others}, []netip.Addr{netip.MustParseAddr(me)}, 1},
		"of both":           {[]sent{others, {11, tcp, me + ":50000", you + ":443", ack}}, []netip.Addr{netip.MustParseAddr(me)}, 0},
		"not known whose":   {[]sent{others}, nil, 0},
		"of no connections": {[]sent{{10, icmp, "192.0.2.66:0", you + ":0", 0}}, []netip.Addr{netip.MustParseAddr(me)}, 0},
	} {
		r := NewExplainer(dumpOf(test.packets...), test.own, leastReach).Report(nil)
		if len(r.Notes) != test.want {
			t.Errorf("%s: %q", name, r.Notes)
		}
	}
}

// A flow that is there twice, with the address of someone behind this machine, is
// said to be theirs.
func TestNAT(t *testing.T) {
	const behind = "172.17.0.2"
	d := dumpOf(
		sent{10, tcp, behind + ":40000", you + ":443", syn}, sent{10, tcp, me + ":40000", you + ":443", syn},
		sent{11, udp, me + ":40000", you + ":443", 0}, // of another protocol
		sent{12, tcp, you + ":50000", me + ":8080", syn}, sent{12, tcp, you + ":50000", behind + ":80", syn}, sent{12, tcp, me + ":8080", you + ":50000", syn | ack},
		sent{13, tcp, behind + ":40001", you + ":443", syn}, sent{14, tcp, me + ":40001", you + ":443", syn}, // not at the same time
	)
	r := NewExplainer(d, []netip.Addr{netip.MustParseAddr(me)}, leastReach).Report(nil)
	const nat = "for which this machine translates addresses (NAT)"
	got := map[string]string{}
	for _, x := range r.Unexplained {
		got[fmt.Sprint(x.Protocol, x.Local.Port())] = x.Why
	}
	want := map[string]string{
		"tcp40000": "the same as that of 172.17.0.2:40000, " + nat, "tcp8080": "the same as that of 172.17.0.2:80, " + nat,
		"udp40000": "there is no snapshot", "tcp40001": "there is no snapshot",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Where no address of this machine is known, no flow is taken for its own double.
func TestNoAddress(t *testing.T) {
	r := NewExplainer(dumpOf(sent{10, udp, me + ":40000", you + ":443", 0}), nil, leastReach).Report(nil)
	if want := []string{"unexplained: udp 192.0.2.1:40000 192.0.2.9:443; there is no snapshot"}; !slices.Equal(said(r), want) {
		t.Errorf("%q", said(r))
	}
}

func TestDHCP(t *testing.T) {
	of := func(from, to, payload string) bool {
		return dhcpForm(&packet{from: netip.MustParseAddrPort(from), to: netip.MustParseAddrPort(to), payload: []byte(payload)})
	}
	for _, test := range []struct {
		is       bool
		from, to string
		payload  string
	}{
		{true, "0.0.0.0:68", "255.255.255.255:67", "\x01\x01\x06"},
		{true, "192.0.2.1:67", "255.255.255.255:68", "\x02\x01\x06"},
		{true, "[fe80::1]:546", "[ff02::1:2]:547", "\x01abc"},
		{false, "0.0.0.0:68", "255.255.255.255:67", "some secrets"},
		{false, "192.0.2.1:68", "192.0.2.2:69", "\x01\x01\x06"},
		{false, "[2001:db8::1]:546", "[2001:db8::2]:547", "\x01abc"},
		{false, "0.0.0.0:68", "255.255.255.255:67", ""},
	} {
		if of(test.from, test.to, test.payload) != test.is {
			t.Errorf("%+v", test)
		}
	}
	d := dumpOf(sent{10, udp, "0.0.0.0:68", "255.255.255.255:67", 0})
	d.Flows[0].dhcp = true
	if r := NewExplainer(d, nil, leastReach).Report(nil); len(r.Portless) != 1 || !strings.Contains(r.Portless[0].Why, "DHCP") {
		t.Errorf("%q", said(r))
	}
}

// There is a bound to what snapshots may hold, and it is said.
func TestLivesBound(t *testing.T) {
	d := dumpOf(sent{0, tcp, me + ":1", you + ":1", ack})
	e := NewExplainer(d, nil, leastReach)
	e.lives.count = maxLives - 1
	e.Add(snapshot(t, 1, 0, "tcp ESTABLISHED 192.0.2.1:1 192.0.2.9:1 a", "tcp ESTABLISHED 192.0.2.1:2 192.0.2.9:1 b"))
	r := e.Report(nil)
	if len(r.Explained) != 1 || !strings.Contains(strings.Join(r.Notes, "\n"), "1 were left out") {
		t.Errorf("%q %q", said(r), r.Notes)
	}
}

func TestChoose(t *testing.T) {
	entries := func(boot string, seconds ...float64) (all []connections.Entry) {
		for i, s := range seconds {
			all = append(all, connections.Entry{Number: int64(i + 1), Time: at(s), Boot: boot})
		}
		return all
	}
	regular := entries("a", 0, 600, 1200, 1800, 2400)
	for name, test := range map[string]struct {
		all      []connections.Entry
		from, to float64
		want     []int64
		reach    time.Duration
	}{
		"within":                 {regular, 700, 1900, []int64{2, 3, 4, 5}, 10 * time.Minute},
		"all":                    {regular, -100, 9999, []int64{1, 2, 3, 4, 5}, 10 * time.Minute},
		"between two":            {regular, 700, 800, []int64{2, 3}, 10 * time.Minute},
		"before":                 {regular, -700, -600, []int64{1}, 5 * time.Minute},
		"after":                  {regular, 9000, 9001, []int64{5}, 5 * time.Minute},
		"none":                   {nil, 0, 1, nil, 5 * time.Minute},
		"days apart":             {entries("a", 0, 1e5, 2e5), 1, 1e5, []int64{1, 2, 3}, time.Hour},
		"the clock was set back": {entries("a", 5000, 5600, 100, 700), 650, 5100, []int64{1, 2, 3, 4}, 10 * time.Minute},
	} {
		chosen, reach := Choose(test.all, at(test.from), at(test.to))
		var got []int64
		for _, e := range chosen {
			got = append(got, e.Number)
		}
		if !slices.Equal(got, test.want) || reach != test.reach {
			t.Errorf("%s: %v, %s; want %v, %s", name, got, reach, test.want, test.reach)
		}
	}
}

func TestFilter(t *testing.T) {
	d := dumpOf(sent{10, tcp, me + ":1", you + ":2", syn}, sent{10, parts + udp, me + ":0", you + ":0", 0})
	r := NewExplainer(d, []netip.Addr{netip.MustParseAddr(me)}, leastReach).Report(nil)
	f, err := Filter(r.Unexplained)
	want := "(tcp and ((src host 192.0.2.1 and src port 1 and dst host 192.0.2.9 and dst port 2) or (dst host 192.0.2.1 and dst port 1 and src host 192.0.2.9 and src port 2)))" +
		" or (udp and ((src host 192.0.2.1 and dst host 192.0.2.9) or (dst host 192.0.2.1 and src host 192.0.2.9)))"
	if err != nil || f.Wide != "" || f.Tcpdump != want {
		t.Errorf("%v %s %s", err, f.Wide, f.Tcpdump)
	}
}

// A client may use a port again for the same server, as another program.
func TestExplainReuse(t *testing.T) {
	talk := func(at float64) []sent {
		return []sent{
			{at, tcp, me + ":50000", you + ":443", syn},
			{at, tcp, you + ":443", me + ":50000", syn | ack},
			{at + 1, tcp, me + ":50000", you + ":443", ack},
			{at + 10, tcp, me + ":50000", you + ":443", fin | ack},
			{at + 10, tcp, you + ":443", me + ":50000", fin | ack},
		}
	}
	e := NewExplainer(dumpOf(slices.Concat(talk(0), talk(13), talk(60))...), []netip.Addr{netip.MustParseAddr(me)}, leastReach)
	e.Add(snapshot(t, 1, 5, "tcp ESTABLISHED 192.0.2.1:50000 192.0.2.9:443 curl"))
	e.Add(snapshot(t, 2, 20, "tcp ESTABLISHED 192.0.2.1:50000 192.0.2.9:443 implant"))
	for _, time := range []float64{35, 50, 65, 80} {
		e.Add(snapshot(t, int64(time), time))
	}
	want := []string{
		"unexplained: tcp 192.0.2.1:50000 192.0.2.9:443; NO SOCKET had it in the 1 snapshot taken while it lasted: a raw socket, a forged address, or another network namespace",
		"explained: tcp 192.0.2.1:50000 192.0.2.9:443 connection curl - 1",
		"explained: tcp 192.0.2.1:50000 192.0.2.9:443 connection implant - 2",
	}
	if diff := cmp.Diff(want, said(e.Report(nil))); diff != "" {
		t.Error(diff)
	}
}

// A broadcast address need not end with 255: what was sent to all is known by the
// link.
func TestExplainBroadcast(t *testing.T) {
	for _, test := range []struct {
		to       presence.MAC
		protocol protocol
		want     string
	}{
		{capture.Broadcast, udp, "explained: udp 192.0.2.127:53 192.0.2.9:4 socket dnsmasq - 3; by the socket on its port"},
		{presence.MAC{2}, udp, "others: udp 192.0.2.9:4 192.0.2.127:53; this machine has neither address: forwarded, or passing by"},
		{capture.Broadcast, tcp, "others: tcp 192.0.2.9:4 192.0.2.127:53; this machine has neither address: forwarded, or passing by"},
	} {
		p := packet{protocol: test.protocol, from: netip.MustParseAddrPort(you + ":4"), to: netip.MustParseAddrPort("192.0.2.127:53")}
		tab := newTable(maxFlows)
		tab.add(&p, &capture.Frame{At: at(10), Dst: test.to}, 100)
		e := NewExplainer(&Dump{From: at(10), To: at(10), Flows: tab.sorted()}, nil, leastReach)
		for _, s := range ordinary(t) {
			e.Add(s)
		}
		r := e.Report(nil)
		r.Idle = nil
		if diff := cmp.Diff([]string{test.want}, said(r)); diff != "" {
			t.Errorf("to %s: %s", test.to, diff)
		}
	}
}

// Of a port that several programs have nobody knows which one a flow is of, and one
// that a socket has anew is not of the program before.
func TestExplainShared(t *testing.T) {
	d := dumpOf(sent{5, udp, you + ":6000", me + ":53", 0}, sent{5, udp, you + ":6000", me + ":54", 0}, sent{40, udp, you + ":6001", me + ":55", 0}, sent{58, udp, you + ":6002", me + ":55", 0}, sent{65, udp, you + ":6002", me + ":55", 0})
	e := NewExplainer(d, []netip.Addr{netip.MustParseAddr(me)}, leastReach)
	both := []string{"udp UNCONNECTED 0.0.0.0:53 - one", "udp UNCONNECTED 0.0.0.0:53 - other", "udp UNCONNECTED 0.0.0.0:54 - one", "udp UNCONNECTED 0.0.0.0:54 - one"}
	e.Add(snapshot(t, 1, 0, append(both, "udp UNCONNECTED 0.0.0.0:55 - before")...))
	e.Add(snapshot(t, 2, 30, append(both, "udp UNCONNECTED 0.0.0.0:55 - before")...))
	e.Add(snapshot(t, 3, 60, append(both, "udp UNCONNECTED 0.0.0.0:55 - after")...))
	want := []string{
		"explained: udp 192.0.2.1:55 192.0.2.9:6002 socket after - 3; by the socket on its port",
		"explained: udp 192.0.2.1:54 192.0.2.9:6000 socket one - 3; by the socket on its port",
		"explained: udp 192.0.2.1:53 192.0.2.9:6000 socket - - 3; by a socket on its port, which several programs have: one (103), other (105)",
		"explained: udp 192.0.2.1:55 192.0.2.9:6001 socket - - 2; by a socket on its port, which several programs have: before (106), after (105)",
	}
	if diff := cmp.Diff(want, said(e.Report(nil))); diff != "" {
		t.Error(diff)
	}
}

// Two programs may have one port, each for one kind of address.
func TestExplainByKind(t *testing.T) {
	d := dumpOf(sent{70, udp, you + ":6000", me + ":53", 0}, sent{70, udp, "[2001:db8::9]:6000", "[2001:db8::1]:53", 0})
	e := NewExplainer(d, []netip.Addr{netip.MustParseAddr(me), netip.MustParseAddr("2001:db8::1")}, leastReach)
	e.Add(snapshot(t, 1, 0, "udp UNCONNECTED [::]:53 - six"))
	e.Add(snapshot(t, 2, 60, "udp UNCONNECTED [::]:53 - six", "udp UNCONNECTED 0.0.0.0:53 - four"))
	var got []string
	for _, x := range e.Report(nil).Explained {
		got = append(got, x.Process.Name+" "+x.Local.String())
	}
	if diff := cmp.Diff([]string{"four 192.0.2.1:53", "six [2001:db8::1]:53"}, got); diff != "" {
		t.Error(diff)
	}
}

// A router sees each flow of its network twice: that so many have the same remote
// end, as a name server, does not make it look for long.
func TestManyTranslated(t *testing.T) {
	const few, times = 5_000, 8
	explain := func(n int) time.Duration {
		table := newTable(3 * n)
		name := netip.MustParseAddrPort("192.0.2.53:53")
		for i := range n {
			for _, from := range []string{"10.0.0.5", me} {
				table.add(&packet{protocol: udp, from: netip.AddrPortFrom(netip.MustParseAddr(from), uint16(1025+i)), to: name}, &capture.Frame{At: at(10)}, 100)
			}
		}
		d := &Dump{From: at(10), To: at(10), Flows: table.sorted()}
		before := labtest.CPU(t)
		r := NewExplainer(d, []netip.Addr{netip.MustParseAddr(me)}, leastReach).Report(nil)
		took := labtest.CPU(t) - before
		if len(r.Unexplained) != n || !strings.Contains(r.Unexplained[n-1].Why, "translates addresses") {
			t.Errorf("%d unexplained, the last: %s", len(r.Unexplained), r.Unexplained[len(r.Unexplained)-1].Why)
		}
		return took
	}
	a, b := min(explain(few), explain(few)), explain(times*few)
	t.Logf("%d take %s, %d take %s", few, a, times*few, b)
	if b > 3*times*a { // in squares it would be 64 times
		t.Errorf("%d take %s, %d take %s", few, a, times*few, b)
	}
}
