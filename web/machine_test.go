package web

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"porchlight/connections"
)

// machine is a Connections with a life of its own.
type machine struct {
	now    connections.Snapshot
	stored []connections.Snapshot // by number, from 1 on
	gone   error
	looked atomic.Int32
	read   atomic.Int32 // stored ones
}

func (m *machine) Look(names connections.DeviceNames) (*connections.Snapshot, error) {
	m.looked.Add(1)
	s := m.now
	s.Time = time.Now()
	s.Connections = slices.Clone(s.Connections)
	for i := range s.Connections {
		if name := names[s.Connections[i].Remote.Addr()]; name != "" {
			s.Connections[i].Device = name
		}
	}
	return &s, m.gone
}

func (m *machine) Newest(_ context.Context, before int64, limit int) (all []connections.Entry, err error) {
	for i := len(m.stored) - 1; i >= 0 && len(all) < limit; i-- {
		s := &m.stored[i]
		if before == 0 || s.Number < before {
			all = append(all, connections.Entry{Number: s.Number, Time: s.Time, Connections: len(s.Connections), Listeners: 1, Bytes: 1234, Boot: s.Boot})
		}
	}
	return all, m.gone
}

func (m *machine) Before(_ context.Context, t time.Time) (number int64, err error) {
	for i := range m.stored {
		if i == 0 || m.stored[i].Time.Before(t) {
			number = m.stored[i].Number
		}
	}
	return number, m.gone
}

func (m *machine) Load(_ context.Context, number int64) (*connections.Snapshot, error) {
	m.read.Add(1)
	if number > int64(len(m.stored)) {
		return nil, fmt.Errorf("reading snapshot %d: %w", number, connections.ErrNone)
	}
	return &m.stored[number-1], m.gone
}

// socket makes a connection; without a remote end it listens.
func socket(protocol, local, remote, program string, pid int) connections.Connection {
	c := connections.Connection{
		Protocol: protocol, Local: netip.MustParseAddrPort(local), Inode: uint64(pid), User: "root", State: connections.Listen,
		Process: &connections.Process{PID: pid, Name: program, Command: program + " --password=hunter2", User: "www-data", Started: time.Now().Add(-90 * time.Minute)},
	}
	if protocol == connections.UDP {
		c.State = connections.Unconnected
	}
	if remote != "" {
		c.Remote, c.State = netip.MustParseAddrPort(remote), connections.Established
		c.Sent, c.Received, c.RTT = 1_234_567, 89_000, 12_300
	}
	return c
}

// server is a machine with a web server, a file server, and a name service; the
// NAS and Anna's phone of family are connected to it.
func server(now time.Time) *machine {
	earlier := []connections.Connection{
		socket("tcp", "0.0.0.0:443", "", "nginx", 812),
		socket("tcp", "[::]:22", "", "sshd", 500),
		socket("udp", "0.0.0.0:53", "", "dnsmasq", 321),
		socket("tcp", "192.168.1.2:443", "192.168.1.23:50122", "nginx", 812),
		socket("tcp", "192.168.1.2:39122", "192.168.1.10:445", "smbd", 900),
		socket("tcp", "192.168.1.2:39444", "203.0.113.7:443", "curl", 1300),
	}
	earlier[3].Device, earlier[4].Device = "Anna's phone", "nas"
	now2 := append(slices.Clone(earlier[:5]),
		socket("tcp", "0.0.0.0:8080", "", "python3", 4711),
		socket("tcp", "[2001:db8::2]:40000", "[2001:db8::99]:443", "python3", 4711))
	now2[3].State = "CLOSE-WAIT"
	now2[1].Process = nil
	now2[6].Process.Container = "docker:4f5e0123456789abcdef"
	m := &machine{now: connections.Snapshot{Time: now, Boot: "b", Uptime: 50 * time.Hour, Connections: now2, Missing: []string{"connections that are shown without their process: 1; run this as root to see them"}}}
	for i := range 30 {
		at := now.Add(time.Duration(i-30) * 10 * time.Minute)
		m.stored = append(m.stored, connections.Snapshot{Number: int64(i + 1), Time: at, Boot: "b", Uptime: 50*time.Hour - now.Sub(at), Connections: earlier})
	}
	m.stored[1].Boot, m.stored[0].Boot = "a", "a"
	return m
}

// crowdedMachine has n connections of 50 programs.
func crowdedMachine(n int) *machine {
	m := &machine{now: connections.Snapshot{Time: time.Now(), Boot: "b"}}
	for i := range n {
		c := socket("tcp", "192.168.1.2:1", "10.0.0.1:443", fmt.Sprintf("program-%02d", i%50), 1000+i%50)
		c.Local = netip.AddrPortFrom(c.Local.Addr(), uint16(i))
		c.Remote = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 443)
		m.now.Connections = append(m.now.Connections, c)
	}
	earlier := m.now
	earlier.Number, earlier.Time = 1, m.now.Time.Add(-time.Hour)
	earlier.Connections = earlier.Connections[:n/2]
	m.stored = []connections.Snapshot{earlier}
	return m
}
