package connections

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCompare(t *testing.T) {
	end := netip.MustParseAddrPort
	web, web2 := &Process{PID: 10, Ticks: 5, Name: "nginx"}, &Process{PID: 90, Ticks: 900, Name: "nginx"}
	ssh, miner := &Process{PID: 20, Ticks: 6, Name: "sshd"}, &Process{PID: 99, Ticks: 990, Name: "miner"}
	listen := func(p *Process, local string, inode uint64) Connection {
		return Connection{Protocol: TCP, State: Listen, Local: end(local), Process: p, Inode: inode}
	}
	open := func(p *Process, local, remote string, inode uint64) Connection {
		return Connection{Protocol: TCP, State: Established, Local: end(local), Remote: end(remote), Process: p, Inode: inode}
	}
	with := func(c Connection, f func(*Connection)) Connection {
		f(&c)
		return c
	}
	login := open(ssh, "192.168.1.2:22", "192.168.1.20:50000", 3)
	left := with(login, func(c *Connection) { c.State, c.Process, c.Inode = TimeWait, nil, 0 })
	counted := with(login, func(c *Connection) { c.Sent, c.RTT = 1000, 7 })
	pool := open(miner, "192.168.1.2:40000", "203.0.113.9:3333", 8)
	udp := Connection{Protocol: UDP, State: Unconnected, Local: end("0.0.0.0:53"), Process: ssh, Inode: 5}
	client := Connection{Protocol: UDP, State: Unconnected, Given: true, Local: end("0.0.0.0:40001"), Process: ssh, Inode: 6}
	two := func(inode uint64) Connection { return listen(web, "0.0.0.0:80", inode) }
	for _, test := range []struct {
		name   string
		before []Connection
		now    []Connection
		want   Diff
	}{
		{name: "nothing"},
		{name: "counters always change", before: []Connection{login}, now: []Connection{counted}},
		{
			name: "a program nobody knows", before: []Connection{two(1)}, now: []Connection{two(1), pool},
			want: Diff{Opened: []Connection{pool}, NewPrograms: []string{"miner"}, NewHosts: []netip.Addr{netip.MustParseAddr("203.0.113.9")}},
		},
		{
			name: "a listener", before: []Connection{two(1)}, now: []Connection{two(1), listen(web, "0.0.0.0:8080", 2), listen(web, "[::]:8080", 4)},
			want: Diff{Opened: []Connection{listen(web, "0.0.0.0:8080", 2), listen(web, "[::]:8080", 4)}, NewListeners: []Connection{listen(web, "0.0.0.0:8080", 2)}},
		},
		{
			name: "a server that was started again", before: []Connection{two(1)}, now: []Connection{listen(web2, "0.0.0.0:80", 9)},
			want: Diff{Changed: []Change{{Before: two(1), Now: listen(web2, "0.0.0.0:80", 9), What: []string{"process: nginx (10) → nginx (90)"}}}},
		},
		{
			name: "the port is another's", before: []Connection{two(1)}, now: []Connection{listen(miner, "0.0.0.0:80", 9)},
			want: Diff{
				Changed:      []Change{{Before: two(1), Now: listen(miner, "0.0.0.0:80", 9), What: []string{"process: nginx (10) → miner (99)"}}},
				NewListeners: []Connection{listen(miner, "0.0.0.0:80", 9)}, NewPrograms: []string{"miner"},
			},
		},
		{
			name: "it ends", before: []Connection{login}, now: []Connection{left},
			want: Diff{Changed: []Change{{Before: login, Now: left, What: []string{"state: ESTABLISHED → TIME-WAIT"}}}},
		},
		{name: "it is gone", before: []Connection{left}, want: Diff{Closed: []Connection{left}}},
		{
			name: "UDP", now: []Connection{udp, client}, before: []Connection{login},
			want: Diff{Opened: []Connection{udp, client}, Closed: []Connection{login}, NewListeners: []Connection{udp}},
		},
		{name: "several on one port", before: []Connection{two(1), two(2), two(3)}, now: []Connection{two(3), two(1)}, want: Diff{Closed: []Connection{two(2)}}},
		{
			name: "loopback is no host", before: []Connection{login}, now: []Connection{login, open(ssh, "127.0.0.1:1", "127.0.0.1:2", 7)},
			want: Diff{Opened: []Connection{open(ssh, "127.0.0.1:1", "127.0.0.1:2", 7)}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Compare(&Snapshot{Connections: test.before}, &Snapshot{Connections: test.now})
			if diff := cmp.Diff(test.want, got, same); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What passed is known by the time since the boot, whatever the clock says; a
// snapshot from before a reboot has nothing to measure it by.
func TestBetween(t *testing.T) {
	at := func(clock, up time.Duration, boot string) *Snapshot {
		return &Snapshot{Time: began.Add(clock), Uptime: up, Boot: boot}
	}
	a := at(0, time.Hour, "a")
	for _, test := range []struct {
		b    *Snapshot
		want []string
	}{
		{at(30*time.Second, time.Hour+30*time.Second, "a"), nil},
		{at(31*time.Second, time.Hour+30*time.Second, "a"), nil},
		{at(24*time.Hour, time.Hour+30*time.Second, "a"), []string{"the clock was set by 23h59m30s between them: 30s really passed"}},
		{at(-time.Hour, time.Hour+time.Minute, "a"), []string{"the clock was set by -1h1m0s between them: 1m0s really passed"}},
		{at(-time.Minute, 59*time.Minute, "a"), []string{"the first of them is the later one"}},
		{at(time.Hour, time.Minute, "b"), []string{"the machine was started again between them: every process is another one"}},
	} {
		if diff := cmp.Diff(test.want, Compare(a, test.b).Notes); diff != "" {
			t.Error(diff)
		}
	}
}

// After a reboot the kernel begins again with its numbers: what has the same is
// not the same.
func TestCompareOverReboot(t *testing.T) {
	c := Connection{Protocol: TCP, State: Listen, Local: netip.MustParseAddrPort("0.0.0.0:22"), Inode: 7, Process: &Process{PID: 5, Name: "sshd"}}
	other := c
	other.Process = &Process{PID: 6, Name: "sshd"}
	d := Compare(&Snapshot{Boot: "a", Connections: []Connection{c}}, &Snapshot{Boot: "b", Connections: []Connection{other}})
	if len(d.Opened)+len(d.Closed)+len(d.NewListeners)+len(d.NewPrograms) != 0 || len(d.Changed) != 1 || len(d.Notes) != 1 {
		t.Errorf("%+v", d)
	}
}
