package connections

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// same compares snapshots.
var same = cmp.Options{cmpopts.EquateComparable(netip.AddrPort{}, netip.Addr{}), cmpopts.EquateEmpty()}

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// busy is a snapshot of a server with n connections of some programs.
func busy(n int, seed uint64) *Snapshot {
	r := rand.New(rand.NewPCG(seed, 1))
	s := &Snapshot{Time: began, Boot: "4f2c", Uptime: time.Hour, Missing: []string{"something"}}
	var programs []*Process
	for i := range 40 {
		programs = append(programs, &Process{
			PID: 500 + 13*i, Ticks: uint64(1000 + 77*i), Name: fmt.Sprintf("program%d", i), UID: uint32(i % 5), User: fmt.Sprintf("user%d", i%5),
			Command: fmt.Sprintf("/usr/lib/program%d/bin/server --config /etc/program%d/server.conf --worker %x", i, i, r.Uint64()),
		})
	}
	for i := range n {
		p := programs[r.IntN(len(programs))]
		c := Connection{
			Protocol: TCP, State: Established, UID: p.UID, User: p.User, Process: p, Inode: uint64(20000 + 3*i), Interface: "eth0",
			Local:    netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 168, 1, 2}), uint16(32768+i%28000)),
			Remote:   netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(1 + r.IntN(200)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))}), 443),
			Counters: Counters{Sent: r.Uint64N(1 << 24), Received: r.Uint64N(1 << 30), RTT: r.Uint64N(90000)},
		}
		switch i % 10 {
		case 0:
			c = Connection{Protocol: UDP, State: Unconnected, UID: p.UID, User: p.User, Process: p, Inode: c.Inode, Others: i % 3, Local: netip.AddrPortFrom(netip.IPv6Unspecified(), uint16(1000+i%20000))}
		case 1:
			c.Local, c.Remote = netip.MustParseAddrPort(fmt.Sprintf("[fe80::1%%eth0]:%d", 32768+i%28000)), netip.MustParseAddrPort("[fe80::2%eth0]:22")
			c.Device = "Anna's phone"
		case 2:
			c.State, c.Process, c.Inode, c.User, c.UID = TimeWait, nil, 0, "", 0
		}
		s.Connections = append(s.Connections, c)
	}
	s.settle()
	return s
}

// later is what a snapshot becomes in half a minute in which little changes: of
// the connections 2 % are others, and 20 % carried something.
func later(s *Snapshot, seed uint64) *Snapshot {
	r := rand.New(rand.NewPCG(seed, 2))
	next := *s
	next.Number = 0
	next.Time, next.Uptime = s.Time.Add(30*time.Second), s.Uptime+30*time.Second
	next.Connections = nil
	for _, c := range s.Connections {
		switch n := r.IntN(100); {
		case n < 2:
			c.Local = netip.AddrPortFrom(c.Local.Addr(), uint16(1024+r.IntN(60000)))
			c.Inode += 1e6
			c.Counters = Counters{Sent: 1000, Received: 5000, RTT: 12000}
		case n < 22 && c.Sent > 0:
			c.Sent += r.Uint64N(50000)
			c.Received += r.Uint64N(1 << 20)
			c.RTT = uint64(int64(c.RTT) + r.Int64N(2000))
		}
		if c.Process != nil { // when it began follows from the snapshot
			p := *c.Process
			c.Process = &p
		}
		next.Connections = append(next.Connections, c)
	}
	next.settle()
	return &next
}

func TestStoredForm(t *testing.T) {
	first := busy(300, 1)
	second := later(first, 2)
	for name, pair := range map[string][2]*Snapshot{
		"whole":           {{}, first},
		"a difference":    {first, second},
		"back":            {second, first},
		"nothing changed": {first, first},
		"nothing is left": {first, {}},
		"another machine": {first, busy(50, 9)},
		"nothing at all":  {{}, {}},
		"the same twice":  {{}, {Connections: []Connection{{Protocol: UDP, State: Unconnected}, {Protocol: UDP, State: Unconnected}}}},
		"ports that were given": {{}, {Connections: []Connection{
			{Protocol: UDP, State: Unconnected, Local: netip.MustParseAddrPort("0.0.0.0:2000"), Given: true},
			{Protocol: UDP, State: Unconnected, Local: netip.MustParseAddrPort("0.0.0.0:40000"), Given: true},
			{Protocol: UDP, State: Unconnected, Local: netip.MustParseAddrPort("0.0.0.0:50000")},
		}}},
		"one of two stays": {{Connections: []Connection{{Protocol: UDP}, {Protocol: UDP}}}, {Connections: []Connection{{Protocol: UDP}}}},
	} {
		base, want := pack(pair[0]), pair[1]
		stored, err := pack(want).encode(base)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p, err := decode(stored, base)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all, err := p.unpack()
		got := &Snapshot{Time: want.Time, Boot: want.Boot, Uptime: want.Uptime, Missing: p.missing, Connections: all}
		got.settle()
		if diff := cmp.Diff(want, got, same); diff != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
}

// FuzzDecode: a damaged file is told, and what can be read is what would be
// written.
func FuzzDecode(f *testing.F) {
	first := busy(20, 1)
	base := pack(first)
	for _, s := range []*Snapshot{{}, first, later(first, 3)} {
		whole, _ := pack(s).encode(&packed{})
		change, _ := pack(s).encode(base)
		f.Add(whole)
		f.Add(change)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decode(b, base)
		if err != nil {
			if !errors.Is(err, errDamaged) {
				t.Error(err)
			}
			return
		}
		again, err := p.encode(base)
		if err != nil {
			t.Fatal(err)
		}
		q, err := decode(again, base)
		if diff := cmp.Diff(p, q, cmp.AllowUnexported(packed{}), cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		if all, err := p.unpack(); err == nil && len(all) != len(p.rows) {
			t.Errorf("%d connections of %d rows", len(all), len(p.rows))
		}
	})
}
